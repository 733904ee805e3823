//! Takes tasks from the queue, never more than there are free slots, and sees every one of them to its end.

use std::sync::Arc;
use std::time::Duration;

use grid_core::limits::QUEUE_BATCH;
use infra::queue::Received;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::context::Context;
use crate::error::WorkerError;
use crate::limits::{COPY_REST, IN_HAND_PER_SLOT};
use crate::report::Settled;
use crate::task::{self, Intake};

/// The places that tasks take up.
#[derive(Debug)]
pub(crate) struct Places {
    /// Where tasks execute.
    pub(crate) slots: Arc<Semaphore>,
    /// Bounds the tasks that are not settled, so that a slow store stops the pulling.
    in_hand: Arc<Semaphore>,
}

/// The place of one task.
#[derive(Debug)]
pub(crate) struct Place {
    /// Held until the task has been executed.
    pub(crate) slot: OwnedSemaphorePermit,
    /// Held until the task is settled.
    pub(crate) in_hand: OwnedSemaphorePermit,
}

struct Pulled {
    places: Vec<Place>,
    /// From when the leases are counted.
    asked: Instant,
    received: infra::Result<Vec<Received>>,
}

enum Event {
    Stop,
    Ended(Result<(), JoinError>),
    Pulled(Pulled),
}

/// Pulls until the worker stops; returns when all its tasks have ended.
pub(crate) async fn run(context: Arc<Context>, settled: mpsc::Sender<Settled>) {
    let places = Arc::new(Places::new(context.config.slots as usize));
    let mut tasks = JoinSet::new();
    let mut failures = 0;
    let mut pull = Box::pin(pull(context.clone(), places.clone(), failures, Duration::ZERO));
    loop {
        let event = tokio::select! {
            biased;
            () = context.stop.drain.cancelled() => Event::Stop,
            () = context.stop.kill.cancelled() => Event::Stop,
            Some(ended) = tasks.join_next() => Event::Ended(ended),
            pulled = &mut pull => Event::Pulled(pulled),
        };
        match event {
            Event::Stop => break,
            Event::Ended(ended) => {
                context.gate.ended();
                note_end(ended);
            }
            Event::Pulled(pulled) => {
                let messages;
                (messages, failures) = unpack(&context, failures, pulled.received);
                if messages.is_empty() && context.in_hand.is_empty() {
                    // What an idle worker asks is no job's.
                    context.meter.take();
                }
                let ends = pulled.asked + context.config.lease;
                context.gate.took(messages.len());
                let mut rest = Duration::ZERO;
                for (received, place) in messages.into_iter().zip(pulled.places) {
                    let intake = task::take_in(&context, received, ends);
                    if let Intake::ForOthers { .. } = intake {
                        rest = COPY_REST;
                    }
                    tasks.spawn(task::run(context.clone(), places.clone(), intake, place, settled.clone()));
                }
                if tasks.is_empty() {
                    rest = context.config.rest;
                }
                pull.set(self::pull(context.clone(), places.clone(), failures, rest));
            }
        }
    }
    context.stop.drain.cancel();
    drain(&context, &mut tasks, pull).await;
}

/// Waits for the tasks, and for a receive that is under way: what it still brings is given back at once. A service goes
/// on with a receive that is dropped, and what it then leased would be nobody's until the leases end.
async fn drain(context: &Context, tasks: &mut JoinSet<()>, mut pull: std::pin::Pin<Box<impl Future<Output = Pulled>>>) {
    let forgets = context.grid.tasks.forgets_dropped_receives();
    let mut is_pulling = true;
    while !(forgets && tasks.is_empty()) {
        tokio::select! {
            biased;
            () = context.stop.kill.cancelled(), if is_pulling => is_pulling = false,
            pulled = &mut pull, if is_pulling => {
                is_pulling = false;
                give_back_all(context, pulled.received.unwrap_or_default()).await;
            }
            Some(ended) = tasks.join_next() => note_end(ended),
            else => return,
        }
    }
}

/// Gives back what came too late.
async fn give_back_all(context: &Context, messages: Vec<Received>) {
    for message in messages {
        context.give_back(message.receipt, "a message", "the worker stops").await;
    }
}

/// Receives as many messages as there are places, once there is one, and after a rest. When the worker drains, a receive that has
/// not begun does not begin.
async fn pull(context: Arc<Context>, places: Arc<Places>, failures: u32, rest: Duration) -> Pulled {
    let ready = async {
        if failures > 0 {
            tokio::time::sleep(context.dice.backoff(failures)).await;
        }
        let places = places.take().await;
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        context.gate.pass().await;
        places
    };
    let places = tokio::select! {
        biased;
        () = context.stop.drain.cancelled() => Vec::new(),
        places = ready => places,
    };
    let (lease, asked) = (context.config.lease, Instant::now());
    if places.is_empty() {
        return Pulled { places, asked, received: Ok(Vec::new()) };
    }
    let received = context.grid.tasks.receive(places.len(), lease, context.config.poll.min(lease / 2)).await;
    Pulled { places, asked, received }
}

/// The messages, and how many receives have failed in a row.
fn unpack(context: &Context, failures: u32, received: infra::Result<Vec<Received>>) -> (Vec<Received>, u32) {
    match received {
        Ok(messages) => {
            if failures > 0 {
                tracing::info!(failures, "receives tasks again");
            }
            (messages, 0)
        }
        Err(error) if error.is_transient() => {
            if failures == 0 {
                tracing::warn!(%error, "failed to receive tasks, goes on trying");
            }
            (Vec::new(), failures.saturating_add(1))
        }
        Err(error) => {
            context.fail(WorkerError::lasting("receive tasks", error));
            (Vec::new(), failures)
        }
    }
}

/// A task that panics leaves its message to be received again: the lease is not extended any more.
fn note_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task ended by a fault of gridmill's own");
    }
}

impl Places {
    fn new(slots: usize) -> Self {
        let in_hand = Arc::new(Semaphore::new(slots * IN_HAND_PER_SLOT));
        Self { slots: Arc::new(Semaphore::new(slots)), in_hand }
    }

    /// Waits for a place, and takes what is free, at most one batch.
    async fn take(&self) -> Vec<Place> {
        const OPEN: &str = "the semaphores are never closed";
        let in_hand = self.in_hand.clone().acquire_owned().await.expect(OPEN);
        let slot = self.slots.clone().acquire_owned().await.expect(OPEN);
        let mut places = vec![Place { slot, in_hand }];
        while places.len() < QUEUE_BATCH
            && let Ok(in_hand) = self.in_hand.clone().try_acquire_owned()
            && let Ok(slot) = self.slots.clone().try_acquire_owned()
        {
            places.push(Place { slot, in_hand });
        }
        places
    }
}
