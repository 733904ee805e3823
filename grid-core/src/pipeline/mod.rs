//! The pipeline file: what a user writes, checked and ready to be run.

pub mod model;

pub use model::*;
