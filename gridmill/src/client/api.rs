//! What can be asked of a manager, call by call.

use std::collections::VecDeque;

use grid_api::{JobState, JobStatus, JobSummary, Page, PoolStatus, Receipt, Redrive, Redriven, WorkerStatus};
use grid_core::ids::JobId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Client, ClientError, Repeat, Route};

/// What is wished of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It ends.
    Cancel,
    /// Nothing more of it is handed out.
    Pause,
    /// It goes on.
    Resume,
}

/// A list, read page by page.
pub struct Pages<'a, T> {
    client: &'a Client,
    route: Route,
    entries: VecDeque<T>,
    cursor: Option<String>,
    is_last: bool,
}

/// The part that we need of what a manager says of a job.
#[derive(Deserialize)]
struct Now {
    state: JobState,
}

impl Client {
    /// The jobs, the newest first; all of them, or those of one state.
    pub fn jobs(&self, state: Option<JobState>) -> Pages<'_, JobSummary> {
        self.pages(Route::v1(["jobs"]).query_some("state", state.map(JobState::as_str)))
    }

    /// The same jobs, each with where its stages stand: no request a job.
    pub fn jobs_with_stages(&self, state: Option<JobState>) -> Pages<'_, JobSummary> {
        let route = Route::v1(["jobs"]).query_some("state", state.map(JobState::as_str));
        self.pages(route.query_some("stages", Some("true")))
    }

    /// Where a job stands.
    pub async fn status(&self, job: &JobId) -> Result<JobStatus, ClientError> {
        self.get(&Route::v1(["jobs", job.as_str()])).await
    }

    /// The balance of a job that has ended.
    pub async fn receipt(&self, job: &JobId) -> Result<Receipt, ClientError> {
        self.get(&Route::v1(["jobs", job.as_str(), "receipt"])).await
    }

    /// Cancels, pauses or resumes a job. Answers the state that it is in now.
    pub async fn wish(&self, job: &JobId, wish: Wish) -> Result<JobState, ClientError> {
        let route = Route::v1(["jobs", job.as_str(), wish.verb()]);
        let now: Now = self.post(&route, &json!({}), Repeat::Harmless).await?;
        Ok(now.state)
    }

    /// Runs dead items again.
    pub async fn redrive(&self, job: &JobId, redrive: &Redrive) -> Result<Redriven, ClientError> {
        // A second one would find the items running, and answer that there are none.
        self.post(&Route::v1(["jobs", job.as_str(), "redrive"]), redrive, Repeat::IfNotDone).await
    }

    /// The workers in sight.
    pub fn workers(&self) -> Pages<'_, WorkerStatus> {
        self.pages(Route::v1(["workers"]))
    }

    /// The pools in sight.
    pub fn pools(&self) -> Pages<'_, PoolStatus> {
        self.pages(Route::v1(["pools"]))
    }

    /// The list at a route.
    pub fn pages<T: DeserializeOwned>(&self, route: Route) -> Pages<'_, T> {
        Pages { client: self, route, entries: VecDeque::new(), cursor: None, is_last: false }
    }
}

impl<T: DeserializeOwned> Pages<'_, T> {
    /// The next entry; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        while self.entries.is_empty() && !self.is_last {
            let route = self.route.clone().query_some("cursor", self.cursor.as_deref());
            let page: Page<T> = self.client.get(&route).await?;
            self.entries = page.entries.into();
            self.is_last = page.next_cursor.is_none();
            self.cursor = page.next_cursor;
        }
        Ok(self.entries.pop_front())
    }

    /// As many as there are, at most `most`.
    pub async fn take(mut self, most: usize) -> Result<Vec<T>, ClientError> {
        let mut found = Vec::new();
        while found.len() < most
            && let Some(entry) = self.next().await?
        {
            found.push(entry);
        }
        Ok(found)
    }
}

impl Wish {
    /// As routes have it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}
