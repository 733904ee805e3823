//! Who has which message until when. No clock and no waiting: time comes in as an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_core::limits::MAX_LEASE;
use tokio::time::Instant;

use super::super::{Depth, Receipt, Received};
use crate::{Error, ErrorKind, Result};

/// Numbers messages in the order in which they were sent.
type Id = u64;

/// Where a message stands in the queue; equal places are told apart by the number.
type Place = (u64, Id);

/// Every message, found by number, by place, by the time of its next event, and by age.
#[derive(Debug)]
pub(super) struct Book {
    retention: Duration,
    max_in_flight: usize,
    max_receives: u32,
    messages: BTreeMap<Id, Message>,
    waiting: BTreeSet<Place>,
    /// Ends of leases and of delays.
    events: BTreeSet<(Instant, Id)>,
    ages: BTreeSet<(Instant, Id)>,
    in_flight: usize,
    sent: Id,
    receives: u64,
    /// Messages that were gone because of their age.
    pub(super) expired: u64,
    /// Deletes by a receipt that was good no more, of messages that are still there.
    pub(super) stale_deletes: u64,
    /// Receives that found something waiting, and too many in flight.
    pub(super) full: u64,
}

#[derive(Debug)]
struct Message {
    letter: Letter,
    place: Place,
    receives: u32,
    status: Status,
}

/// What is kept when a message moves to another queue.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) body: String,
    pub(super) sent: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Waiting,
    Delayed { until: Instant },
    Leased(Lease),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    /// Numbers the receive.
    receive: u64,
    since: Instant,
    until: Instant,
}

/// What came of taking messages.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) received: Vec<Received>,
    /// Received too often, and no longer here.
    pub(super) dead: Vec<Letter>,
}

impl Book {
    pub(super) fn new(retention: Duration, max_in_flight: usize, max_receives: u32) -> Self {
        Self {
            retention,
            max_in_flight,
            max_receives,
            messages: BTreeMap::new(),
            waiting: BTreeSet::new(),
            events: BTreeSet::new(),
            ages: BTreeSet::new(),
            in_flight: 0,
            sent: 0,
            receives: 0,
            expired: 0,
            stale_deletes: 0,
            full: 0,
        }
    }

    /// Adds a message that waits from `due` on, at the end or at a place that was drawn.
    pub(super) fn add(&mut self, letter: Letter, place: Option<u64>, due: Option<Instant>) {
        let id = self.sent;
        self.sent += 1;
        // A drawn place lies anywhere among the messages so far, or as far behind them.
        let place = (place.map_or(id, |drawn| drawn % (2 * id + 1)), id);
        self.ages.insert((letter.sent, id));
        self.messages.insert(id, Message { letter, place, receives: 0, status: Status::Waiting });
        self.set(id, due.map_or(Status::Waiting, |until| Status::Delayed { until }));
    }

    /// Ends what is over at `now`: leases, delays, and the lives of old messages.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.events.first() {
            if due > now {
                break;
            }
            self.events.pop_first();
            self.set(id, Status::Waiting);
        }
        while let Some(&(sent, id)) = self.ages.first() {
            if sent + self.retention > now {
                break;
            }
            self.ages.pop_first();
            self.remove(id);
            self.expired += 1;
        }
    }

    /// When the next message that is not waiting will wait again.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.events.first().map(|&(due, _)| due)
    }

    /// Leases up to `max` waiting messages until `until`.
    pub(super) fn take(&mut self, max: usize, now: Instant, until: Instant) -> Taken {
        let mut taken = Taken::default();
        self.full += u64::from(self.in_flight >= self.max_in_flight && !self.waiting.is_empty());
        while taken.received.len() < max && self.in_flight < self.max_in_flight {
            let Some((_, id)) = self.waiting.pop_first() else {
                break;
            };
            match self.take_one(id, now, until) {
                Ok(received) => taken.received.push(received),
                Err(dead) => taken.dead.extend(dead),
            }
        }
        if until <= now {
            self.settle(now);
        }
        taken
    }

    fn take_one(&mut self, id: Id, now: Instant, until: Instant) -> std::result::Result<Received, Option<Letter>> {
        let Some(message) = self.messages.get_mut(&id) else {
            return Err(None);
        };
        if message.receives >= self.max_receives {
            return Err(self.remove(id));
        }
        self.receives += 1;
        message.receives += 1;
        let (body, receives) = (message.letter.body.clone(), message.receives);
        self.set(id, Status::Leased(Lease { receive: self.receives, since: now, until }));
        Ok(Received { body, receipt: Receipt(format!("{id}-{}", self.receives)), receives })
    }

    /// Removes the message if the receipt is its latest and the lease lasts; else leaves everything as it is.
    pub(super) fn delete(&mut self, receipt: &Receipt) -> Result<()> {
        match self.leased(receipt)? {
            Some((id, _)) => drop(self.remove(id)),
            None => self.stale_deletes += u64::from(self.messages.contains_key(&numbers_of(receipt)?.0)),
        }
        Ok(())
    }

    /// Makes a lease end at `until`; `NotFound` when it is over, `Invalid` when it would last too long in all.
    pub(super) fn extend(&mut self, receipt: &Receipt, now: Instant, until: Instant) -> Result<()> {
        let Some((id, lease)) = self.leased(receipt)? else {
            return Err(Error::new(ErrorKind::NotFound, "the lease of this message is over"));
        };
        if until > lease.since + MAX_LEASE {
            let context = format!("a lease lasts at most {} s from its receive on", MAX_LEASE.as_secs());
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        self.set(id, if until > now { Status::Leased(Lease { until, ..lease }) } else { Status::Waiting });
        Ok(())
    }

    pub(super) fn depth(&self) -> Depth {
        let in_flight = self.in_flight as u64;
        Depth { waiting: self.messages.len() as u64 - in_flight, in_flight }
    }

    /// The message of a receipt while its lease lasts.
    fn leased(&self, receipt: &Receipt) -> Result<Option<(Id, Lease)>> {
        let (id, receive) = numbers_of(receipt)?;
        Ok(match self.messages.get(&id).map(|message| message.status) {
            Some(Status::Leased(lease)) if lease.receive == receive => Some((id, lease)),
            _ => None,
        })
    }

    /// The one place where a message's status changes, so that the indexes always agree with it.
    fn set(&mut self, id: Id, status: Status) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let (place, old) = (message.place, message.status);
        message.status = status;
        self.unlist(id, place, old);
        match status {
            Status::Waiting => drop(self.waiting.insert(place)),
            Status::Delayed { until } => drop(self.events.insert((until, id))),
            Status::Leased(lease) => {
                self.events.insert((lease.until, id));
                self.in_flight += 1;
            }
        }
    }

    fn remove(&mut self, id: Id) -> Option<Letter> {
        let message = self.messages.remove(&id)?;
        self.unlist(id, message.place, message.status);
        self.ages.remove(&(message.letter.sent, id));
        Some(message.letter)
    }

    fn unlist(&mut self, id: Id, place: Place, status: Status) {
        match status {
            Status::Waiting => drop(self.waiting.remove(&place)),
            Status::Delayed { until } => drop(self.events.remove(&(until, id))),
            Status::Leased(lease) => {
                self.events.remove(&(lease.until, id));
                self.in_flight -= 1;
            }
        }
    }
}

/// The message of a receipt, and the receive.
fn numbers_of(receipt: &Receipt) -> Result<(Id, u64)> {
    let parts = receipt.0.split_once('-');
    let parsed = parts.and_then(|(id, receive)| Some((id.parse().ok()?, receive.parse().ok()?)));
    parsed.ok_or_else(|| {
        let context = format!("`{}` is no receipt of this queue", receipt.0.escape_debug());
        Error::new(ErrorKind::Invalid, context)
    })
}
