//! A worker that has nothing to do and sees no sign of a manager ends, so that a fleet whose manager is gone does not run for ever.
//!
//! A manager with a fleet writes the same small object anew from time to time. That it has changed is the sign; no two clocks are
//! compared. A task is one, too. A store that does not answer tells nothing, and ends no worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::layout;
use infra::ErrorKind;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::error::WorkerError;

/// Looks for a sign so many times within the time without any.
const LOOKS: u32 = 4;

/// Ends the worker when it was idle for so long and saw no sign of a manager.
pub(crate) async fn watch(context: Arc<Context>, after: Duration) {
    let key = layout::manager_sign();
    let (mut last, mut seen) = (Instant::now(), Bytes::new());
    // How many were ever taken, and whether one is in hand.
    let mut tasks = (context.gate.taken(), context.gate.is_busy());
    loop {
        sleep(after / LOOKS).await;
        let is_sign = match context.grid.objects.get(&key, None).await {
            Ok(now) => std::mem::replace(&mut seen, now.clone()) != now,
            Err(error) if error.kind == ErrorKind::NotFound => false,
            Err(error) => {
                tracing::debug!(%error, "signs of a manager cannot be looked for");
                true
            }
        };
        let before = std::mem::replace(&mut tasks, (context.gate.taken(), context.gate.is_busy()));
        // One that was in hand a look ago has ended since.
        if is_sign || before.1 || tasks.1 || tasks.0 != before.0 {
            last = Instant::now();
        } else if last.elapsed() >= after {
            return context.leave(WorkerError::Orphaned { secs: last.elapsed().as_secs() });
        }
    }
}
