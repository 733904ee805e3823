//! The rules of gridmill: pipeline file, splitting, plan, job state, retry, bundles, receipt.
//!
//! **Architecture invariant:** nothing here reads a clock, a file, the environment or the network, and nothing
//! waits. What a rule needs comes in as an argument; what it wants done goes out as a value.

pub mod blocks;
#[cfg(test)]
#[path = "../../tests/golden/check.rs"]
mod check;
pub mod copies;
pub mod filter;
pub mod identity;
pub mod ids;
pub mod items;
pub mod job;
pub mod layout;
pub mod limits;
pub mod pipeline;
pub mod price;
pub mod quote;
pub mod random;
pub mod reason;
pub mod rows;
pub mod scale;
pub mod share;
pub mod spending;
pub mod split;
pub mod submission;
pub mod terms;
pub mod units;
pub mod wire;
