//! A job and its rows: read together, written together, each row under its version and the leader's epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::job::{Job, META, Meta, RowChange, SHARD, StoredRow, shard_place};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use grid_core::rows::job_partition;
use grid_core::submission::Submission;
use infra::state::{Expect, Row, RowKey, StateStore, Write};
use infra::{ErrorKind, Grid};

use crate::ManagerError;

/// Rows read in one call.
const PAGE: usize = 500;

/// A job with the versions of its rows as they were last read or written.
#[derive(Debug)]
pub(crate) struct JobTable {
    pub job: Job,
    versions: BTreeMap<String, u64>,
    /// The job's own row as it was read, as long as nothing was written since.
    unclaimed: Option<Vec<u8>>,
}

/// How writing a job's rows went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// Every change is in the table.
    All,
    /// Some are, some are not, or it is not known: the job must be read again before anything is done for it.
    Unsure,
}

impl JobTable {
    /// Reads a job: its submission, and its rows if it has any.
    pub async fn load(grid: &Grid, id: &JobId) -> Result<Self, ManagerError> {
        let submission = Arc::new(read_submission(grid, id).await?);
        Self::of_rows(submission, all_rows(grid.state.as_ref(), &job_partition(id)).await?)
    }

    fn of_rows(submission: Arc<Submission>, rows: Vec<Row>) -> Result<Self, ManagerError> {
        let id = submission.job.clone();
        let versions = rows.iter().map(|row| (row.key.sort.clone(), row.version)).collect();
        let unclaimed = rows.iter().find(|row| row.key.sort == META).map(|row| row.body.clone());
        let stored: Vec<StoredRow> =
            rows.into_iter().map(|row| StoredRow { sort: row.key.sort, body: row.body }).collect();
        let job = if stored.is_empty() {
            Job::new(submission)
        } else {
            Job::load(submission, &stored).map_err(|error| ManagerError::damaged(format!("job {id}"), error))?
        };
        Ok(Self { job, versions, unclaimed })
    }

    /// Reads what there is of one item: the submission, and the row of its shard. `None` where the pipeline has no such stage.
    pub async fn load_around(
        grid: &Grid,
        id: &JobId,
        stage: &StageName,
        item: ItemIndex,
    ) -> Result<Option<Self>, ManagerError> {
        let submission = Arc::new(read_submission(grid, id).await?);
        if submission.pipeline.stage(stage).is_none() {
            return Ok(None);
        }
        let key = RowKey { partition: job_partition(id), sort: shard_place(stage, item / SHARD_ITEMS) };
        Self::of_rows(submission, grid.state.get(&key).await?.into_iter().collect()).map(Some)
    }

    /// Takes over the job's own row, if somebody else has written it. [`Saved::Unsure`] where it was to be changed here as well: what
    /// follows from that change, a redrive that begins, say, must not stand beside what somebody else has written.
    pub async fn adopt_meta(&mut self, grid: &Grid) -> Result<Saved, ManagerError> {
        let id = &self.job.submission().job;
        let key = RowKey { partition: job_partition(id), sort: META.to_owned() };
        let Some(row) = grid.state.get(&key).await? else { return Ok(Saved::All) };
        if self.versions.get(META) != Some(&row.version) {
            if self.job.is_meta_dirty() {
                return Ok(Saved::Unsure);
            }
            let meta = Meta::read(&row.body).map_err(|error| ManagerError::damaged(format!("job {id}"), error))?;
            tracing::info!(job = %id, state = meta.state.as_str(), "somebody wishes a job to be in another state");
            self.versions.insert(META.to_owned(), row.version);
            self.unclaimed = Some(row.body);
            self.job.adopt(meta);
        }
        Ok(Saved::All)
    }

    /// Writes what changed. A store keeps no order among rows, so two things have to wait until others are in the table: a shard's
    /// first row for its stage's, so that whoever knows the stage's row knows of every shard of which there can be one; and the job's
    /// own for all, since a job that is final is read by nobody again.
    pub async fn save(&mut self, grid: &Grid, epoch: u64) -> Result<Saved, ManagerError> {
        if !self.job.is_dirty() {
            return Ok(Saved::All);
        }
        if self.claim(grid, epoch).await? == Saved::Unsure {
            return Ok(Saved::Unsure);
        }
        let (own, others): (Vec<_>, Vec<_>) = self.job.changes().into_iter().partition(|change| change.sort == META);
        let is_new_shard =
            |change: &RowChange| change.sort.contains(SHARD) && !self.versions.contains_key(&change.sort);
        let (new_shards, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_new_shard);
        for changes in [others, new_shards, own] {
            if !changes.is_empty() && self.write(grid, epoch, changes).await? == Saved::Unsure {
                return Ok(Saved::Unsure);
            }
        }
        self.job.saved();
        Ok(Saved::All)
    }

    /// Writes the job's own row as it was read, before anything is written that follows from it: what somebody has sent before, an end,
    /// say, can take effect no more.
    async fn claim(&mut self, grid: &Grid, epoch: u64) -> Result<Saved, ManagerError> {
        let Some(body) = self.unclaimed.clone() else { return Ok(Saved::All) };
        let saved = self.write(grid, epoch, vec![RowChange { sort: META.to_owned(), body }]).await?;
        self.unclaimed = None;
        Ok(saved)
    }

    async fn write(&mut self, grid: &Grid, epoch: u64, changes: Vec<RowChange>) -> Result<Saved, ManagerError> {
        let partition = job_partition(&self.job.submission().job);
        let sorts: Vec<String> = changes.iter().map(|change| change.sort.clone()).collect();
        let writes = changes.into_iter().map(|change| Write {
            expect: self.versions.get(&change.sort).map_or(Expect::Absent, |version| Expect::Version(*version)),
            key: RowKey { partition: partition.clone(), sort: change.sort },
            epoch,
            body: Some(change.body),
            expires_ms: None,
        });
        let answers = match grid.state.write(writes.collect()).await {
            Ok(answers) => answers,
            Err(error) if error.kind == ErrorKind::Full || error.kind == ErrorKind::Denied => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "rows of a job may not be written; reading them again");
                return Ok(Saved::Unsure);
            }
        };
        let mut saved = Saved::All;
        for (sort, answer) in sorts.into_iter().zip(answers) {
            match answer {
                Ok(version) => _ = self.versions.insert(sort, version),
                Err(error) if error.kind == ErrorKind::Full => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, row = sort, "a row was not written; reading the job again");
                    saved = Saved::Unsure;
                }
            }
        }
        Ok(saved)
    }
}

/// Reads `job.json`.
pub(crate) async fn read_submission(grid: &Grid, id: &JobId) -> Result<Submission, ManagerError> {
    let key = layout::submission(id);
    let body = grid.objects.get(&key, None).await?;
    serde_json::from_slice(&body).map_err(|error| ManagerError::damaged(key, error))
}

/// Reads every row of a partition.
pub(crate) async fn all_rows(state: &dyn StateStore, partition: &str) -> infra::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.key.sort.clone());
        let page = state.query(partition, "", after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests;
