//! The list of jobs, page by page, the newest first.

use futures::{StreamExt, TryStreamExt, stream};
use grid_api::{JobState, JobStatus, JobSummary};
use grid_core::ids::JobId;
use grid_core::job::Meta;
use grid_core::rows::{JOBS, JobRow};
use infra::Grid;

use super::JobView;
use crate::ManagerError;
use crate::control::read_state;
use crate::finish::rfc3339;

/// Rows read at a time.
const PAGE: usize = 100;

/// Rows read for one page of the list: a filter that fits few jobs gives short pages rather than long waits.
const MAX_READ: usize = 1_000;

/// Jobs of which it is found out at a time where they stand.
const AT_ONCE: usize = 16;

/// Which jobs are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those of this tenant.
    pub tenant: Option<String>,
    /// How much is said of each.
    pub detail: Detail,
}

/// How much is said of a job in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Where it stands.
    #[default]
    State,
    /// Where each of its stages stands, too.
    Stages,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<JobSummary>,
    /// The last job that was looked at; none when there are no older ones.
    pub next: Option<JobId>,
}

/// Up to `limit` jobs that the filter lets through and that were submitted before `before`.
pub async fn list_jobs(
    grid: &Grid,
    filter: &JobFilter,
    before: Option<&JobId>,
    limit: usize,
) -> Result<JobPage, ManagerError> {
    let mut page = JobPage { jobs: Vec::new(), next: before.cloned() };
    let mut read = 0;
    while page.jobs.len() < limit && read < MAX_READ {
        let before = page.next.as_ref().map(JobId::as_str);
        let rows = grid.state.query_back(JOBS, before, PAGE).await?;
        let is_last = rows.len() < PAGE;
        read += rows.len();
        let heads = rows.into_iter().map(head).collect::<Result<Vec<_>, _>>()?;
        let wanted = |row: &JobRow| filter.tenant.as_ref().is_none_or(|tenant| *tenant == row.tenant);
        let mut summaries = stream::iter(heads)
            .map(|(job, row)| async move {
                let summary = if wanted(&row) { Some(summary(grid, &job, row, filter.detail).await?) } else { None };
                Ok::<_, ManagerError>((job, summary))
            })
            .buffered(AT_ONCE);
        while let Some((job, summary)) = summaries.try_next().await? {
            page.next = Some(job);
            page.jobs.extend(summary.filter(|it| filter.state.is_none_or(|state| state == it.state)));
            if page.jobs.len() == limit {
                return Ok(page);
            }
        }
        if is_last {
            page.next = None;
            break;
        }
    }
    Ok(page)
}

fn head(row: infra::state::Row) -> Result<(JobId, JobRow), ManagerError> {
    let read = serde_json::from_slice(&row.body)
        .map_err(|error| ManagerError::damaged(format!("row {JOBS}/{}", row.key.sort), error))?;
    Ok((JobId::new(row.key.sort), read))
}

/// A job as the list shows it.
pub async fn summary(grid: &Grid, job: &JobId, row: JobRow, detail: Detail) -> Result<JobSummary, ManagerError> {
    match detail {
        Detail::State => state_of(grid, job, row).await,
        Detail::Stages => match JobView::open(grid, job).await {
            Ok(view) => Ok(with_stages(view.status, row.tenant)),
            // What is wrong with it is said below.
            Err(ManagerError::Damaged { .. }) => state_of(grid, job, row).await,
            Err(error) => Err(error),
        },
    }
}

fn with_stages(status: JobStatus, tenant: String) -> JobSummary {
    let JobStatus { job, pipeline, state, message, submitted, finished, stages } = status;
    JobSummary { job, pipeline, tenant, state, submitted, finished, message, stages: Some(stages) }
}

async fn state_of(grid: &Grid, job: &JobId, row: JobRow) -> Result<JobSummary, ManagerError> {
    let meta = match read_state(grid, job).await {
        Ok(meta) => meta.unwrap_or_else(|| Meta::new(&row.pipeline)),
        // One damaged job must not hide the others.
        Err(error @ ManagerError::Damaged { .. }) => {
            tracing::error!(%job, error = crate::error::with_causes(&error), "a job cannot be read");
            Meta { state: JobState::Quarantined, ..Meta::new(&row.pipeline) }
        }
        Err(error) => return Err(error),
    };
    Ok(JobSummary {
        job: job.clone(),
        pipeline: row.pipeline,
        tenant: row.tenant,
        state: meta.state,
        submitted: row.submitted,
        finished: meta.finished_ms.map(rfc3339),
        message: None,
        stages: None,
    })
}
