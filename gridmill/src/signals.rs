//! Ctrl-C and SIGTERM, as something that can be waited for.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Sleep, sleep};

use crate::exit::{Fault, Outcome};

/// Signals this close to the one before say the same thing: `timeout` of coreutils and some shells and supervisors signal
/// the process and then its whole group, microseconds apart, and nobody presses Ctrl-C twice so fast to mean more.
const SAME_WISH: Duration = Duration::from_millis(200);

/// The signals that ask this process to end.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    wishes: Wishes,
    /// Rings once, as if somebody had signalled then.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Tells a new wish from one that was told twice.
#[derive(Debug, Default)]
struct Wishes {
    last: Option<Instant>,
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
            wishes: Wishes::default(),
            alarm: None,
        })
    }

    /// From now on so much time is as good as a signal, unless there is one before.
    pub fn ring_after(&mut self, time: Duration) {
        self.alarm = Some(Box::pin(sleep(time)));
    }

    /// Waits for the next one that is not the one before told twice. Cancel safe.
    pub async fn next(&mut self) {
        loop {
            let has_rung = tokio::select! {
                _ = self.interrupt.recv() => false,
                _ = self.terminate.recv() => false,
                _ = self.hangup.recv() => false,
                () = rung(self.alarm.as_mut()) => true,
            };
            if has_rung || self.wishes.is_new(Instant::now()) {
                self.alarm = None;
                return;
            }
        }
    }
}

async fn rung(alarm: Option<&mut Pin<Box<Sleep>>>) {
    match alarm {
        Some(alarm) => alarm.await,
        None => std::future::pending().await,
    }
}

impl Wishes {
    /// Whether a signal at that moment is a new wish. Those that are not do not count as "the one before", or somebody
    /// who goes on asking would never be heard.
    fn is_new(&mut self, now: Instant) -> bool {
        let is_new = self.last.is_none_or(|last| now.duration_since(last) >= SAME_WISH);
        if is_new {
            self.last = Some(now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_once() {
        let mut interrupts = Interrupts::listen().unwrap();
        let rung =
            async |interrupts: &mut Interrupts| timeout(Duration::from_secs(7_200), interrupts.next()).await.is_ok();
        assert!(!rung(&mut interrupts).await);
        interrupts.ring_after(Duration::from_secs(3_600));
        assert_eq!((rung(&mut interrupts).await, rung(&mut interrupts).await), (true, false));
    }

    #[test]
    fn a_signal_shortly_after_another_is_the_same_wish() {
        let start = Instant::now();
        let mut wishes = Wishes::default();
        let heard = [0, 1, 150, 199, 200, 399, 400, 10_000].map(|ms| wishes.is_new(start + Duration::from_millis(ms)));
        assert_eq!(heard, [true, false, false, false, true, false, true, true]);
    }
}
