//! What happened, in order, as one number; and as lines for people, where somebody wants to read them.

use std::fmt;

use tokio::time::Instant;

/// A trace. Two runs of a seed have the same number, or something in them is left to chance.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    digest: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty one; `readable` keeps the lines.
    pub fn new(readable: bool) -> Self {
        Self { start: Instant::now(), digest: 0xcbf2_9ce4_8422_2325, lines: readable.then(Vec::new) }
    }

    /// Notes what happened: who did what to what, with what content, and how it ended.
    pub fn note(&mut self, who: &str, what: &str, to: &str, body: &[u8], end: &dyn fmt::Display) {
        let nanos = self.start.elapsed().as_nanos() as u64;
        self.mix(&nanos.to_le_bytes());
        for part in [who.as_bytes(), what.as_bytes(), to.as_bytes()] {
            self.mix(part);
        }
        self.mix(&crc32fast::hash(body).to_le_bytes());
        self.mix(end.to_string().as_bytes());
        if let Some(lines) = &mut self.lines {
            let secs = self.start.elapsed().as_secs_f64();
            let body =
                if body.len() <= 400 { String::from_utf8_lossy(body) } else { format!("{} B", body.len()).into() };
            lines.push(format!("{secs:>10.3} {who:<10} {what:<11} {to} {body} -> {end}"));
        }
    }

    /// The number so far.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines so far.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// FNV-1a: what matters is that it is fast and the same everywhere.
    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
