//! The dead letters of a job, one after the other.

use std::ops::ControlFlow;

use grid_api::{DeadLetter, JobStatus};
use grid_core::ids::StageName;
use job_manager::view::JobView;

use super::Place;
use crate::client::Route;
use crate::exit::Outcome;

impl Place {
    /// Visits the dead letters of a job, or of one stage of it, in the order of stages and items, until told to break.
    pub async fn each_dead(
        &self,
        status: &JobStatus,
        only: Option<&StageName>,
        mut visit: impl FnMut(DeadLetter) -> Outcome<ControlFlow<()>>,
    ) -> Outcome<()> {
        match self {
            Self::Here(here) => {
                let view = JobView::open(&here.grid, &status.job).await?;
                let stages = status.stages.iter().map(|stage| &stage.name);
                for stage in stages.filter(|stage| only.is_none_or(|only| only == *stage)) {
                    let mut letters = view.dead_letters(stage);
                    while let Some(letter) = letters.next().await? {
                        if visit(letter)?.is_break() {
                            return Ok(());
                        }
                    }
                }
            }
            Self::There(client) => {
                let route = Route::v1(["jobs", status.job.as_str(), "dead"]);
                let mut letters = client.pages(route.query_some("stage", only.map(StageName::as_str)));
                while let Some(letter) = letters.next().await? {
                    if visit(letter)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
