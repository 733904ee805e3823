//! From inputs to plan chunks: which items a `split` or a `list: FILE` stage has.
//!
//! Planning says the same every time, so that a crash in the middle and planning again do no harm. Memory does not grow
//! with the number of items: chunks are written as they are found.

mod chunks;
mod files;
mod lines;
mod list;
mod repeats;
mod slices;
mod split;
#[cfg(test)]
mod tests;

use grid_core::items::plan::PlanSummary;
use grid_core::pipeline::Stage;
use grid_core::split::LongRecord;
use grid_core::submission::Submission;
use infra::grid::{Grid, Sources};
use infra::inputs::InputError;

use self::chunks::ChunkWriter;

/// How far a plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanProgress {
    /// Items written.
    pub items: u32,
    /// Bytes of input in them.
    pub bytes: u64,
    /// Records in them, where they are counted.
    pub records: Option<u64>,
}

/// Why a stage cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The input, or what the pipeline wants of it, is at fault: the user has to change something.
    #[error("{0}")]
    Input(String),
    /// The plan is not what it must be, which is our fault: nothing may be built on it.
    #[error("{0}")]
    Unsound(String),
    /// A store failed; planning again may help where the error is transient.
    #[error("failed to plan")]
    Store(#[source] infra::Error),
}

/// Plans a `split` stage: writes its chunks, tells `on_chunk` of each, and writes the summary. A plan that is complete
/// already is returned as it is.
pub async fn plan_split(
    grid: &Grid,
    submission: &Submission,
    stage: &Stage,
    mut on_chunk: impl FnMut(PlanProgress) + Send,
) -> Result<PlanSummary, PlanError> {
    let mut writer = ChunkWriter::stored(grid.objects.clone(), submission, stage, &mut on_chunk);
    match writer.written_before().await? {
        Some(summary) => Ok(summary),
        None => split::plan(&grid.sources, submission, stage, writer).await,
    }
}

/// Plans a `list: FILE` stage like [`plan_split`].
pub async fn plan_list(
    grid: &Grid,
    submission: &Submission,
    stage: &Stage,
    mut on_chunk: impl FnMut(PlanProgress) + Send,
) -> Result<PlanSummary, PlanError> {
    let mut writer = ChunkWriter::stored(grid.objects.clone(), submission, stage, &mut on_chunk);
    match writer.written_before().await? {
        Some(summary) => Ok(summary),
        None => list::plan(&grid.sources, submission, stage, writer).await,
    }
}

/// What [`plan_split`] would plan; writes nothing.
pub async fn count_split(sources: &Sources, submission: &Submission, stage: &Stage) -> Result<PlanSummary, PlanError> {
    split::plan(sources, submission, stage, ChunkWriter::dry(&mut |_| {})).await
}

/// What [`plan_list`] would plan; writes nothing.
pub async fn count_list(sources: &Sources, submission: &Submission, stage: &Stage) -> Result<PlanSummary, PlanError> {
    list::plan(sources, submission, stage, ChunkWriter::dry(&mut |_| {})).await
}

impl PlanError {
    /// A record of `file` is too long.
    fn long_record(file: &str, fault: &LongRecord) -> Self {
        Self::Input(format!("{file}: {fault}"))
    }
}

impl From<infra::Error> for PlanError {
    fn from(error: infra::Error) -> Self {
        match InputError::of(&error) {
            Some(fault) => Self::Input(fault.to_string()),
            None => Self::Store(error),
        }
    }
}
