//! Stopped jobs: the tombstones of their rounds are looked for at receipt and while tasks run. One that was seen is remembered,
//! since it is never taken away; that there was none is believed for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::wire::TaskMessage;
use infra::ErrorKind;
use infra::lru::Lru;
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::limits::TOMBSTONES_KEPT;

/// A round of a job: what a tombstone stops.
pub(crate) type Round = (JobId, u32);

/// What is known of rounds.
#[derive(Debug)]
pub(crate) struct Tombstones {
    fresh_for: Duration,
    seen: Mutex<Lru<Round, Seen>>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Stopped,
    /// There was no tombstone at this time.
    NoneAt(Instant),
}

impl Tombstones {
    pub(crate) fn new(fresh_for: Duration) -> Self {
        Self { fresh_for, seen: Mutex::new(Lru::new(TOMBSTONES_KEPT)) }
    }

    /// Whether the round of a message is known to be stopped, without looking.
    pub(crate) fn knows(&self, message: &TaskMessage) -> bool {
        matches!(self.get(&round_of(message)), Some(Seen::Stopped))
    }

    fn get(&self, round: &Round) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(round)
    }

    fn note(&self, round: &Round, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(round.clone(), seen, 1);
    }
}

/// The round in which a message was sent.
pub(crate) fn round_of(message: &TaskMessage) -> Round {
    (message.job.clone(), message.round)
}

/// Whether a round of a job is stopped. While the store cannot be asked it is taken to be running: what its tasks commit is
/// then kept but not counted.
pub(crate) async fn is_stopped(context: &Context, round: &Round) -> bool {
    let now = Instant::now();
    match context.tombstones.get(round) {
        Some(Seen::Stopped) => return true,
        Some(Seen::NoneAt(then)) if now < then + context.tombstones.fresh_for => return false,
        Some(Seen::NoneAt(_)) | None => {}
    }
    let (job, number) = round;
    match context.grid.objects.head(&layout::tombstone(job, *number)).await {
        Ok(_) => {
            context.tombstones.note(round, Seen::Stopped);
            true
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            context.tombstones.note(round, Seen::NoneAt(now));
            false
        }
        Err(error) => {
            tracing::debug!(%job, round = number, %error, "cannot see whether the job is stopped");
            false
        }
    }
}

/// Kills the tasks in hand whose round is stopped; ends when it is dropped.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut ticks = tokio::time::interval(context.config.lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for round in context.in_hand.rounds() {
            if is_stopped(&context, &round).await {
                context.in_hand.kill_round(&round);
            }
        }
    }
}
