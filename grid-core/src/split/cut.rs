//! Which record ends become cuts.

use crate::pipeline::{Format, SplitBy};
use crate::submission::Compression;

/// How the cuts of one file are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The file stays in one piece.
    Whole,
    /// At any byte: nothing is read.
    Exact,
    /// Where the line ends that a wanted cut falls into: a short read a cut.
    Probe,
    /// All records are read, one after the other. The only safe way for CSV: at an arbitrary offset nobody knows
    /// whether it lies inside quotes.
    Scan,
}

impl Way {
    /// The way for a file. A compressed file can only be read from its beginning, so that rules about bytes leave it
    /// in one piece. Fails where the rule counts records and the format has none.
    pub fn of(format: Format, by: SplitBy, compression: Compression) -> Result<Self, String> {
        let is_compressed = compression != Compression::None;
        match (by, format) {
            (SplitBy::Lines { .. } | SplitBy::Records { .. }, Format::Binary) => {
                Err("a binary input has neither lines nor records: split it by bytes, even or files".into())
            }
            (SplitBy::Lines { .. } | SplitBy::Records { .. }, _) => Ok(Self::Scan),
            (SplitBy::Files { .. }, _) => Ok(Self::Whole),
            (SplitBy::Bytes { .. } | SplitBy::Even { .. }, _) if is_compressed => Ok(Self::Whole),
            (SplitBy::Bytes { .. } | SplitBy::Even { .. }, Format::Binary) => Ok(Self::Exact),
            (SplitBy::Bytes { .. } | SplitBy::Even { .. }, Format::Text | Format::Ndjson) => Ok(Self::Probe),
            (SplitBy::Bytes { .. } | SplitBy::Even { .. }, Format::Csv) => Ok(Self::Scan),
        }
    }
}

/// When a piece is full. Offsets count the bytes of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutRule {
    /// Never before the end of the file.
    Never,
    /// At the first border at or after every multiple of so many bytes.
    Every(u64),
    /// After so many records.
    Records(u64),
    /// At the first border at or after every `parts`-th part of `total` bytes.
    Even {
        /// Bytes of records in all files.
        total: u64,
        /// Pieces wanted.
        parts: u32,
    },
}

impl CutRule {
    /// The rule for an input (a line of a CSV is a row: no item ends inside one) whose records are `total` bytes (which only `even` needs to know).
    pub fn of(by: SplitBy, total: u64) -> Self {
        match by {
            SplitBy::Bytes { target } => Self::Every(target.0),
            SplitBy::Lines { count } | SplitBy::Records { count } => Self::Records(count),
            SplitBy::Files { .. } => Self::Never,
            SplitBy::Even { parts } => Self::Even { total, parts },
        }
    }

    /// Whether its offsets go through all files rather than beginning anew in each.
    pub fn spans_files(self) -> bool {
        matches!(self, Self::Even { .. })
    }

    /// The first wanted cut after `offset`.
    fn after(self, offset: u64) -> Option<u64> {
        match self {
            Self::Never | Self::Records(_) => None,
            Self::Every(bytes) => (offset / bytes.max(1) + 1).checked_mul(bytes.max(1)),
            Self::Even { total: 0, .. } => None,
            Self::Even { total, parts } => {
                let (total, parts) = (u128::from(total), u128::from(parts));
                let number = ((u128::from(offset) + 1) * parts).div_ceil(total);
                (number < parts).then(|| u64::try_from(number * total / parts).ok()).flatten()
            }
        }
    }
}

/// A piece of one file between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The file's place in the input's list of files.
    pub file: u32,
    /// The first byte.
    pub start: u64,
    /// After the last byte.
    pub end: u64,
    /// Records in it, where they were counted.
    pub records: Option<u64>,
    /// Whether an item ends here, or may go on in the next file.
    pub closes: bool,
}

/// Cuts one file.
#[derive(Clone, Debug)]
pub struct Cutter {
    rule: CutRule,
    file: u32,
    /// Where the file's records start, and which offset of the rule that is.
    origin: (u64, u64),
    start: u64,
    records: u64,
    wanted: Option<u64>,
    /// A piece that is full. It waits until another record is found, because the empty lines at the end of a CSV are
    /// no item of their own.
    full: Option<Piece>,
}

impl Cutter {
    /// A cutter for a file whose records start at `start`, which is the offset `base` of the rule (0 where the rule
    /// is for each file by itself).
    pub fn new(rule: CutRule, file: u32, start: u64, base: u64) -> Self {
        let wanted = rule.after(base);
        Self { rule, file, origin: (start, base), start, records: 0, wanted, full: None }
    }

    /// The first byte of the file at or after which the next cut is wanted.
    pub fn wanted(&self) -> Option<u64> {
        let (start, base) = self.origin;
        self.wanted.map(|offset| start + (offset - base))
    }

    /// A record ends at `end`; returns a piece that became final by that.
    pub fn record(&mut self, end: u64) -> Option<Piece> {
        let done = self.full.take();
        self.records += 1;
        let is_full = match self.rule {
            CutRule::Never => false,
            CutRule::Records(count) => self.records >= count,
            CutRule::Every(_) | CutRule::Even { .. } => self.wanted().is_some_and(|wanted| end >= wanted),
        };
        if is_full {
            let piece = self.piece(end, Some(self.records));
            self.full = Some(piece);
        }
        done
    }

    /// Cuts at `border`, records not being counted.
    pub fn cut(&mut self, border: u64) -> Piece {
        self.piece(border, None)
    }

    /// The file's records end at `end`; `counts` says whether records were counted.
    pub fn finish(mut self, end: u64, counts: bool) -> Option<Piece> {
        if self.records == 0
            && let Some(full) = self.full
        {
            return Some(Piece { end, ..full });
        }
        if self.start == end {
            return None;
        }
        let closes = match self.rule {
            CutRule::Even { .. } => self.wanted().is_some_and(|wanted| wanted <= end),
            CutRule::Never => false,
            CutRule::Every(_) | CutRule::Records(_) => true,
        };
        let records = counts.then_some(self.records);
        Some(Piece { closes, ..self.piece(end, records) })
    }

    fn piece(&mut self, end: u64, records: Option<u64>) -> Piece {
        let piece = Piece { file: self.file, start: self.start, end, records, closes: true };
        let (start, base) = self.origin;
        self.start = end;
        self.records = 0;
        self.wanted = self.rule.after(base + (end - start));
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_cuts_are_wanted_where_the_parts_end() {
        let rule = CutRule::Even { total: 10, parts: 3 };
        assert_eq!((rule.after(0), rule.after(3), rule.after(6)), (Some(3), Some(6), None));
        let rule = CutRule::Even { total: 2, parts: 5 };
        assert_eq!((rule.after(0), rule.after(1)), (Some(1), None));
        assert_eq!(CutRule::Even { total: u64::MAX, parts: u32::MAX }.after(u64::MAX - 1), None);
    }

    #[test]
    fn one_long_record_uses_up_every_cut_inside_it() {
        let mut cutter = Cutter::new(CutRule::Every(10), 0, 5, 0);
        assert_eq!(cutter.wanted(), Some(15));
        assert_eq!(cutter.cut(47).end, 47);
        assert_eq!(cutter.wanted(), Some(55));
    }

    #[test]
    fn empty_lines_after_the_last_record_stay_with_it() {
        let mut cutter = Cutter::new(CutRule::Records(1), 7, 0, 0);
        assert_eq!(cutter.record(4), None);
        let first = Piece { file: 7, start: 0, end: 4, records: Some(1), closes: true };
        assert_eq!(cutter.record(8), Some(first));
        let last = Piece { file: 7, start: 4, end: 10, records: Some(1), closes: true };
        assert_eq!(cutter.finish(10, true), Some(last));
    }

    #[test]
    fn lines_of_a_binary_input_are_refused() {
        let refusal = Way::of(Format::Binary, SplitBy::Lines { count: 1 }, Compression::None);
        assert!(refusal.is_err_and(|message| message.contains("even")));
    }
}
