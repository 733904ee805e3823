//! The workers in sight, and the pools that they make up.

use std::collections::BTreeMap;

use grid_api::{PoolStatus, RunningTask, WorkerStatus};
use grid_core::rows::{WORKERS, WorkerRow};
use infra::Grid;

use crate::ManagerError;
use crate::finish::rfc3339;
use crate::table::all_rows;

/// The workers that the leader has in sight, ascending by name; as of some seconds ago.
pub async fn workers(grid: &Grid) -> Result<Vec<WorkerStatus>, ManagerError> {
    let rows = all_rows(grid.state.as_ref(), WORKERS).await?;
    rows.iter()
        .map(|row| {
            let row: WorkerRow = serde_json::from_slice(&row.body)
                .map_err(|error| ManagerError::damaged(format!("row {WORKERS}/{}", row.key.sort), error))?;
            Ok(status(row))
        })
        .collect()
}

/// The pools of these workers, ascending by name.
pub fn pools(workers: &[WorkerStatus]) -> Vec<PoolStatus> {
    let mut pools: BTreeMap<&str, PoolStatus> = BTreeMap::new();
    for worker in workers {
        let empty = PoolStatus { pool: worker.pool.clone(), workers: 0, slots: 0, busy: 0 };
        let pool = pools.entry(&worker.pool).or_insert(empty);
        pool.workers += 1;
        pool.slots += worker.slots;
        pool.busy += worker.running.len() as u32;
    }
    pools.into_values().collect()
}

fn status(row: WorkerRow) -> WorkerStatus {
    let running = row.heartbeat.running.into_iter().map(|task| RunningTask {
        job: task.job,
        stage: task.stage,
        first: task.key.first,
        attempt: task.key.attempt,
        items_done: task.items_done,
        progress: task.progress,
        status: task.status,
    });
    WorkerStatus {
        worker: row.heartbeat.worker,
        pool: row.heartbeat.pool,
        slots: row.heartbeat.slots,
        seen: rfc3339(row.seen_ms),
        running: running.collect(),
    }
}
