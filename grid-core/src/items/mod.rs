//! What the items of a stage are: their keys, their names, and the plan that lists them.

pub mod key;
pub mod plan;

pub use key::Key;
