//! Tells the manager that this worker lives, and what it runs.

use std::sync::Arc;

use grid_core::limits::WIRE_VERSION;
use grid_core::wire::{Heartbeat, Report, to_ascii_json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::WorkerError;
use crate::limits::HEARTBEAT_TASKS;

enum Event {
    Due,
    Drains,
    Leaves,
}

/// Sends a heartbeat at once, at every interval, when the worker begins to drain, and a last one when it leaves.
pub(crate) async fn run(context: Arc<Context>, leaves: CancellationToken) {
    let mut ticks = tokio::time::interval(context.config.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut slots = context.config.slots;
    for sequence in 1.. {
        let event = tokio::select! {
            biased;
            () = leaves.cancelled() => Event::Leaves,
            () = context.stop.drain.cancelled(), if slots > 0 => Event::Drains,
            _ = ticks.tick() => Event::Due,
        };
        if matches!(event, Event::Drains | Event::Leaves) {
            slots = 0;
        }
        send(&context, sequence, slots).await;
        if matches!(event, Event::Leaves) {
            return;
        }
    }
}

/// One that is lost is made good by the next.
async fn send(context: &Context, sequence: u64, slots: u32) {
    let heartbeat = Heartbeat {
        v: WIRE_VERSION,
        worker: context.config.worker.clone(),
        sequence,
        pool: context.config.pool.clone(),
        slots,
        running: context.in_hand.running(HEARTBEAT_TASKS),
    };
    let body = match to_ascii_json(&Report::Heartbeat(heartbeat)) {
        Ok(body) => body,
        Err(source) => return context.fail(WorkerError::Json { what: "a heartbeat".into(), source }),
    };
    let sent = context.grid.reports.send(&[body]).await.and_then(|answers| answers.into_iter().collect());
    match sent {
        Ok(()) => {}
        Err(error) if error.is_transient() => tracing::debug!(%error, "a heartbeat is lost"),
        Err(error) => context.fail(WorkerError::lasting("send a heartbeat", error)),
    }
}
