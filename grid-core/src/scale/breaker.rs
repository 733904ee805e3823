//! A job that fails must not hold a fleet: when nearly everything that it runs fails, one task at a time is enough to
//! see whether it still does.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Results of so many milliseconds are looked at.
const WINDOW_MS: u64 = 300_000;

/// Fewer results than this say nothing.
const ENOUGH: u64 = 50;

/// More than this share of them failed: the breaker opens.
const TOO_MANY: f64 = 0.9;

/// Not more than this share of the probes failed: it closes again.
const WELL_AGAIN: f64 = 0.5;

/// Probes that are looked at before it closes.
const PROBES: u64 = 3;

/// The results of one job in the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// Results, the newest last.
    results: VecDeque<Results>,
    /// Whether the job is suspended.
    is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Results {
    at_ms: u64,
    ok: u64,
    failed: u64,
}

/// What became of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The job is poison.
    Opened,
    /// It works again.
    Closed,
}

impl Breaker {
    /// Whether the job is suspended.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes results in.
    pub fn learn(&mut self, ok: u64, failed: u64, now_ms: u64) -> Option<Change> {
        if ok + failed > 0 {
            self.results.push_back(Results { at_ms: now_ms, ok, failed });
        }
        if !self.is_open {
            // While it is open, probes are rare: they count however old they are.
            self.results.retain(|results| results.at_ms + WINDOW_MS >= now_ms);
        }
        let (all, bad) = self
            .results
            .iter()
            .fold((0, 0), |(all, bad), results| (all + results.ok + results.failed, bad + results.failed));
        let share = bad as f64 / all.max(1) as f64;
        match self.is_open {
            false if all >= ENOUGH && share > TOO_MANY => Some(self.turn(true)),
            true if all >= PROBES && share <= WELL_AGAIN => Some(self.turn(false)),
            true => {
                while self.results.len() as u64 > PROBES {
                    self.results.pop_front();
                }
                None
            }
            false => None,
        }
    }

    fn turn(&mut self, is_open: bool) -> Change {
        self.is_open = is_open;
        self.results.clear();
        if is_open { Change::Opened } else { Change::Closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_when_nearly_all_of_enough_results_failed_in_five_minutes() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.learn(0, 49, 1_000), None);
        assert_eq!(breaker.learn(0, 1, 2_000), Some(Change::Opened));
        let mut slow = Breaker::default();
        for minute in 0..100 {
            assert_eq!(slow.learn(0, 8, minute * 60_000), None, "48 in the six looks of five minutes");
        }
    }

    #[test]
    fn a_tenth_of_successes_keeps_it_closed() {
        assert_eq!(Breaker::default().learn(10, 90, 1_000), None);
        assert_eq!(Breaker::default().learn(9, 91, 1_000), Some(Change::Opened));
    }

    #[test]
    fn it_closes_when_probes_succeed_however_rare_they_are() {
        let mut breaker = Breaker::default();
        breaker.learn(0, 100, 0);
        let hour = 3_600_000;
        assert_eq!(breaker.learn(0, 1, hour), None);
        assert_eq!(breaker.learn(1, 0, 2 * hour), None);
        assert_eq!(breaker.learn(1, 0, 3 * hour), Some(Change::Closed));
        assert!(!breaker.is_open());
    }
}
