//! Many seeds, side by side.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use crate::tally::Tally;
use crate::world::{Outcome, Setup};

/// Which seeds are run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// So many.
    pub count: u64,
    /// So many side by side: a paused clock waits in the kernel now and then, so more than there are cores.
    pub threads: usize,
    /// Every so manieth seed is run twice, and must do the same.
    pub twice: Option<u64>,
}

/// How they went.
#[derive(Debug, Default)]
pub struct Summary {
    /// What happened in all of them together.
    pub tally: Tally,
    /// Those in which something was that must never be, by seed.
    pub failed: Vec<Outcome>,
    /// Seeds that did not do the same twice.
    pub strayed: Vec<u64>,
    /// Seeds that were run twice.
    pub replayed: u64,
    /// Time by the wall.
    pub took: Duration,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed; a panic anywhere in it is a violation, also one that somebody catches.
pub fn run(setup: Setup) -> Outcome {
    note_panics();
    PANIC.set(None);
    let mut outcome = setup.run();
    if let Some(what) = PANIC.take() {
        outcome.violations.push(format!("panic: {what}"));
    }
    outcome
}

/// Has every panic of this process noted by the thread in which it comes.
fn note_panics() {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANIC.set(Some(info.to_string()));
            before(info);
        }));
    });
}

impl Seeds {
    /// Runs them all; `say` hears of each one that fails.
    pub fn run(self, setup: impl Fn(u64) -> Setup + Sync, say: impl Fn(&Outcome) + Sync) -> Summary {
        let started = Instant::now();
        let next = AtomicU64::new(0);
        let summary = Mutex::new(Summary::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.count {
                            return;
                        }
                        let outcome = run(setup(self.first + number));
                        let is_twice = self.twice.is_some_and(|every| number.is_multiple_of(every));
                        let again = is_twice.then(|| run(setup(self.first + number)));
                        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                        summary.take(outcome, again, &say);
                    }
                });
            }
        });
        let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.failed.sort_by_key(|outcome| outcome.seed);
        summary.took = started.elapsed();
        summary
    }
}

impl Summary {
    fn take(&mut self, outcome: Outcome, again: Option<Outcome>, say: &impl Fn(&Outcome)) {
        self.tally.add(&outcome.tally);
        if let Some(again) = again {
            self.replayed += 1;
            let is_same = again.digest == outcome.digest && again.tally == outcome.tally;
            if !is_same || again.violations != outcome.violations {
                self.strayed.push(outcome.seed);
            }
        }
        if !outcome.violations.is_empty() {
            say(&outcome);
            self.failed.push(outcome);
        }
    }
}
