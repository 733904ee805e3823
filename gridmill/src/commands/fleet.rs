//! `gridmill workers` and `gridmill pools`: the machines that a manager has in sight.

use grid_api::{GroupStatus, PoolStatus, RunningTask, WorkerStatus};

use crate::cli::FleetArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Outcome};
use crate::text::{counted, harmless};
use crate::{local, place};

/// What a command says that has nobody to ask.
const INSTEAD: &str = "; a local run has one worker, and that lives as long as the run";

/// Lists workers.
pub fn workers(args: &FleetArgs, console: Console) -> Outcome {
    let client = place::needed(args.manager.given(), INSTEAD)?;
    local::runtime()?.block_on(async {
        let mut workers = client.workers();
        let mut rows = Vec::new();
        while let Some(worker) = workers.next().await? {
            match console.json {
                true => console.line(&worker)?,
                false => rows.push(worker_row(&worker)),
            }
        }
        let columns = [
            Column::Text("worker"),
            Column::Text("pool"),
            Column::Number("slots"),
            Column::Number("busy"),
            Column::Text("seen"),
            Column::Text("running"),
        ];
        show(
            console,
            &columns,
            rows,
            "no worker has been heard of lately; one that has just begun is listed after some seconds",
        )
    })
}

/// Lists pools.
pub fn pools(args: &FleetArgs, console: Console) -> Outcome {
    let client = place::needed(args.manager.given(), INSTEAD)?;
    local::runtime()?.block_on(async {
        let mut pools = client.pools();
        let mut rows = Vec::new();
        while let Some(pool) = pools.next().await? {
            match console.json {
                true => console.line(&pool)?,
                false => rows.push(pool_row(&pool)),
            }
        }
        let columns = [
            Column::Text("pool"),
            Column::Number("workers"),
            Column::Number("slots"),
            Column::Number("busy"),
            Column::Number("coming"),
            Column::Number("leaving"),
            Column::Text("waits for"),
        ];
        show(console, &columns, rows, "no pool has a worker")
    })
}

fn show(console: Console, columns: &[Column], rows: Vec<Vec<String>>, none: &str) -> Outcome {
    match (console.json, rows.is_empty()) {
        (true, _) => {}
        (false, true) => console.say(none),
        (false, false) => console.text(&table(columns, rows))?,
    }
    Ok(Exit::Done)
}

fn worker_row(worker: &WorkerStatus) -> Vec<String> {
    let shown = worker.running.first().map(task_words);
    let more = worker.running.len().saturating_sub(1);
    let more = (more > 0).then(|| format!("and {}", counted(more as u64, "other")));
    vec![
        worker.worker.to_string(),
        harmless(&worker.pool),
        // A worker without slots takes no more, and goes when it has ended what it has.
        if worker.slots == 0 { "drains".to_owned() } else { worker.slots.to_string() },
        worker.running.len().to_string(),
        worker.seen.clone(),
        shown.into_iter().chain(more).collect::<Vec<String>>().join(" "),
    ]
}

/// `clean/#80 of job 0190.. 42 %: merging`.
fn task_words(task: &RunningTask) -> String {
    let progress = task.progress.map(|progress| format!(" {:.0} %", progress.clamp(0.0, 1.0) * 100.0));
    let status = task.status.as_ref().map(|status| format!(": {}", harmless(status).replace('\n', " ")));
    let item = u64::from(task.first) + u64::from(task.items_done);
    format!("{}/#{item} of job {}{}{}", task.stage, task.job, progress.unwrap_or_default(), status.unwrap_or_default())
}

fn pool_row(pool: &PoolStatus) -> Vec<String> {
    let sum = |of: fn(&GroupStatus) -> u32| pool.groups.iter().map(of).sum::<u32>();
    let (coming, leaving) = (sum(|group| group.coming), sum(|group| group.leaving));
    let numbers = [pool.workers, pool.slots, pool.busy, coming, leaving].map(|number| number.to_string());
    let of_groups = pool.groups.iter().filter_map(|group| Some(format!("{}: {}", group.group, group.waits.as_ref()?)));
    let waits: Vec<String> = pool.waits.iter().cloned().chain(of_groups).map(|words| harmless(&words)).collect();
    [harmless(&pool.pool)].into_iter().chain(numbers).chain([waits.join("; ")]).collect()
}

#[cfg(test)]
mod tests {
    use grid_core::ids::{JobId, StageName, WorkerId};

    use super::*;

    #[test]
    fn a_pool_is_shown_with_what_it_waits_for() {
        let waits = Some("no capacity: none left".to_owned());
        let spot = GroupStatus { group: "spot".into(), machines: 2, coming: 3, leaving: 1, waits };
        let (groups, waits) = (vec![spot], vec!["at maximum: the fleet may have 5 machines".to_owned()]);
        let pool = PoolStatus { pool: "default".into(), workers: 2, slots: 8, busy: 8, groups, waits };
        let words = "at maximum: the fleet may have 5 machines; spot: no capacity: none left";
        assert_eq!(pool_row(&pool), ["default", "2", "8", "8", "3", "1", words]);
    }

    #[test]
    fn a_worker_is_shown_with_what_it_does() {
        let task = RunningTask {
            job: JobId::new("0190"),
            stage: StageName::new("clean"),
            first: 80,
            attempt: 1,
            is_copy: false,
            items_done: 3,
            progress: Some(0.421),
            status: Some("merging\nfiles".into()),
        };
        let mut worker = WorkerStatus {
            worker: WorkerId::new("w"),
            pool: "default".into(),
            slots: 2,
            seen: "then".into(),
            running: vec![task.clone(), task],
        };
        let words = "clean/#83 of job 0190 42 %: merging files and 1 other";
        assert_eq!(worker_row(&worker), ["w", "default", "2", "2", "then", words]);
        (worker.slots, worker.running) = (0, Vec::new());
        assert_eq!(worker_row(&worker), ["w", "default", "drains", "0", "then", ""]);
    }
}
