//! Planning a `split` stage.

use async_trait::async_trait;
use grid_core::items::encode_slices;
use grid_core::items::plan::{ChunkItems, PlanSummary};
use grid_core::pipeline::{Input, ItemSource, Split, SplitBy, Stage};
use grid_core::split::{CutRule, Cutter, Gatherer, Piece, Prover, Segment, Slice, Way};
use grid_core::submission::{PinnedFile, Submission};
use infra::grid::Sources;

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;
use crate::planner::files::{File, Measured, PieceSink};

/// Cuts the stage's input, proves the plan while it is made, and hands the slices to `writer`.
pub(super) async fn plan(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    writer: ChunkWriter<'_, Slice>,
) -> Result<PlanSummary, PlanError> {
    let ItemSource::Split(split) = &stage.items else {
        return Err(PlanError::Unsound(format!("stage {} takes its items from elsewhere", stage.name)));
    };
    let (input, files) = input_of(submission, split)?;
    let files = files
        .iter()
        .enumerate()
        .map(|(number, file)| {
            let way = Way::of(input.format, split.by, file.compression)
                .map_err(|fault| PlanError::Input(format!("stage {}: {fault}", stage.name)))?;
            let number = u32::try_from(number)
                .map_err(|_| PlanError::Input(format!("input {} has too many files", split.input)))?;
            Ok(File { sources, input, file, number, way })
        })
        .collect::<Result<Vec<_>, PlanError>>()?;
    let mut planner = Planner { gatherer: Gatherer::new(split.by, input.format), prover: Prover::default(), writer };
    planner.cut_all(&files, split.by).await?;
    planner.finish().await
}

fn input_of<'a>(submission: &'a Submission, split: &Split) -> Result<(&'a Input, &'a [PinnedFile]), PlanError> {
    let name = &split.input;
    let input = submission.pipeline.inputs.get(name);
    let files = submission.inputs.get(name);
    match (input, files) {
        (Some(input), Some(files)) => Ok((input, files)),
        _ => Err(PlanError::Input(format!("input {name} was not given: add `--input {name}=PATH`"))),
    }
}

struct Planner<'a> {
    gatherer: Gatherer,
    prover: Prover,
    writer: ChunkWriter<'a, Slice>,
}

impl Planner<'_> {
    async fn cut_all(&mut self, files: &[File<'_>], by: SplitBy) -> Result<(), PlanError> {
        let measured = measure_for(files, by).await?;
        let total = measured.iter().map(Measured::bytes).sum();
        let rule = CutRule::of(by, total);
        let mut base = 0;
        for (at, file) in files.iter().enumerate() {
            let measured = match measured.get(at) {
                Some(measured) => *measured,
                None => file.measure().await?,
            };
            self.cut_file(file, measured, rule, base).await?;
            if rule.spans_files() {
                base += measured.bytes();
            }
        }
        Ok(())
    }

    async fn cut_file(
        &mut self,
        file: &File<'_>,
        measured: Measured,
        rule: CutRule,
        base: u64,
    ) -> Result<(), PlanError> {
        let (start, header) = (measured.head.start, file.header(measured.head));
        self.prover.begin(file.number, start);
        let cutter = Cutter::new(rule, file.number, start, base);
        let end = file.cut(measured, cutter, &mut FilePieces { planner: self, header }).await?;
        self.prover.end(end).map_err(unsound)
    }

    async fn write(&mut self, slice: Slice) -> Result<(), PlanError> {
        self.prover.slice(&slice).map_err(unsound)?;
        let so_far = self.prover.so_far();
        self.writer.push(slice, (so_far.bytes, so_far.records), encode).await
    }

    async fn finish(mut self) -> Result<PlanSummary, PlanError> {
        if let Some(slice) = self.gatherer.finish() {
            self.write(slice).await?;
        }
        let proved = self.prover.finish().map_err(unsound)?;
        self.writer.finish((proved.bytes, proved.records), encode).await
    }
}

/// The pieces of one file on their way into slices.
struct FilePieces<'a, 'w> {
    planner: &'a mut Planner<'w>,
    header: Option<Segment>,
}

#[async_trait]
impl PieceSink for FilePieces<'_, '_> {
    async fn take(&mut self, piece: Piece) -> Result<(), PlanError> {
        match self.planner.gatherer.push(piece, self.header) {
            Some(slice) => self.planner.write(slice).await,
            None => Ok(()),
        }
    }
}

/// What must be known of all files before the first cut: for equal parts, how long they are together.
async fn measure_for(files: &[File<'_>], by: SplitBy) -> Result<Vec<Measured>, PlanError> {
    let mut measured = Vec::new();
    if matches!(by, SplitBy::Even { .. }) {
        for file in files {
            measured.push(file.measure().await?);
        }
    }
    Ok(measured)
}

fn encode(slices: Vec<Slice>) -> ChunkItems {
    ChunkItems::Slices(encode_slices(&slices))
}

fn unsound(fault: String) -> PlanError {
    PlanError::Unsound(format!("the plan does not add up: {fault}"))
}
