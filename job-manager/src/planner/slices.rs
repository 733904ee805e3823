//! From pieces to written slices, proved on the way.

use grid_core::items::encode_slices;
use grid_core::items::plan::{ChunkItems, PlanSummary};
use grid_core::pipeline::{Format, SplitBy};
use grid_core::split::{Gatherer, Piece, Prover, Segment, Slice};

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;

/// Takes the pieces of an input's files, in order; gathers them into slices, proves these, and writes them.
pub(super) struct SliceWriter<'a> {
    gatherer: Gatherer,
    prover: Prover,
    writer: ChunkWriter<'a, Slice>,
    header: Option<Segment>,
}

impl<'a> SliceWriter<'a> {
    /// A writer for a rule and an input of that format.
    pub fn new(by: SplitBy, format: Format, writer: ChunkWriter<'a, Slice>) -> Self {
        Self { gatherer: Gatherer::new(by, format), prover: Prover::default(), writer, header: None }
    }

    /// The next file: where its records start, and its header.
    pub fn begin(&mut self, file: u32, start: u64, header: Option<Segment>) {
        self.header = header;
        self.prover.begin(file, start);
    }

    /// The next piece of the file.
    pub async fn take(&mut self, piece: Piece) -> Result<(), PlanError> {
        match self.gatherer.push(piece, self.header) {
            Some(slice) => self.write(slice).await,
            None => Ok(()),
        }
    }

    /// All pieces of the file have been taken; its content ends here.
    pub fn end(&mut self, end: u64) -> Result<(), PlanError> {
        self.prover.end(end).map_err(unsound)
    }

    /// All files have been taken: writes what is left, and the summary.
    pub async fn finish(mut self) -> Result<PlanSummary, PlanError> {
        if let Some(slice) = self.gatherer.finish() {
            self.write(slice).await?;
        }
        let proved = self.prover.finish().map_err(unsound)?;
        self.writer.finish((proved.bytes, proved.records), encode).await
    }

    async fn write(&mut self, slice: Slice) -> Result<(), PlanError> {
        self.prover.slice(&slice).map_err(unsound)?;
        let so_far = self.prover.so_far();
        self.writer.push(slice, (so_far.bytes, so_far.records), encode).await
    }
}

fn encode(slices: Vec<Slice>) -> ChunkItems {
    ChunkItems::Slices(encode_slices(&slices))
}

fn unsound(fault: String) -> PlanError {
    PlanError::Unsound(format!("the plan does not add up: {fault}"))
}
