//! Planning a `split` stage.

use grid_core::items::plan::PlanSummary;
use grid_core::pipeline::{Input, ItemSource, Split, SplitBy, Stage};
use grid_core::split::{Cutter, Slice};
use grid_core::submission::{PinnedFile, Submission};
use infra::grid::Sources;

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;
use crate::planner::files::{File, Measured};
use crate::planner::slices::SliceWriter;

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
            let way = split
                .by
                .way(input.format, file.compression)
                .map_err(|fault| PlanError::Input(format!("stage {}: {fault}", stage.name)))?;
            let number = u32::try_from(number)
                .map_err(|_| PlanError::Input(format!("input {} has too many files", split.input)))?;
            Ok(File { sources, input, file, number, way })
        })
        .collect::<Result<Vec<_>, PlanError>>()?;
    let mut slices = SliceWriter::new(split.by, input.format, writer);
    cut_all(&files, split.by, &mut slices).await?;
    slices.finish().await
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

async fn cut_all(files: &[File<'_>], by: SplitBy, slices: &mut SliceWriter<'_>) -> Result<(), PlanError> {
    let measured = measure_for(files, by).await?;
    let total = measured.iter().map(Measured::bytes).sum();
    let rule = by.cut_rule(total);
    let mut base = 0;
    for (at, file) in files.iter().enumerate() {
        let measured = match measured.get(at) {
            Some(measured) => *measured,
            None => file.measure().await?,
        };
        slices.begin(file.number, measured.head.start, file.header(measured.head));
        let cutter = Cutter::new(rule, file.number, measured.head.start, base);
        let end = file.cut(measured, cutter, slices).await?;
        slices.end(end)?;
        if rule.spans_files() {
            base += measured.bytes();
        }
    }
    Ok(())
}

/// What must be known of all files before the first cut: for equal parts, how long they are together.
async fn measure_for(files: &[File<'_>], by: SplitBy) -> Result<Vec<Measured>, PlanError> {
    let mut measured = Vec::new();
    if by.needs_total() {
        for file in files {
            measured.push(file.measure().await?);
        }
    }
    Ok(measured)
}
