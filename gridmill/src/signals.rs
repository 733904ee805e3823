//! Ctrl-C and SIGTERM, as something that can be waited for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Fault, Outcome};

/// The signals that ask this process to end.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// From now on the signals no longer end the process by themselves.
    pub fn listen() -> Outcome<Self> {
        let on =
            |kind| signal(kind).map_err(|error| Fault::back_end(error).while_doing("failed to listen for signals"));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
