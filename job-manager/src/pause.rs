//! Waits that end when somebody says stop.

use std::time::Duration;

use grid_core::random::Random;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Waits for so long, or until somebody says stop.
pub(crate) async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = sleep(time) => {}
    }
}

/// How long to wait after a back end's bad moment: never twice the same.
pub(crate) fn after_fault(random: &mut Random) -> Duration {
    Duration::from_millis(500).mul_f64(0.5 + random.unit())
}
