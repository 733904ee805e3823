//! The rows of the workers: what any manager can show of them, and what the next leader knows of them at once.

use std::collections::BTreeMap;

use grid_core::ids::WorkerId;
use grid_core::rows::WORKERS;
use infra::Grid;
use infra::state::{Expect, RowKey, Write};
use tokio::time::{Duration, Instant};

use crate::submit::encode;
use crate::table::all_rows;
use crate::workers::Workers;

/// Between two rounds of writes: a worker's row is written at most once in it.
const EVERY: Duration = Duration::from_secs(5);

/// Where the leader notes which workers there are.
#[derive(Debug)]
pub(crate) enum Roster {
    /// Nowhere: they live in this process, and die with it.
    Unwritten,
    /// In rows.
    Rows {
        /// Those rows that there are, with their versions; nothing before they were read.
        versions: Option<BTreeMap<WorkerId, u64>>,
        /// When to write next.
        due: Instant,
    },
}

impl Roster {
    /// One that has not been read yet.
    pub fn rows() -> Self {
        Self::Rows { versions: None, due: Instant::now() + EVERY }
    }

    /// When there is something to write.
    pub fn due(&self, workers: &Workers) -> Option<Instant> {
        match self {
            Self::Rows { due, .. } if !workers.changed.is_empty() => Some(*due),
            Self::Rows { .. } | Self::Unwritten => None,
        }
    }

    /// Reads, at first, what the leader before has written; then writes from time to time what is new.
    pub async fn keep(&mut self, grid: &Grid, epoch: u64, workers: &mut Workers, now: Instant) -> infra::Result<()> {
        let Self::Rows { versions, due } = self else {
            workers.changed.clear();
            return Ok(());
        };
        let Some(known) = versions else {
            *versions = Some(read(grid, workers, now).await?);
            return Ok(());
        };
        if now < *due || workers.changed.is_empty() {
            return Ok(());
        }
        *due = now + EVERY;
        write(grid, epoch, workers, known).await
    }
}

/// A row that cannot be read is of a newer manager's: it is left alone.
async fn read(grid: &Grid, workers: &mut Workers, now: Instant) -> infra::Result<BTreeMap<WorkerId, u64>> {
    let mut versions = BTreeMap::new();
    for row in all_rows(grid.state.as_ref(), WORKERS).await? {
        versions.insert(WorkerId::new(row.key.sort), row.version);
        match serde_json::from_slice(&row.body) {
            Ok(row) => workers.remember(row, now),
            Err(error) => tracing::warn!(%error, "a worker's row cannot be read"),
        }
    }
    Ok(versions)
}

async fn write(
    grid: &Grid,
    epoch: u64,
    workers: &mut Workers,
    versions: &mut BTreeMap<WorkerId, u64>,
) -> infra::Result<()> {
    let changes = std::mem::take(&mut workers.changed).into_iter();
    let changes: Vec<(WorkerId, Option<Vec<u8>>)> = changes
        .map(|worker| (workers.row(&worker).map(encode), worker))
        .filter(|(body, worker)| body.is_some() || versions.contains_key(worker))
        .map(|(body, worker)| (worker, body))
        .collect();
    let writes = changes.iter().map(|(worker, body)| Write {
        key: RowKey { partition: WORKERS.to_owned(), sort: worker.as_str().to_owned() },
        expect: versions.get(worker).map_or(Expect::Absent, |version| Expect::Version(*version)),
        epoch,
        body: body.clone(),
        expires_ms: None,
    });
    let answers = match grid.state.write(writes.collect()).await {
        Ok(answers) => answers,
        Err(error) => {
            workers.changed.extend(changes.into_iter().map(|(worker, _)| worker));
            return Err(error);
        }
    };
    let mut is_unsure = false;
    for ((worker, body), answer) in changes.into_iter().zip(answers) {
        match answer {
            Ok(version) if body.is_some() => _ = versions.insert(worker, version),
            Ok(_) => _ = versions.remove(&worker),
            Err(error) => {
                tracing::debug!(%error, %worker, "a worker's row was not written");
                workers.changed.insert(worker);
                is_unsure = true;
            }
        }
    }
    if is_unsure {
        let rows = all_rows(grid.state.as_ref(), WORKERS).await?.into_iter();
        *versions = rows.map(|row| (WorkerId::new(row.key.sort), row.version)).collect();
    }
    Ok(())
}
