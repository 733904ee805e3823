//! What the grid stands on: objects, queues, state and the clock, each a small trait with several back ends that pass
//! one contract suite.
//!
//! **Architecture invariant:** only this crate names AWS, and its traits speak in `grid-core` types.

#[cfg(feature = "aws")]
pub mod aws;
pub mod back_end;
pub mod clock;
#[doc(hidden)]
pub mod contract;
pub mod embedded;
pub mod error;
pub mod faults;
pub mod fleet;
pub mod grid;
pub mod inputs;
pub mod keys;
pub mod lru;
pub mod memory;
pub mod notify;
pub mod objects;
pub mod outputs;
pub mod plan;
pub mod queue;
pub mod requests;
pub mod state;

pub use back_end::{BackEnd, NotOpen};
pub use error::{Error, ErrorKind, Result};
pub use grid::Grid;
