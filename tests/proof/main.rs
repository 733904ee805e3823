//! Proofs: whole jobs through the real program, killed, starved and misled, against what they must come to.
//!
//! `GRIDMILL_TEST_SCALE=big` makes them large: hundreds of megabytes, a hundred kills, a million lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail them")]

mod bad_input;
mod counts;
mod interrupts;
mod kills;
mod on_failure;
mod place;
mod poison;
mod random;
mod reuse;
mod rules;
mod state;

/// Whether the large sizes were asked for.
fn is_big() -> bool {
    std::env::var("GRIDMILL_TEST_SCALE").is_ok_and(|scale| scale == "big")
}
