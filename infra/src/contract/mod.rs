//! What every back end must do, as checks that panic with what they saw. A back end joins by one line in
//! `tests/contract.rs`.
//!
//! The checks wait by tokio's clock, so a test may pause it, while a service elsewhere takes real seconds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "checks report by panicking")]

pub mod fleet;
pub mod notify;
pub mod objects;
pub mod queue;
pub mod state;

use crate::{ErrorKind, Result};

/// Makes, of a list of checks, the functions that run one of them by name, and all of them.
macro_rules! suite {
    ($fixture:ty: $($check:ident)*) => {
        /// Runs one check on a fresh back end.
        pub async fn run(check: &str, fresh: $fixture) {
            match check {
                $(stringify!($check) => Box::pin($check(fresh)).await,)*
                unknown => panic!("there is no check {unknown}"),
            }
        }

        /// Runs every check, each on a back end that `make` makes.
        pub async fn run_all<Made: Future<Output = $fixture>>(mut make: impl FnMut() -> Made) {
            $(run(stringify!($check), make().await).await;)*
        }
    };
}
use suite;

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|refused| refused.kind)
}
