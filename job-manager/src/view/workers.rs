//! The workers in sight, and the pools that they make up.

use std::collections::BTreeMap;

use grid_api::{GroupStatus, PoolStatus, RunningTask, WorkerStatus};
use grid_core::rows::{GroupRow, POOLS, PoolRow, WORKERS, WorkerRow};
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

/// The pools that have workers, or a fleet that sees to it; ascending by name, as of some seconds ago.
pub async fn pools(grid: &Grid) -> Result<Vec<PoolStatus>, ManagerError> {
    let mut pools: BTreeMap<String, PoolStatus> = BTreeMap::new();
    for row in all_rows(grid.state.as_ref(), POOLS).await? {
        let place = format!("row {POOLS}/{}", row.key.sort);
        let told: PoolRow = serde_json::from_slice(&row.body).map_err(|error| ManagerError::damaged(place, error))?;
        let groups = told.groups.into_iter().map(group_status).collect();
        let pool = PoolStatus { groups, waits: told.waits, ..nobody(&row.key.sort) };
        pools.insert(row.key.sort, pool);
    }
    for worker in workers(grid).await? {
        let pool = pools.entry(worker.pool.clone()).or_insert_with(|| nobody(&worker.pool));
        pool.workers += 1;
        pool.slots += worker.slots;
        pool.busy += worker.running.len() as u32;
    }
    Ok(pools.into_values().collect())
}

fn nobody(pool: &str) -> PoolStatus {
    let (groups, waits) = (Vec::new(), Vec::new());
    PoolStatus { pool: pool.to_owned(), workers: 0, slots: 0, busy: 0, groups, waits }
}

fn group_status(row: GroupRow) -> GroupStatus {
    let GroupRow { group, machines, coming, leaving, waits } = row;
    GroupStatus { group: group.to_string(), machines, coming, leaving, waits }
}

fn status(row: WorkerRow) -> WorkerStatus {
    let running = row.heartbeat.running.into_iter().map(|task| RunningTask {
        job: task.job,
        stage: task.stage,
        first: task.key.first,
        attempt: task.key.attempt,
        is_copy: task.copy > 0,
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
