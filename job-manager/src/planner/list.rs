//! Planning a `list: FILE` stage: one item a line.

use grid_core::items::plan::{ChunkItems, PlanSummary};
use grid_core::pipeline::{ListItem, Stage};
use grid_core::submission::Submission;
use infra::grid::Sources;

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;
use crate::planner::lines::ListReader;
use crate::planner::repeats::{Repeats, hash_of};

/// Faults shown at once.
const MAX_FAULTS: usize = 20;

/// Reads the stage's list, and hands its values to `writer`.
pub(super) async fn plan(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    mut writer: ChunkWriter<'_, ListItem>,
) -> Result<PlanSummary, PlanError> {
    let file = submission
        .lists
        .get(stage.name.as_str())
        .ok_or_else(|| PlanError::Unsound(format!("the list of stage {} was not pinned", stage.name)))?;
    let mut faults = Faults::default();
    let mut repeats = Repeats::default();
    let mut lines = ListReader::open(sources, file).await?;
    while let Some((line, item)) = lines.next().await? {
        match item {
            Ok(item) => {
                repeats.see(hash_of(&item));
                // Once something is wrong, what follows is only checked.
                if faults.0.is_empty() {
                    writer.push(item, (0, None), ChunkItems::Values).await?;
                }
            }
            Err(fault) => faults.add(line, &fault),
        }
    }
    if faults.0.is_empty() {
        for (line, first) in repeats.finish(sources, file).await? {
            faults.add(line, &format!("the same item as line {first}, and both would write one output"));
        }
    }
    if !faults.0.is_empty() {
        return Err(PlanError::Input(format!("{} is no list of items: {}", file.uri, faults.0.join("; "))));
    }
    writer.finish((0, None), ChunkItems::Values).await
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, line: u64, fault: &str) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(format!("line {line}: {fault}"));
        }
    }
}
