//! SIGTERM and SIGINT: the first drains, the second kills; so does the end of the time that draining may take.

use std::io;
use std::time::Duration;

use futures::FutureExt;
use grid_worker::runner::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Signals this close together are one: supervisors signal a process and then its whole group.
const SAME_WISH: Duration = Duration::from_millis(200);

/// The signals that ask this process to end.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Passes them on as what they mean; never ends.
    pub async fn obey(mut self, stop: Stop, drain: Duration) {
        self.next().await;
        tracing::info!(drain_secs = drain.as_secs(), "draining: finishing the items in hand; signal again to end them");
        stop.drain.cancel();
        sleep(SAME_WISH).await;
        // What came meanwhile meant the same.
        let _ = self.next().now_or_never();
        tokio::select! {
            () = self.next() => tracing::warn!("ending the items in hand"),
            () = sleep(drain) => tracing::warn!("draining takes too long: ending the items in hand"),
        }
        stop.kill.cancel();
        loop {
            self.next().await;
        }
    }
}
