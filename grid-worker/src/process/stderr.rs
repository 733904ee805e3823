//! What is kept of a command's standard error, and what it says of its progress there.

use std::collections::VecDeque;
use std::sync::PoisonError;

use grid_core::limits::{STDERR_IN_MANIFEST_BYTES, STDERR_KEEP_BYTES};
use serde_json::json;

use crate::runner::TaskProgress;

/// Longest line that is looked at for progress.
const MAX_PROGRESS_LINE_BYTES: usize = 1 << 10;

/// Both ends of a standard error of any length.
#[derive(Debug, Default)]
pub(super) struct Stderr {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    line: Vec<u8>,
    progress: Option<std::sync::Arc<TaskProgress>>,
    said: bool,
}

impl Stderr {
    /// Keeps a standard error whose progress lines are told to `progress`.
    pub(super) fn telling(progress: std::sync::Arc<TaskProgress>) -> Self {
        Self { progress: Some(progress), ..Self::default() }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        if self.progress.is_some() {
            self.look_for_progress(bytes);
        }
    }

    /// Makes it ready for the next item.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
        self.line.clear();
        self.dropped = 0;
        if std::mem::take(&mut self.said) {
            self.tell(None);
        }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// The end of it, as text.
    pub(super) fn last_words(&self) -> String {
        let whole = self.head.len() + self.tail.len();
        let skip = if self.dropped > 0 { self.head.len() } else { 0 };
        let skip = skip.max(whole.saturating_sub(STDERR_IN_MANIFEST_BYTES));
        let kept: Vec<u8> = self.head.iter().chain(&self.tail).skip(skip).copied().collect();
        // A replacement character is longer than the byte that it stands for.
        let mut text = String::from_utf8_lossy(&kept).into_owned();
        while text.len() > STDERR_IN_MANIFEST_BYTES {
            let excess = text.len() - STDERR_IN_MANIFEST_BYTES;
            let cut = (excess..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.drain(..cut);
        }
        text
    }

    /// Appends it to a log as one line of JSON; `brief` keeps only its end.
    pub(super) fn log(&self, item: u32, name: &str, brief: bool, log: &mut Vec<u8>) {
        let (head, tail, dropped) = if brief {
            let tail = self.last_words();
            let whole = self.head.len() as u64 + self.tail.len() as u64 + self.dropped;
            (String::new(), tail, whole.saturating_sub(STDERR_IN_MANIFEST_BYTES as u64))
        } else {
            let tail: Vec<u8> = self.tail.iter().copied().collect();
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (lossy(&self.head), lossy(&tail), self.dropped)
        };
        let line = json!({"item": item, "name": name, "head": head, "tail": tail, "dropped_bytes": dropped});
        log.extend_from_slice(line.to_string().as_bytes());
        log.push(b'\n');
    }

    fn keep(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(STDERR_KEEP_BYTES - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        let rest = &bytes[to_head..];
        let skipped = rest.len().saturating_sub(STDERR_KEEP_BYTES);
        let rest = &rest[skipped..];
        let pushed_out = (self.tail.len() + rest.len()).saturating_sub(STDERR_KEEP_BYTES);
        self.tail.drain(..pushed_out.min(self.tail.len()));
        self.tail.extend(rest);
        self.dropped += (skipped + pushed_out) as u64;
    }

    fn look_for_progress(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.line.is_empty() {
                self.hear(&bytes[..end]);
            } else {
                self.lengthen_line(&bytes[..end]);
                let line = std::mem::take(&mut self.line);
                self.hear(&line);
            }
            bytes = &bytes[end + 1..];
        }
        self.lengthen_line(bytes);
    }

    fn lengthen_line(&mut self, bytes: &[u8]) {
        let room = MAX_PROGRESS_LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn hear(&mut self, line: &[u8]) {
        if let Some(heard) = parse_progress(line) {
            self.said = true;
            self.tell(Some(heard));
        }
    }

    fn tell(&self, heard: Option<Heard>) {
        let Some(progress) = &self.progress else {
            return;
        };
        let mut said = progress.said.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            None => *said = None,
            Some(Heard::Progress(share, text)) => {
                let before = said.take().map(|(_, text)| text).unwrap_or_default();
                *said = Some((share, text.unwrap_or(before)));
            }
            Some(Heard::Status(text)) => *said = Some((said.take().map_or(0.0, |(share, _)| share), text)),
        }
    }
}

/// What a line of standard error says of the item.
#[derive(Debug, PartialEq)]
enum Heard {
    /// The share that is done, with words for it when there are any.
    Progress(f32, Option<String>),
    /// Words.
    Status(String),
}

fn parse_progress(line: &[u8]) -> Option<Heard> {
    // The first byte settles it for nearly every line.
    if !matches!(line.first(), Some(b'g' | b'o')) {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?.trim_end();
    if let Some(rest) = line.strip_prefix("gridmill: progress ") {
        let (share, text) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
        let text = text.trim();
        return Some(Heard::Progress(share_of(share, 1.0)?, (!text.is_empty()).then(|| text.to_owned())));
    }
    if let Some(rest) = line.strip_prefix("openjd_progress:") {
        return Some(Heard::Progress(share_of(rest.trim(), 100.0)?, None));
    }
    line.strip_prefix("openjd_status:").map(|rest| Heard::Status(rest.trim().to_owned()))
}

fn share_of(number: &str, whole: f32) -> Option<f32> {
    let number: f32 = number.parse().ok()?;
    (0.0..=whole).contains(&number).then_some(number / whole)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn both_ends_are_kept_and_what_lies_between_is_counted() {
        let all: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        for chunk in [1_000, 65_536, 100_000, 300_000] {
            let mut stderr = Stderr::default();
            all.chunks(chunk).for_each(|bytes| stderr.take(bytes));
            let tail: Vec<u8> = stderr.tail.iter().copied().collect();
            assert_eq!(
                (&stderr.head[..], &tail[..], stderr.dropped),
                (&all[..65_536], &all[300_000 - 65_536..], 300_000 - 131_072)
            );
        }
    }

    #[test]
    fn a_short_one_is_kept_whole() {
        let mut stderr = Stderr::default();
        stderr.take(b"one\n");
        stderr.take(b"two\n");
        let mut log = Vec::new();
        stderr.log(7, "seven", false, &mut log);
        assert_eq!(stderr.last_words(), "one\ntwo\n");
        assert_eq!(
            String::from_utf8(log).unwrap(),
            "{\"item\":7,\"name\":\"seven\",\"head\":\"one\\ntwo\\n\",\"tail\":\"\",\"dropped_bytes\":0}\n"
        );
    }

    #[test]
    fn the_last_words_are_bounded_text_even_of_bytes_that_are_none() {
        let mut stderr = Stderr::default();
        stderr.take(&[0xff; 5_000]);
        assert_eq!(stderr.last_words(), "\u{fffd}".repeat(STDERR_IN_MANIFEST_BYTES / 3));
    }

    #[test]
    fn progress_lines_are_told_whatever_the_pieces_they_arrive_in() {
        let progress = Arc::new(TaskProgress::default());
        let said = || progress.said.lock().unwrap().clone();
        let mut stderr = Stderr::telling(Arc::clone(&progress));
        stderr.take(b"noise\ngridmill: prog");
        assert_eq!(said(), None);
        stderr.take(b"ress 0.25 reading\n");
        assert_eq!(said(), Some((0.25, "reading".into())));
        stderr.take(b"openjd_progress: 50\n");
        assert_eq!(said(), Some((0.5, "reading".into())));
        stderr.take(b"openjd_status: writing it\ngridmill: progress 7\n");
        assert_eq!(said(), Some((0.5, "writing it".into())));
        stderr.clear();
        assert_eq!(said(), None);
    }
}
