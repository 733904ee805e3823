//! Workers on a grid in memory, with the clock of the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests too")]
mod beats;
mod calm;
mod closing;
mod copies;
mod deaf;
mod elsewhere;
mod gate;
mod orphans;
mod programs;
mod scripted;
mod slices;
mod stops;
mod storm;
mod stubborn;
mod twice;
mod upstream;
mod weather;
mod yard;
