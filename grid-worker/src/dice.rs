//! Chance from a seed, so that a run can be repeated: names of data objects, and jitter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grid_core::ids::WorkerId;

use crate::limits::{BACKOFF_INITIAL, BACKOFF_MAX};

/// SplitMix64 (Steele, Lea, Flood 2014), which is enough: nothing here has to be secret.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    /// Two workers roll differently even from the same seed.
    pub(crate) fn new(seed: u64, worker: &WorkerId) -> Self {
        let name = worker.as_str().bytes().fold(0u64, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(AtomicU64::new(seed ^ name))
    }

    /// A name that no other execution has.
    pub(crate) fn nonce(&self) -> String {
        format!("{:016x}", self.roll())
    }

    /// How long to wait before try `tries` (from 1) of a call: exponential, with full jitter.
    pub(crate) fn backoff(&self, tries: u32) -> Duration {
        let most = BACKOFF_INITIAL.saturating_mul(1 << tries.min(16)).min(BACKOFF_MAX);
        let share = (self.roll() >> 11) as f64 / (1u64 << 53) as f64;
        most.mul_f64(share)
    }

    fn roll(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed))
    }
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(STEP);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_workers_differ() {
        let nonces = |worker: &str| {
            let dice = Dice::new(7, &WorkerId::new(worker));
            [dice.nonce(), dice.nonce()]
        };
        assert_eq!(nonces("a"), nonces("a"));
        let (a, b) = (nonces("a"), nonces("b"));
        assert!(a[0] != a[1] && a.iter().all(|nonce| !b.contains(nonce)));
    }

    #[test]
    fn waits_grow_up_to_their_bound_and_are_spread() {
        let dice = Dice::new(1, &WorkerId::new("w"));
        assert!((0..200).all(|_| dice.backoff(1) <= BACKOFF_INITIAL * 2));
        let late: Vec<Duration> = (0..200).map(|_| dice.backoff(u32::MAX)).collect();
        assert!(late.iter().all(|&wait| wait <= BACKOFF_MAX));
        assert!(late.iter().any(|&wait| wait > BACKOFF_MAX / 2) && late.iter().any(|&wait| wait < BACKOFF_MAX / 2));
    }
}
