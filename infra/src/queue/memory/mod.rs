//! A queue in memory that is stricter than SQS: what works here works there.
//!
//! It keeps nothing when the process ends, which the protocol allows: messages can always be made again.

mod book;
mod faults;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::limits::{MAX_IN_FLIGHT, MAX_POLL, QUEUE_RETENTION};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::book::{Book, Letter};
use self::faults::FaultSource;
use super::rules::{check_batch, check_body, check_lease, check_receive};
use super::{Depth, Receipt, Received, TaskQueue};
use crate::{Error, ErrorKind, Result};

pub use self::faults::{Mishaps, QueueFaults};

/// How a queue behaves.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// After that many receives a message goes to a queue of its own instead of being received once more.
    pub dead_letters: Option<DeadLetters>,
    /// A message that is older than this is gone.
    pub retention: Duration,
    /// With this many messages in flight, nothing is received, and no error says so.
    pub max_in_flight: usize,
    /// What goes wrong, by a seed.
    pub faults: QueueFaults,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// The most receives of one message.
    pub max_receives: u32,
    /// The queue that takes it then, at its old age.
    pub queue: Arc<MemoryQueue>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            dead_letters: None,
            retention: QUEUE_RETENTION,
            max_in_flight: MAX_IN_FLIGHT,
            faults: QueueFaults::default(),
        }
    }
}

/// A queue in memory. Without faults it keeps the order in which messages were sent.
///
/// Stricter than SQS: a receipt is dead as soon as its lease ends, and a stale one never deletes.
#[derive(Debug)]
pub struct MemoryQueue {
    dead_letters: Option<DeadLetters>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    book: Book,
    faults: FaultSource,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new(QueueSettings::default())
    }
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(settings: QueueSettings) -> Self {
        let max_receives = settings.dead_letters.as_ref().map_or(u32::MAX, |dead| dead.max_receives);
        let book = Book::new(settings.retention, settings.max_in_flight, max_receives);
        let state = State { book, faults: FaultSource::new(settings.faults) };
        Self { dead_letters: settings.dead_letters, state: Mutex::new(state), changed: Notify::new() }
    }

    /// No more faults from now on; late messages still come.
    pub fn calm(&self) {
        self.state(Instant::now()).faults.calm();
    }

    /// What has gone wrong so far.
    pub fn mishaps(&self) -> Mishaps {
        let state = self.state(Instant::now());
        Mishaps {
            expired: state.book.expired,
            stale_deletes: state.book.stale_deletes,
            full: state.book.full,
            ..state.faults.mishaps
        }
    }

    /// The state as of now: leases that are over have ended, and old messages are gone.
    fn state(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.book.settle(now);
        state
    }

    /// Takes what can be had now; else says when to look again.
    fn take(&self, max: usize, lease: Duration) -> std::result::Result<Vec<Received>, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.state(now);
        let alarm = state.book.next_event();
        let taken = state.book.take(max, now, now + lease);
        let next_event = state.book.next_event();
        drop(state);
        self.bury(taken.dead);
        self.set_alarms(alarm, next_event);
        if taken.received.is_empty() { Err(next_event) } else { Ok(taken.received) }
    }

    /// Wakes all who wait when their alarms, set for the next event that they saw, would come too late.
    fn set_alarms(&self, seen: Option<Instant>, next_event: Option<Instant>) {
        let is_sooner = next_event.is_some_and(|next| seen.is_none_or(|seen| next < seen));
        if is_sooner {
            self.changed.notify_waiters();
        }
    }

    fn bury(&self, dead: Vec<Letter>) {
        let Some(dead_letters) = &self.dead_letters else {
            return;
        };
        let now = Instant::now();
        for letter in dead {
            dead_letters.queue.state(now).book.add(letter, None, None);
            dead_letters.queue.changed.notify_one();
        }
    }

    /// Answers for every entry; `apply` is skipped, or its answer lost, where the faults say so.
    fn each<T>(
        &self,
        entries: &[T],
        mut apply: impl FnMut(&mut State, &T, Instant) -> Result<()>,
    ) -> Result<Vec<Result<()>>> {
        check_batch(entries.len())?;
        let now = Instant::now();
        let mut state = self.state(now);
        let alarm = state.book.next_event();
        let answers = entries.iter().map(|entry| match state.faults.entry() {
            None => apply(&mut state, entry, now),
            Some(fault) => {
                if fault.is_applied {
                    let _lost_answer = apply(&mut state, entry, now);
                }
                Err(Error::new(ErrorKind::Unavailable, "the queue gave no answer for this entry (a fault on purpose)"))
            }
        });
        let answers = answers.collect();
        let next_event = state.book.next_event();
        drop(state);
        self.set_alarms(alarm, next_event);
        // Each wakes one who waits; one who finds nothing goes back to sleep.
        entries.iter().for_each(|_| self.changed.notify_one());
        Ok(answers)
    }
}

#[async_trait]
impl TaskQueue for MemoryQueue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.each(bodies, |state, body, now| {
            check_body(body)?;
            for fate in state.faults.copies() {
                let letter = Letter { body: body.clone(), sent: now };
                state.book.add(letter, fate.place, fate.delay.map(|delay| now + delay));
            }
            Ok(())
        })
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        check_receive(max, lease)?;
        let deadline = Instant::now() + wait.min(MAX_POLL);
        loop {
            // Listening begins before looking, so that nothing sent in between is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next_event = match self.take(max, lease) {
                Ok(received) => return Ok(received),
                Err(next_event) => next_event,
            };
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let alarm = next_event.map_or(deadline, |event| event.min(deadline));
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(alarm) => {}
            }
        }
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.each(receipts, |state, receipt, _| state.book.delete(receipt))
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        check_lease(lease)?;
        self.each(receipts, |state, receipt, now| state.book.extend(receipt, now, now + lease))
    }

    async fn depth(&self) -> Result<Depth> {
        Ok(self.state(Instant::now()).book.depth())
    }

    fn forgets_dropped_receives(&self) -> bool {
        true
    }
}
