//! What the back ends on AWS make of answers that seldom come: broken connections, races, refusals, silence.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod fleet;
mod objects;
mod queue;
mod reads;
mod service;
mod state;
