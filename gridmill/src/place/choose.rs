//! Which job is meant.

use grid_api::{JobStatus, JobSummary};
use grid_core::ids::JobId;
use job_manager::view::{self, JobHead, NoSuchJob};
use uuid::Uuid;

use super::Place;
use crate::client::Client;
use crate::exit::Outcome;
use crate::local;

impl Place {
    /// The job that is meant: the newest, or the one whose id holds the text; or why none is.
    pub async fn look_up(&self, text: Option<&str>) -> Outcome<Result<JobId, NoSuchJob>> {
        match self {
            Self::Here(here) => Ok(local::among(&view::all_jobs(&here.grid).await?, text)),
            Self::There(client) => look_up_there(client, text).await,
        }
    }

    /// As [`look_up`](Self::look_up), of a job that must be there.
    pub async fn choose(&self, text: Option<&str>) -> Outcome<JobId> {
        let start = match self {
            Self::Here(_) => local::START_HERE,
            Self::There(_) => "start one with `gridmill submit FILE`",
        };
        self.look_up(text).await?.map_err(|error| local::no_such_job(error, start))
    }

    /// Where the job stands that is meant.
    pub async fn chosen(&self, text: Option<&str>) -> Outcome<JobStatus> {
        let job = self.choose(text).await?;
        self.status(&job).await
    }
}

async fn look_up_there(client: &Client, text: Option<&str>) -> Outcome<Result<JobId, NoSuchJob>> {
    if let Some(text) = text.filter(|text| Uuid::parse_str(text).is_ok()) {
        return Ok(Ok(JobId::new(text)));
    }
    // Without a text only the newest is looked at.
    let most = if text.is_none() { 1 } else { usize::MAX };
    let mut jobs: Vec<JobHead> = client.jobs(None).take(most).await?.into_iter().map(head).collect();
    jobs.reverse();
    Ok(local::among(&jobs, text))
}

fn head(job: JobSummary) -> JobHead {
    JobHead { job: job.job, pipeline: job.pipeline, submitted: job.submitted }
}
