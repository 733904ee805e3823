//! Managers on a grid in memory and a paused clock; the tests play the workers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod bills;
mod blame;
mod calls;
mod control;
mod copies;
mod deaths;
mod http;
mod lead;
mod notify;
mod rebuild;
mod reuse;
mod rounds;
mod stop;
mod submit;
mod turns;
mod yard;
