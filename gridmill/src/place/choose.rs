//! Which job, which stage and which item are meant.

use grid_api::JobStatus;
use grid_core::ids::JobId;
use job_manager::view::JobHead;
use uuid::Uuid;

use super::Place;
use crate::client::Client;
use crate::exit::Outcome;
use crate::local;

impl Place {
    /// The job that is meant: the newest, or the one whose id holds the text.
    pub async fn choose(&self, text: Option<&str>) -> Outcome<JobId> {
        match self {
            Self::Here(here) => local::choose(&here.grid, text).await,
            Self::There(client) => choose_there(client, text).await,
        }
    }

    /// Where the job stands that is meant.
    pub async fn chosen(&self, text: Option<&str>) -> Outcome<JobStatus> {
        let job = self.choose(text).await?;
        self.status(&job).await
    }
}

async fn choose_there(client: &Client, text: Option<&str>) -> Outcome<JobId> {
    if let Some(text) = text.filter(|text| Uuid::parse_str(text).is_ok()) {
        return Ok(JobId::new(text));
    }
    // Without a text only the newest is looked at.
    let most = if text.is_none() { 1 } else { usize::MAX };
    let mut jobs: Vec<JobHead> = client.jobs(None).take(most).await?.into_iter().map(head).collect();
    jobs.reverse();
    local::choose_among(&jobs, text)
}

fn head(job: grid_api::JobSummary) -> JobHead {
    JobHead { job: job.job, pipeline: job.pipeline, submitted: job.submitted }
}
