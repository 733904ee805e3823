//! Executions that are in vain: another execution of their attempt has committed. That is looked for while they run, since
//! whoever was first tells nobody but the manager.

use std::sync::Arc;

use infra::ErrorKind;
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::in_hand::LongRunning;

/// Ends the executions in hand whose attempt has a manifest; ends when it is dropped. Three looks within a lease, and none for
/// what is over sooner: each is a paid call.
pub(crate) async fn watch(context: Arc<Context>) {
    let every = context.config.lease / 3;
    let mut ticks = tokio::time::interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for LongRunning { number, manifest } in context.in_hand.running_for(every) {
            match context.grid.objects.head(&manifest).await {
                Ok(_) => context.in_hand.supersede(number),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(manifest, %error, "cannot see whether another execution was first"),
            }
        }
    }
}
