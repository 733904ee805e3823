//! Chance from a seed, so that a run can be repeated: names of data objects, and jitter.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::WorkerId;
use grid_core::random::Random;

use crate::limits::{BACKOFF_INITIAL, BACKOFF_MAX};

/// Numbers for all slots of a worker.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<Random>);

impl Dice {
    /// Two workers roll differently even from the same seed.
    pub(crate) fn new(seed: u64, worker: &WorkerId) -> Self {
        let mix = |hash: u64, byte: u8| Random::from_seed(hash ^ u64::from(byte)).next_u64();
        let name = worker.as_str().bytes().fold(0, mix);
        Self(Mutex::new(Random::from_seed(seed ^ name)))
    }

    /// A name that no other execution has.
    pub(crate) fn nonce(&self) -> String {
        format!("{:016x}", self.random(Random::next_u64))
    }

    /// How long to wait before try `tries` (from 1) of a call: exponential, with full jitter.
    pub(crate) fn backoff(&self, tries: u32) -> Duration {
        let most = BACKOFF_INITIAL.saturating_mul(1 << tries.min(16)).min(BACKOFF_MAX);
        most.mul_f64(self.random(Random::unit))
    }

    fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
