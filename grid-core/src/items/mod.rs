//! What the items of a stage are: their keys, their names, and the plan that lists them.

pub mod dims;
pub mod key;
mod matrix;
pub mod plan;
pub mod source;

pub use dims::{Dims, dims};
pub use key::Key;
