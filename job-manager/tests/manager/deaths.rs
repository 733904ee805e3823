//! Workers that die, leave, and fall silent: what that means to their tasks, and who sees it.

use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::limits::{MAX_RECEIVES, MAX_RESENDS, QUEUE_BATCH};
use grid_core::reason::Reason;
use grid_core::rows::job_partition;
use grid_core::wire::{Heartbeat, Manifest, Report, RunningTask, TaskMessage, to_ascii_json};
use infra::state::RowKey;
use job_manager::{ManagerConfig, view};
use tokio::time::sleep;

use crate::yard::{Manager, Yard, heartbeat, manifest_of};

const ONE: &str = "name: one\nstages:\n  work: {range: 1..1, run: [\"true\"], retry: {attempts: 1}}\n";

/// Longer than it takes to miss a worker that beats every second.
const SILENCE: Duration = Duration::from_secs(20);

fn beat(worker: &str, sequence: u64, interval_secs: f64, running: &[&TaskMessage]) -> Heartbeat {
    let running = running.iter().map(|task| RunningTask {
        job: task.job.clone(),
        stage: task.stage.clone(),
        key: task.key(),
        copy: task.copy,
        age_secs: None,
        items_done: 0,
        progress: None,
        status: None,
    });
    Heartbeat { slots: 2, interval_secs, running: running.collect(), ..heartbeat(worker, sequence) }
}

impl Yard {
    async fn beats(&self, heartbeat: Heartbeat) {
        self.report(&Report::Heartbeat(heartbeat)).await;
    }

    /// The next task, leased for a while.
    async fn receive(&self) -> (TaskMessage, infra::queue::Receipt) {
        for _ in 0..100 {
            let wait = Duration::from_secs(5);
            let mut batch = self.grid.tasks.receive(QUEUE_BATCH, Duration::from_secs(10), wait).await.unwrap();
            if let Some(received) = batch.pop() {
                return (serde_json::from_str(&received.body).unwrap(), received.receipt);
            }
        }
        panic!("no task comes");
    }

    /// The workers that the rows say have died under the first task.
    async fn died(&self, job: &JobId) -> Vec<String> {
        let key = RowKey { partition: job_partition(job), sort: "STAGE#work/SHARD#000000".into() };
        let row = self.grid.state.get(&key).await.unwrap().unwrap();
        let row: serde_json::Value = serde_json::from_slice(&row.body).unwrap();
        serde_json::from_value(row["out"][0]["died"].clone()).unwrap_or_default()
    }

    /// One worker takes the next task, says so, and dies.
    async fn dies(&self, worker: &str) {
        let (task, _) = self.receive().await;
        self.beats(beat(worker, 1, 1.0, &[&task])).await;
        sleep(SILENCE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_under_which_five_workers_died_is_given_up_whoever_leads() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let mut manager = Manager::start(&yard.grid, "first");
    for worker in ["a", "b", "c"] {
        yard.dies(worker).await;
    }
    assert_eq!(yard.died(&job).await, ["a", "b", "c"]);
    manager.ended.abort();
    manager = Manager::start(&yard.grid, "second");
    manager.is_to_lead().await;
    yard.dies("d").await;
    assert_eq!((yard.died(&job).await.len(), yard.meta(&job).await.unwrap().state), (4, JobState::Running));
    yard.dies("e").await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Failed);
    let stages = yard.receipt(&job).await.stages;
    assert_eq!((stages[0].dead, stages[0].failures.get(&Reason::LeaseLost)), (1, Some(&1)));
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_twenty_drains_handed_back_is_run_all_the_same() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let mut manager = Manager::start(&yard.grid, "first");
    for drain in 0..20 {
        let (_, receipt) = yard.receive().await;
        yard.grid.tasks.extend(&[receipt], Duration::ZERO).await.unwrap();
        if drain == 12 {
            manager.ended.abort();
            manager = Manager::start(&yard.grid, "second");
        }
    }
    assert_eq!(yard.died(&job).await, [] as [&str; 0]);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_is_not_sent_again_because_a_second_message_of_it_is_given_up() {
    let yard = Yard::new();
    yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    let (task, receipt) = yard.receive().await;
    for answer in yard.grid.tasks.send(&[to_ascii_json(&task).unwrap()]).await.unwrap() {
        answer.unwrap();
    }
    let mut again = 0;
    for sequence in 1..=30 {
        yard.grid.tasks.extend(std::slice::from_ref(&receipt), Duration::from_secs(10)).await.unwrap();
        yard.beats(beat("w", sequence, 1.0, &[&task])).await;
        sleep(Duration::from_secs(1)).await;
        // Whoever has the task in hand lets its other message go.
        again += yard.grid.tasks.receive(QUEUE_BATCH, Duration::ZERO, Duration::ZERO).await.unwrap().len();
    }
    assert_eq!(again, MAX_RECEIVES as usize);
    yard.grid.tasks.delete(&[receipt]).await.unwrap();
    sleep(SILENCE * 2).await;
    assert_eq!(yard.tasks().await, [task], "nobody runs it any longer");
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_for_ever_is_given_up_in_the_end() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    while yard.meta(&job).await.is_none_or(|meta| meta.state == JobState::Running) {
        let wait = Duration::from_secs(1);
        let batch = yard.grid.tasks.receive(QUEUE_BATCH, Duration::ZERO, wait).await.unwrap();
        assert!(batch.len() < 2);
    }
    assert_eq!(yard.receipt(&job).await.stages[0].dead, 1);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_again_and_again_is_given_up_after_so_many_sends() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    let mut sends = 0;
    while yard.meta(&job).await.is_none_or(|meta| meta.state == JobState::Running) {
        sends += yard.tasks().await.len();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(sends, 1 + MAX_RESENDS as usize);
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.stages[0].dead, receipt.stages[0].attempts), (1, 1));
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_gives_up_is_looked_for_and_counts_when_it_is_committed() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    let (task, receipt) = yard.receive().await;
    yard.commit(&task, None).await;
    let began = tokio::time::Instant::now();
    yard.grid.tasks.extend(&[receipt], Duration::ZERO).await.unwrap();
    while yard.meta(&job).await.is_none_or(|meta| meta.state == JobState::Running) {
        yard.grid.tasks.receive(QUEUE_BATCH, Duration::ZERO, Duration::ZERO).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Succeeded);
    assert!(began.elapsed() < ManagerConfig::default().patience, "nobody had to miss it first");
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_death_counts_once_and_is_seen_by_a_leader_that_never_heard_the_worker() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let first = Manager::start(&yard.grid, "first");
    let (task, _) = yard.receive().await;
    for sequence in 1..10 {
        yard.beats(beat("w", sequence, 1.0, &[&task])).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(view::workers(&yard.grid).await.unwrap()[0].running.len(), 1);
    first.ended.abort();
    let second = Manager::start(&yard.grid, "second");
    sleep(SILENCE * 3).await;
    assert_eq!(yard.died(&job).await, ["w"]);
    // It was only cut off, and is so again.
    yard.beats(beat("w", 20, 1.0, &[&task])).await;
    sleep(SILENCE).await;
    assert_eq!(yard.died(&job).await, ["w"]);
    assert_eq!(view::workers(&yard.grid).await.unwrap(), []);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_has_not_died_even_if_an_older_word_of_it_comes_later() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    let (task, _) = yard.receive().await;
    yard.beats(Heartbeat { slots: 0, ..beat("w", 3, 1.0, &[]) }).await;
    yard.beats(beat("w", 2, 1.0, &[&task])).await;
    sleep(SILENCE).await;
    assert_eq!(yard.died(&job).await, [] as [&str; 0]);
    assert_eq!(view::workers(&yard.grid).await.unwrap(), []);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_manager_sees_the_workers_for_as_long_as_they_may_be_silent() {
    let yard = Yard::new();
    let manager = Manager::start(&yard.grid, "manager");
    yard.beats(beat("idle", 1, 20.0, &[])).await;
    yard.beats(Heartbeat { pool: "big".into(), ..beat("brief", 1, 1.0, &[]) }).await;
    sleep(Duration::from_secs(8)).await;
    let workers = view::workers(&yard.grid).await.unwrap();
    let names: Vec<&str> = workers.iter().map(|worker| worker.worker.as_str()).collect();
    assert_eq!((names, workers[0].seen.as_str()), (vec!["brief", "idle"], "2026-01-01T00:00:00Z"));
    let pools = view::pools(&yard.grid).await.unwrap();
    let told: Vec<_> = pools.iter().map(|pool| (pool.pool.as_str(), pool.workers, pool.slots, pool.busy)).collect();
    assert_eq!(told, [("big", 1, 2, 0), ("default", 1, 2, 0)]);
    sleep(Duration::from_secs(290)).await;
    assert_eq!(view::workers(&yard.grid).await.unwrap().len(), 1, "the idle one speaks every five minutes");
    yard.beats(Heartbeat { slots: 0, ..beat("idle", 2, 20.0, &[]) }).await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(view::workers(&yard.grid).await.unwrap(), []);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_of_a_worker_that_seldom_speaks_is_not_sent_again() {
    let yard = Yard::new();
    yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    yard.beats(beat("w", 1, 20.0, &[])).await;
    sleep(Duration::from_secs(1)).await;
    // A queue that has lost count: nothing seems to be on its way.
    let [task] = &yard.tasks().await[..] else { panic!("one task") };
    sleep(Duration::from_secs(20)).await;
    yard.beats(beat("w", 2, 20.0, &[task])).await;
    sleep(Duration::from_secs(40)).await;
    assert_eq!(yard.tasks().await, vec![]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.tasks().await.len(), 1, "once its worker is silent, it is");
    manager.stop().await;
}

/// Its message is lost, and the queue is never empty: another job goes on for long.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_lost_is_sent_again_though_others_keep_the_queue_busy() {
    let yard = Yard::new();
    let job = yard.submit(ONE).await;
    let manager = Manager::start(&yard.grid, "manager");
    sleep(Duration::from_secs(1)).await;
    let lost = yard.tasks().await;
    assert_eq!(lost.iter().map(|task| &task.job).collect::<Vec<_>>(), [&job]);
    yard.submit("name: long\nstages:\n  work: {range: 1..100000, run: [\"true\"]}\n").await;
    let mut executed = 0;
    let again = loop {
        yard.beats(beat("w", executed + 1, 1.0, &[])).await;
        let wait = Duration::from_secs(60);
        let received = yard.grid.tasks.receive(1, wait, wait).await.unwrap().remove(0);
        let task: TaskMessage = serde_json::from_str(&received.body).unwrap();
        if task.job == job {
            break task;
        }
        assert!(executed < 1_000, "the task is never sent again");
        executed += 1;
        // So long that nothing is bundled.
        yard.write(&Manifest { busy_us: 10_000_000, ..manifest_of(&task, None) }).await;
        yard.completed(&task).await;
        yard.grid.tasks.delete(&[received.receipt]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let depth = yard.grid.tasks.depth().await.unwrap();
        assert!(depth.waiting > 0, "others wait");
    };
    assert_eq!((again, executed > 6 * 3), (lost[0].clone(), true));
    manager.stop().await;
}
