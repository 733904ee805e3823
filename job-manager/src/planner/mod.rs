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
use grid_core::pipeline::{ItemSource, List, Stage};
use grid_core::split::LongRecord;
use grid_core::submission::Submission;
use infra::grid::{Grid, Sources};
use infra::inputs::InputError;

use self::chunks::{ChunkWriter, Place, Target};

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

/// Plans a `split` or `list: FILE` stage: writes its chunks, tells `on_chunk` of each, and writes the summary. A plan that
/// is complete already is returned as it is.
pub async fn plan(
    grid: &Grid,
    submission: &Submission,
    stage: &Stage,
    mut on_chunk: impl FnMut(PlanProgress) + Send,
) -> Result<PlanSummary, PlanError> {
    let place = Place { objects: grid.objects.clone(), job: submission.job.clone(), stage: stage.name.clone() };
    if let Some(summary) = place.written_before().await? {
        return Ok(summary);
    }
    let target = Target { place: Some(place), on_chunk: &mut on_chunk };
    find_items(&grid.sources, submission, stage, target).await
}

/// What [`plan`] would plan; writes nothing.
pub async fn count(sources: &Sources, submission: &Submission, stage: &Stage) -> Result<PlanSummary, PlanError> {
    find_items(sources, submission, stage, Target { place: None, on_chunk: &mut |_| {} }).await
}

async fn find_items(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    target: Target<'_>,
) -> Result<PlanSummary, PlanError> {
    match &stage.items {
        ItemSource::Split(split) => split::plan(sources, submission, stage, split, ChunkWriter::new(target)).await,
        ItemSource::List(List::File(_)) => list::plan(sources, submission, stage, ChunkWriter::new(target)).await,
        _ => Err(PlanError::Unsound(format!("the items of stage {} are not found by planning", stage.name))),
    }
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
