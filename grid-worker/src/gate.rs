//! The gate before the queue: a worker of a fleet is closed to new tasks before its machine is taken away, and says so itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grid_core::ids::MachineId;
use grid_core::layout;
use grid_core::wire::MachineOrder;
use infra::ErrorKind;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::context::Context;

/// Whether tasks may be taken.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The order by which it is to be closed.
    order: watch::Sender<Option<u64>>,
    /// The order by which it is closed: whoever takes tasks stands before it, and none is asked for.
    obeyed: watch::Sender<Option<u64>>,
    /// Tasks that were taken and have not ended, from when they were received: they run a moment later.
    in_hand: AtomicUsize,
    /// Tasks that were ever taken.
    taken: AtomicUsize,
}

impl Gate {
    /// Waits until it is open. Nothing is asked of the queue meanwhile.
    pub(crate) async fn pass(&self) {
        let mut order = self.order.subscribe();
        loop {
            let now = *order.borrow_and_update();
            // Only what is new is told: it passes here before every call to the queue.
            self.obeyed.send_if_modified(|obeyed| std::mem::replace(obeyed, now) != now);
            if now.is_none() || order.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tasks were taken from the queue.
    pub(crate) fn took(&self, tasks: usize) {
        self.in_hand.fetch_add(tasks, Ordering::SeqCst);
        self.taken.fetch_add(tasks, Ordering::SeqCst);
    }

    /// How many tasks were ever taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether a task is in hand.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_hand.load(Ordering::SeqCst) > 0
    }

    /// A task has ended.
    pub(crate) fn ended(&self) {
        if self.in_hand.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Only now can it be said that the worker is closed and empty.
            self.obeyed.send_if_modified(|order| order.is_some());
        }
    }

    /// The order by which it is closed, once nothing is in hand any more.
    pub(crate) fn closed_by(&self) -> Option<u64> {
        if self.is_busy() { None } else { *self.obeyed.borrow() }
    }
}

/// Looks for orders about the machine, as often as a busy worker says that it lives, and tells when they are obeyed. One that
/// cannot be read leaves things as they are.
pub(crate) async fn watch(context: Arc<Context>, machine: MachineId) {
    let key = layout::machine_order(&machine);
    let mut obeyed = context.gate.obeyed.subscribe();
    loop {
        let due = Instant::now() + context.config.heartbeat;
        match context.grid.objects.get(&key, None).await {
            Ok(body) => match serde_json::from_slice::<MachineOrder>(&body) {
                Ok(order) => _ = context.gate.order.send_replace(Some(order.number)),
                Err(error) => tracing::warn!(%error, "an order about this machine cannot be read"),
            },
            Err(error) if error.kind == ErrorKind::NotFound => _ = context.gate.order.send_replace(None),
            Err(error) => tracing::debug!(%error, "orders about this machine cannot be looked for"),
        }
        loop {
            tokio::select! {
                biased;
                Ok(()) = obeyed.changed() => {
                    tracing::info!(order = ?*obeyed.borrow_and_update(), "the gate to the queue has moved");
                    context.pulse.announce().await;
                }
                () = sleep_until(due) => break,
            }
        }
    }
}
