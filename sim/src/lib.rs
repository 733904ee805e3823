//! The grid in a world in which everything fails: the production code of managers and workers, on back ends in memory
//! and a clock that only moves when nobody has anything left to do. One seed decides all that happens, so that what went
//! wrong once goes wrong again.
//!
//! A [`world`] has actors that are killed, frozen and cut off, a [`net`] between them and the back ends that loses, delays and
//! doubles calls by the [`weather`], a [`workload`] whose results follow from arithmetic, and a [`watch`] that sees every call
//! where it takes effect and knows what must never be.

pub mod broken;
pub mod clock;
pub mod mutant;
pub mod net;
pub mod reference;
pub mod runner;
pub mod seeds;
pub mod tally;
pub mod watch;
pub mod weather;
pub mod workload;
pub mod world;
