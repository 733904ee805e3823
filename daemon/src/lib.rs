//! What `job-manager` and `grid-worker` are told alike, by flags or by the environment. What only one of them is told is not
//! in here.

mod log;
mod places;

pub use log::{Log, LogFormat};
pub use places::Places;
