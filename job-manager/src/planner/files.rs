//! Reading one file of an input for its cuts.

use std::ops::ControlFlow;

use futures::TryStreamExt;
use grid_core::pipeline::{Format, Input};
use grid_core::split::{Cutter, Head, HeadFinder, LongRecord, Piece, Probe, Scanner, Segment, Way};
use grid_core::submission::{Compression, PinnedFile};
use infra::grid::Sources;
use infra::inputs::{open, open_from};

use crate::planner::PlanError;
use crate::planner::slices::SliceWriter;

/// The first read for a head or a line's end; nearly always enough.
const FIRST_READ_BYTES: u64 = 64 << 10;

/// A file that is being planned.
pub(super) struct File<'a> {
    pub sources: &'a Sources,
    pub input: &'a Input,
    pub file: &'a PinnedFile,
    /// Its place in the input's list of files.
    pub number: u32,
    pub way: Way,
}

/// What must be known of a file before it is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub head: Head,
    /// Where its content ends; `None` where only cutting it will tell.
    pub end: Option<u64>,
    /// Records, where they were counted on the way.
    pub records: Option<u64>,
}

impl Measured {
    /// Bytes of records, as far as they are known.
    pub fn bytes(&self) -> u64 {
        self.end.map_or(0, |end| end - self.head.start)
    }
}

impl File<'_> {
    /// Finds the head, and the length of a compressed file that stays in one piece.
    pub async fn measure(&self) -> Result<Measured, PlanError> {
        let head = self.head().await?;
        match (self.file.compression, self.way) {
            (Compression::None, _) => Ok(Measured { head, end: Some(self.file.size), records: None }),
            (_, Way::Whole) => self.count(head).await,
            (_, Way::Exact | Way::Probe | Way::Scan) => Ok(Measured { head, end: None, records: None }),
        }
    }

    /// Cuts the file, hands every piece to `slices`, and returns where its content ends.
    pub async fn cut(
        &self,
        measured: Measured,
        cutter: Cutter,
        slices: &mut SliceWriter<'_>,
    ) -> Result<u64, PlanError> {
        match (self.way, measured.end) {
            (Way::Scan, _) => self.scan(measured.head.start, cutter, slices).await,
            (Way::Whole | Way::Exact | Way::Probe, None) => {
                Err(PlanError::Unsound(format!("the length of {} is not known", self.file.uri)))
            }
            (Way::Whole, Some(end)) => {
                if let Some(piece) = cutter.finish(end, false) {
                    slices.take(Piece { records: measured.records, ..piece }).await?;
                }
                Ok(end)
            }
            (Way::Exact | Way::Probe, Some(end)) => {
                self.seek(end, cutter, slices).await?;
                Ok(end)
            }
        }
    }

    async fn head(&self) -> Result<Head, PlanError> {
        let mut finder = HeadFinder::new(self.input.format, self.input.header, self.input.max_record.0);
        if finder.needs_nothing() {
            return Ok(finder.finish(0));
        }
        let mut head = None;
        let size = self
            .read(0, |piece| {
                head = finder.push(piece)?;
                Ok(if head.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
            .await?;
        Ok(head.unwrap_or_else(|| finder.finish(size)))
    }

    /// Decodes the whole file; counts its records where the format has any.
    async fn count(&self, head: Head) -> Result<Measured, PlanError> {
        let mut stream = open_from(self.sources, self.file, head.start).await?;
        let mut scanner = Scanner::new(self.input.format, head.start, self.input.max_record.0);
        let has_records = self.input.format != Format::Binary;
        let (mut end, mut records) = (head.start, 0);
        while let Some(piece) = stream.try_next().await? {
            end += piece.len() as u64;
            let mut rest = &piece[..];
            while has_records && let Some(used) = scanner.next_end(rest).map_err(|fault| self.too_long(&fault))? {
                rest = &rest[used..];
                records += 1;
            }
        }
        records += u64::from(scanner.finish());
        Ok(Measured { head, end: Some(end), records: has_records.then_some(records) })
    }

    async fn scan(&self, start: u64, mut cutter: Cutter, slices: &mut SliceWriter<'_>) -> Result<u64, PlanError> {
        let mut stream = open_from(self.sources, self.file, start).await?;
        let mut scanner = Scanner::new(self.input.format, start, self.input.max_record.0);
        while let Some(piece) = stream.try_next().await? {
            let mut rest = &piece[..];
            while let Some(used) = scanner.next_end(rest).map_err(|fault| self.too_long(&fault))? {
                rest = &rest[used..];
                if let Some(piece) = cutter.record(scanner.position()) {
                    slices.take(piece).await?;
                }
            }
        }
        let end = scanner.position();
        if scanner.finish()
            && let Some(piece) = cutter.record(end)
        {
            slices.take(piece).await?;
        }
        if let Some(piece) = cutter.finish(end, true) {
            slices.take(piece).await?;
        }
        Ok(end)
    }

    /// Goes from wanted cut to wanted cut without reading what lies between.
    async fn seek(&self, end: u64, mut cutter: Cutter, slices: &mut SliceWriter<'_>) -> Result<(), PlanError> {
        while let Some(wanted) = cutter.wanted().filter(|wanted| *wanted < end) {
            let border = if self.way == Way::Exact { wanted } else { self.line_end(wanted - 1, end).await? };
            if border >= end {
                break;
            }
            slices.take(cutter.cut(border)).await?;
        }
        match cutter.finish(end, false) {
            Some(piece) => slices.take(piece).await,
            None => Ok(()),
        }
    }

    /// Where the line ends that byte `from` lies in.
    async fn line_end(&self, from: u64, end: u64) -> Result<u64, PlanError> {
        let mut probe = Probe::new(from, self.input.max_record.0);
        let mut border = None;
        self.read(from, |piece| {
            border = probe.push(piece)?;
            Ok(if border.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .await?;
        Ok(border.unwrap_or(end))
    }

    /// Reads from `from` on until `push` has enough, a little at first; returns where the reading ended.
    async fn read(
        &self,
        from: u64,
        mut push: impl FnMut(&[u8]) -> Result<ControlFlow<()>, LongRecord> + Send,
    ) -> Result<u64, PlanError> {
        let is_plain = self.file.compression == Compression::None;
        let (mut at, mut window) = (from, FIRST_READ_BYTES);
        loop {
            let mut stream = if is_plain {
                open(self.sources, self.file, at, window.min(self.file.size.saturating_sub(at))).await?
            } else {
                open_from(self.sources, self.file, at).await?
            };
            while let Some(piece) = stream.try_next().await? {
                at += piece.len() as u64;
                if push(&piece).map_err(|fault| self.too_long(&fault))?.is_break() {
                    return Ok(at);
                }
            }
            if !is_plain || at >= self.file.size {
                return Ok(at);
            }
            window = window.saturating_mul(8);
        }
    }

    fn too_long(&self, fault: &LongRecord) -> PlanError {
        PlanError::long_record(&self.file.uri, fault)
    }

    /// The header as a segment of this file.
    pub fn header(&self, head: Head) -> Option<Segment> {
        head.header.map(|(start, len)| Segment { file: self.number, start, len })
    }
}
