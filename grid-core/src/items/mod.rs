//! What the items of a stage are: their keys, their names, and the plan that lists them.

pub mod dims;
pub mod key;
mod matrix;
pub mod plan;
mod resolved;
mod runs;
pub mod source;

pub use dims::{Dims, dims};
pub use key::Key;
pub use resolved::missing_dimensions;
pub use runs::{decode_slices, encode_slices};
