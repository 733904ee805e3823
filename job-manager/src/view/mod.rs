//! Reading a job for people.

mod attempts;

pub use attempts::ended_attempts;
