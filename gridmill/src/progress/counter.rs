//! Shows that bytes are going by where there are no items yet, or no more: large files take their time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;
use crate::text;

/// Nothing is said about what takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two lines where there are no bars.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts bytes, and says so now and then.
#[derive(Debug)]
pub struct ByteCounter {
    console: Console,
    what: &'static str,
    /// How many there will be; 0 where that is not known.
    size: u64,
    bar: ProgressBar,
    started: Instant,
    bytes: AtomicU64,
    /// Milliseconds after the start at which something is said next.
    next_ms: AtomicU64,
}

impl ByteCounter {
    /// None yet; `what` is done with them, as in "reading the inputs".
    pub fn new(console: Console, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let next_ms = AtomicU64::new(PATIENCE.as_millis() as u64);
        Self { console, what, size: 0, bar, started: Instant::now(), bytes: AtomicU64::new(0), next_ms }
    }

    /// There will be so many.
    pub fn of(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// So many bytes more.
    pub fn add(&self, bytes: u64) {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let elapsed = self.started.elapsed();
        let elapsed_ms = elapsed.as_millis() as u64;
        if elapsed_ms >= self.next_ms.load(Ordering::Relaxed) {
            self.next_ms.store(elapsed_ms + self.pause().as_millis() as u64, Ordering::Relaxed);
            self.say(&words(self.what, total, self.size, elapsed));
        }
    }

    fn pause(&self) -> Duration {
        if self.console.bars { Duration::from_millis(100) } else { INTERVAL }
    }

    fn say(&self, words: &str) {
        if !self.console.bars {
            return self.console.say(words);
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(words.to_owned());
        self.bar.tick();
    }
}

impl Drop for ByteCounter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn words(what: &str, bytes: u64, size: u64, elapsed: Duration) -> String {
    let rate = text::bytes_rate(bytes as f64 / elapsed.as_secs_f64().max(0.001));
    // What is sent again counts again, so that there may be more than there are.
    match size > bytes {
        true => format!("{what}: {} of {} ({rate})", text::bytes(bytes), text::bytes(size)),
        false => format!("{what}: {} ({rate})", text::bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_by_is_said_with_its_rate() {
        assert_eq!(
            words("reading the inputs", 10 << 20, 0, Duration::from_secs(2)),
            "reading the inputs: 10.0 MiB (5.0 MiB/s)"
        );
        let words = words("uploading", 10 << 20, 1 << 30, Duration::from_secs(2));
        assert_eq!(words, "uploading: 10.0 MiB of 1.0 GiB (5.0 MiB/s)");
    }
}
