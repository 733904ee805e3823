//! New inputs from old ones, by a seed. No coverage guides it: that is what `fuzz/` is for, on a nightly compiler.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use grid_core::random::Random;
use rustix::time::{ClockId, clock_gettime};

use super::{Target, corpus};

/// Longest input.
const MAX_BYTES: usize = 8 << 10;

/// An input that takes longer is a finding.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Makes inputs for one target.
#[derive(Debug)]
pub struct Mutator {
    target: &'static Target,
    seeds: Vec<Vec<u8>>,
    random: Random,
}

/// An input with which something is wrong.
#[derive(Debug)]
pub struct Found {
    /// The input.
    pub input: Vec<u8>,
    /// What is wrong.
    pub what: String,
}

impl Mutator {
    /// Begins with what the corpus holds.
    pub fn new(target: &'static Target, seed: u64) -> anyhow::Result<Self> {
        let mut seeds: Vec<Vec<u8>> = super::inputs(target.name)?.into_values().collect();
        anyhow::ensure!(!seeds.is_empty(), "{} is empty", corpus(target.name).display());
        seeds.push(Vec::new());
        Ok(Self { target, seeds, random: Random::from_seed(seed) })
    }

    /// Runs the target with new inputs for so long, and stops at the first finding; how many there were.
    pub fn run(&mut self, length: Duration) -> (u64, Option<Found>) {
        let (began, mut count) = (Instant::now(), 0);
        let mut lengths = BTreeSet::new();
        while began.elapsed() < length {
            let input = self.next();
            count += 1;
            let started = busy();
            let what = match catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input))) {
                Ok(()) if busy() - started < MAX_TIME => {
                    // What is of a new length is worth going on from.
                    if self.seeds.len() < 2_000 && lengths.insert(input.len()) {
                        self.seeds.push(input);
                    }
                    continue;
                }
                Ok(()) => format!("it took {:?}", busy() - started),
                Err(panic) => panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("it panicked")
                    .to_owned(),
            };
            return (count, Some(Found { input, what }));
        }
        (count, None)
    }

    /// A new input.
    fn next(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..=self.random.below(6) {
            self.mutate(&mut input);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() as u64 + 1) as usize;
        let end = (at + self.random.below(32) as usize).min(input.len());
        match self.random.below(8) {
            0 => drop(input.drain(at..end)),
            1 => {
                let copy = input[at..end].to_vec();
                let to = self.random.below(input.len() as u64 + 1) as usize;
                input.splice(to..to, copy);
            }
            2 => input.insert(at, self.random.next_u64() as u8),
            3 if at < input.len() => input[at] = self.random.next_u64() as u8,
            4 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            5 => {
                let other = self.seed().to_vec();
                let from = self.random.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => {
                let words = self.target.words;
                let word = words[self.random.below(words.len() as u64) as usize];
                input.splice(at..end.min(at + word.len() * self.random.below(2) as usize), word.bytes());
            }
        }
    }

    fn seed(&mut self) -> &[u8] {
        let at = self.random.below(self.seeds.len() as u64) as usize;
        &self.seeds[at]
    }
}

/// The time that this thread has computed: what others do on the machine does not count.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
