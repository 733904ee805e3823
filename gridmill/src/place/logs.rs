//! What the commands of a job wrote to standard error, entry by entry.

use grid_api::{JobStatus, LogEntry};
use grid_core::ids::StageName;
use job_manager::view::{ItemLog, JobView, Logs};

use super::{Here, Place};
use crate::client::Route;
use crate::exit::Outcome;
use crate::local;

/// Whose logs are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of all items of all stages.
    All,
    /// Of all items of a stage.
    Stage(StageName),
    /// Of one item, by its name or as `#INDEX`.
    Item(StageName, String),
}

impl Place {
    /// Visits the logs of a job, as many as there are by now.
    pub async fn each_log(
        &self,
        status: &JobStatus,
        whose: &Whose,
        mut visit: impl FnMut(LogEntry) -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Here(here) => each_here(here, status, whose, visit).await,
            Self::There(client) => {
                let root = ["jobs", status.job.as_str(), "logs"];
                let parts: Vec<&str> = match whose {
                    Whose::All => Vec::new(),
                    Whose::Stage(stage) => vec![stage.as_str()],
                    Whose::Item(stage, item) => vec![stage.as_str(), item],
                };
                let mut lines = client.lines(&Route::v1(root.into_iter().chain(parts))).await?;
                while let Some(entry) = lines.next().await? {
                    visit(entry)?;
                }
                Ok(())
            }
        }
    }
}

async fn each_here(
    here: &Here,
    status: &JobStatus,
    whose: &Whose,
    mut visit: impl FnMut(LogEntry) -> Outcome<()>,
) -> Outcome<()> {
    let view = JobView::open(&here.grid, &status.job).await?;
    let (stages, item) = match whose {
        Whose::All => (status.stages.iter().map(|stage| stage.name.clone()).collect(), None),
        Whose::Stage(stage) => (vec![stage.clone()], None),
        Whose::Item(stage, item) => (vec![stage.clone()], Some(local::find_item(&view, stage, item).await?)),
    };
    for stage in stages {
        let mut logs = Logs::new(&view, stage, item);
        while let Some(ItemLog { stage, index, item, attempt, head, tail, dropped_bytes }) = logs.next().await? {
            visit(LogEntry { stage, index, item, attempt, head, tail, dropped_bytes })?;
        }
    }
    Ok(())
}
