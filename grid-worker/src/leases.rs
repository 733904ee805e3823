//! Keeps the leases of all tasks in hand, three times within a lease.

use std::sync::Arc;

use grid_core::limits::QUEUE_BATCH;
use infra::ErrorKind;
use infra::queue::Receipt;
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::error::WorkerError;
use crate::in_hand::Lease;

/// Extends the leases of all tasks in hand; ends when it is dropped.
pub(crate) async fn keep(context: Arc<Context>) {
    let every = context.config.lease / 3;
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for batch in context.in_hand.leases().chunks(QUEUE_BATCH) {
            extend(&context, batch).await;
        }
    }
}

async fn extend(context: &Context, batch: &[(u64, Receipt)]) {
    let receipts: Vec<Receipt> = batch.iter().map(|(_, receipt)| receipt.clone()).collect();
    // Counted from before the call: the queue may have acted on it long before its answer arrives.
    let until = Instant::now() + context.config.lease;
    match context.grid.tasks.extend(&receipts, context.config.lease).await {
        Ok(answers) => {
            for ((number, receipt), answer) in batch.iter().zip(answers) {
                note(context, *number, receipt, until, answer);
            }
        }
        Err(error) if error.is_transient() => tracing::debug!(%error, "leases are not extended this time"),
        Err(error) => context.fail(WorkerError::lasting("extend leases", error)),
    }
}

/// A lost lease does not stop its task: the first commit wins, and ours may be it.
fn note(context: &Context, number: u64, receipt: &Receipt, until: Instant, answer: infra::Result<()>) {
    match answer {
        Ok(()) => context.in_hand.note_lease(number, receipt, Lease::Until(until)),
        Err(error) if error.kind == ErrorKind::NotFound => {
            tracing::debug!(number, "a lease is lost");
            context.in_hand.note_lease(number, receipt, Lease::Lost);
        }
        Err(error) => tracing::debug!(number, %error, "a lease is not extended this time"),
    }
}
