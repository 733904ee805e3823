//! Planning a `split` stage.

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use grid_core::items::plan::PlanSummary;
use grid_core::pipeline::{Input, Split, SplitBy, Stage};
use grid_core::split::{Cutter, Slice};
use grid_core::submission::{PinnedFile, Submission};
use infra::grid::Sources;

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;
use crate::planner::files::{File, Measured};
use crate::planner::slices::SliceWriter;

/// Files measured at the same time. Each holds one piece of its store's, half a megabyte, and its decoder's window.
const MEASURED_AT_ONCE: usize = 16;

/// Cuts the stage's input, proves the plan while it is made, and hands the slices to `writer`.
pub(super) async fn plan(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    split: &Split,
    writer: ChunkWriter<'_, Slice>,
) -> Result<PlanSummary, PlanError> {
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
    // For equal parts it must be known first how long all are together.
    let (mut measured, total) = match by.needs_total() {
        true => {
            let all: Vec<Measured> = measure(files).try_collect().await?;
            let total = all.iter().map(Measured::bytes).sum();
            (stream::iter(all).map(Ok).boxed(), total)
        }
        false => (measure(files).boxed(), 0),
    };
    let rule = by.cut_rule(total);
    let mut base = 0;
    for file in files {
        let Some(measured) = measured.try_next().await? else {
            return Err(PlanError::Unsound(format!("{} was not measured", file.file.uri)));
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

/// What must be known of each file before it is cut, in their order. Several are asked at once: with many small files,
/// planning does little else than wait for them.
fn measure<'a>(files: &'a [File<'a>]) -> impl Stream<Item = Result<Measured, PlanError>> + Send + 'a {
    stream::iter(files).map(File::measure).buffered(MEASURED_AT_ONCE)
}
