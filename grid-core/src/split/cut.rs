//! Cutting a file at record ends, as a [`CutRule`] wants it.

use crate::pipeline::Format;
use crate::split::rule::CutRule;

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
    /// The way to cut at record borders near wanted offsets, in a file that can be read from anywhere.
    pub fn to_offsets(format: Format) -> Self {
        match format {
            Format::Binary => Self::Exact,
            Format::Text | Format::Ndjson => Self::Probe,
            Format::Csv => Self::Scan,
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
        let is_past_wanted = self.wanted().is_some_and(|wanted| end >= wanted);
        if self.rule.is_full(self.records, is_past_wanted) {
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
        let closes = self.rule.closes_at_end(self.wanted().is_some_and(|wanted| wanted <= end));
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
}
