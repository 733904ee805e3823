//! The command against a job manager: the real binary, the real HTTP API, real processes as a worker.

#![allow(clippy::unwrap_used, reason = "clippy takes only what stands in a function with `#[test]` for a test")]

mod jobs;
mod work;
mod yard;
