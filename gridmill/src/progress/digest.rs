//! Shows that inputs are being read while they are pinned: large files take their time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;
use crate::text;

/// Nothing is said about what takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two lines where there are no bars.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts the bytes that were read, and says so now and then.
#[derive(Debug)]
pub struct DigestProgress {
    console: Console,
    bar: ProgressBar,
    started: Instant,
    bytes: AtomicU64,
    /// Milliseconds after the start at which something is said next.
    next_ms: AtomicU64,
}

impl DigestProgress {
    /// Nothing has been read yet.
    pub fn new(console: Console) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let next_ms = AtomicU64::new(PATIENCE.as_millis() as u64);
        Self { console, bar, started: Instant::now(), bytes: AtomicU64::new(0), next_ms }
    }

    /// So many bytes more were read.
    pub fn add(&self, bytes: u64) {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let elapsed = self.started.elapsed();
        let elapsed_ms = elapsed.as_millis() as u64;
        if elapsed_ms >= self.next_ms.load(Ordering::Relaxed) {
            self.next_ms.store(elapsed_ms + self.pause().as_millis() as u64, Ordering::Relaxed);
            self.say(&words(total, elapsed));
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

impl Drop for DigestProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn words(bytes: u64, elapsed: Duration) -> String {
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001);
    format!("reading the inputs: {} ({})", text::bytes(bytes), text::bytes_rate(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_said_with_its_rate() {
        assert_eq!(words(10 << 20, Duration::from_secs(2)), "reading the inputs: 10.0 MiB (5.0 MiB/s)");
    }
}
