//! Pieces become slices.

use crate::pipeline::{Format, SplitBy};
use crate::split::cut::Piece;
use crate::split::{Segment, Slice};

/// Gathers the pieces of an input's files, given in order, into slices.
#[derive(Clone, Debug)]
pub struct Gatherer {
    /// Files an item; `None` where the pieces say where an item ends.
    files: Option<u64>,
    /// Whether an item may hold pieces of several files.
    spans: bool,
    whole_records: bool,
    part: u32,
    last_file: Option<u32>,
    open: Option<Slice>,
}

impl Gatherer {
    /// A gatherer for a rule and an input of that format.
    pub fn new(by: SplitBy, format: Format) -> Self {
        let whole_records = format != Format::Binary;
        let (files, spans) = (by.files_per_item(), by.may_span_files());
        Self { whole_records, files, spans, part: 0, last_file: None, open: None }
    }

    /// Takes a piece with the header of its file; returns a slice that is complete by it.
    pub fn push(&mut self, piece: Piece, header: Option<Segment>) -> Option<Slice> {
        if !self.spans && self.last_file != Some(piece.file) {
            self.part = 0;
        }
        self.last_file = Some(piece.file);
        let segment = Segment { file: piece.file, start: piece.start, len: piece.end - piece.start };
        let (part, whole_records) = (self.part, self.whole_records);
        let begin = || Slice { segments: Vec::new(), header, part, records: Some(0), whole_records };
        let open = self.open.get_or_insert_with(begin);
        open.segments.push(segment);
        open.records = open.records.zip(piece.records).map(|(sum, more)| sum + more);
        let closes = match self.files {
            Some(files) => open.segments.len() as u64 >= files,
            None => piece.closes || !self.spans,
        };
        if closes { self.finish() } else { None }
    }

    /// The slice that is still open after the last piece.
    pub fn finish(&mut self) -> Option<Slice> {
        let slice = self.open.take();
        self.part = self.part.saturating_add(u32::from(slice.is_some()));
        slice
    }
}
