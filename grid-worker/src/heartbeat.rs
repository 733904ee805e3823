//! Tells the manager that this worker lives, and what it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grid_core::limits::{IDLE_HEARTBEATS, WIRE_VERSION};
use grid_core::wire::{Heartbeat, Report, to_ascii_json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::WorkerError;
use crate::limits::HEARTBEAT_TASKS;

/// How long a task waits for the heartbeat that announces it.
const ANNOUNCE_PATIENCE: Duration = Duration::from_secs(5);

/// What the heartbeat is told by the tasks.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    begun: Notify,
    wanted: watch::Sender<u64>,
    told: AtomicU64,
    /// Wakes the tasks in the order in which they wait. A watch channel would wake them in an order of its own, and no run
    /// could be repeated.
    tells: Notify,
}

impl Pulse {
    /// A task begins to execute: an idle worker says so soon.
    pub(crate) fn begins(&self) {
        self.begun.notify_one();
    }

    /// Has a heartbeat sent, and waits until it was, or for as long as that is worth it.
    pub(crate) async fn announce(&self) {
        let mut wanted = 0;
        self.wanted.send_modify(|number| {
            *number += 1;
            wanted = *number;
        });
        // A worker that is leaving tells no more.
        let _ = timeout(ANNOUNCE_PATIENCE, self.has_told(wanted)).await;
    }

    async fn has_told(&self, wanted: u64) {
        loop {
            // It listens before it looks, so that nothing told in between is missed.
            let tells = self.tells.notified();
            if self.told.load(Ordering::Acquire) >= wanted {
                return;
            }
            tells.await;
        }
    }

    fn tells(&self, number: u64) {
        self.told.store(number, Ordering::Release);
        self.tells.notify_waiters();
    }
}

enum Event {
    Due,
    Begun,
    Drains,
    Leaves,
}

/// Sends a heartbeat at once, at every interval, when a task asks for it, when the worker begins to drain, and a last one
/// when it leaves.
pub(crate) async fn run(context: Arc<Context>, leaves: CancellationToken) {
    let mut wanted = context.pulse.wanted.subscribe();
    let mut slots = context.config.slots;
    let mut due = Instant::now();
    let mut said_idle = false;
    let mut sequence = 0;
    loop {
        let event = tokio::select! {
            biased;
            () = leaves.cancelled() => Event::Leaves,
            () = context.stop.drain.cancelled(), if slots > 0 => Event::Drains,
            Ok(()) = wanted.changed() => Event::Due,
            () = context.pulse.begun.notified(), if said_idle => Event::Begun,
            () = sleep_until(due) => Event::Due,
        };
        match event {
            Event::Begun => {
                // Not sooner after the last one than those of a busy worker.
                due -= context.config.heartbeat * (IDLE_HEARTBEATS - 1);
                said_idle = false;
                continue;
            }
            Event::Drains | Event::Leaves => slots = 0,
            Event::Due => {}
        }
        sequence += 1;
        let number = *wanted.borrow_and_update();
        let sent = Instant::now();
        said_idle = send(&context, sequence, slots).await == Said::Idle;
        context.pulse.tells(number);
        due = sent + context.config.heartbeat * if said_idle { IDLE_HEARTBEATS } else { 1 };
        if matches!(event, Event::Leaves) {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Busy,
    Idle,
}

/// One that is lost is made good by the next.
async fn send(context: &Context, sequence: u64, slots: u32) -> Said {
    let running = context.in_hand.running(HEARTBEAT_TASKS);
    let said = if running.is_empty() { Said::Idle } else { Said::Busy };
    let heartbeat = Heartbeat {
        v: WIRE_VERSION,
        worker: context.config.worker.clone(),
        sequence,
        pool: context.config.pool.clone(),
        slots,
        interval_secs: context.config.heartbeat.as_secs_f64(),
        running,
        machine: context.machine.clone(),
        closed_by: context.gate.closed_by(),
    };
    let body = match to_ascii_json(&Report::Heartbeat(heartbeat)) {
        Ok(body) => body,
        Err(source) => {
            context.fail(WorkerError::Json { what: "a heartbeat".into(), source });
            return said;
        }
    };
    let sent = context.grid.reports.send(&[body]).await.and_then(|answers| answers.into_iter().collect());
    match sent {
        Ok(()) => said,
        Err(error) if error.is_transient() => {
            tracing::debug!(%error, "a heartbeat is lost");
            // So that the next one does not wait for long.
            Said::Busy
        }
        Err(error) => {
            context.fail(WorkerError::lasting("send a heartbeat", error));
            said
        }
    }
}
