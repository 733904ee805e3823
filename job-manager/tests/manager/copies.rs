//! Stragglers: what gets a copy, what that costs, and who counts it.

use std::time::Duration;

use grid_api::CopiesReceipt;
use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::reason::Reason;
use grid_core::share::{Agreement, Agreements};
use grid_core::wire::{Heartbeat, Report, RunningTask, TaskMessage, to_ascii_json};
use job_manager::ManagerConfig;
use tokio::time::sleep;

use crate::yard::{Leader, Yard, heartbeat};

const SIX: &str = "name: six\nstages:\n  work: {range: 1..6, run: [\"true\"], retry: {attempts: 1}}\n";

/// Long enough for a leader to do what there is to do.
const A_MOMENT: Duration = Duration::from_millis(300);

fn runs(task: &TaskMessage, age_secs: f64) -> RunningTask {
    RunningTask {
        job: task.job.clone(),
        stage: task.stage.clone(),
        key: task.key(),
        copy: task.copy,
        age_secs: Some(age_secs),
        items_done: 0,
        progress: None,
        status: None,
    }
}

/// A leader, and a job of which all tasks but one have ended; that one is the slow worker's.
struct Straggling {
    yard: Yard,
    leader: Leader,
    job: JobId,
    slow: TaskMessage,
}

impl Straggling {
    async fn begin() -> Self {
        Self::of(SIX, ManagerConfig::default()).await
    }

    async fn of(pipeline: &str, config: ManagerConfig) -> Self {
        let yard = Yard::new();
        let leader = Leader::with(&yard.grid, config);
        let job = yard.submit(pipeline).await;
        let slow = yard.straggler(&job).await;
        Self { yard, leader, job, slow }
    }
}

impl Yard {
    /// Two workers with four slots each are in sight; the first one runs this.
    async fn beat(&self, sequence: u64, running: Vec<RunningTask>) {
        self.one_beats("slow", sequence, running).await;
        self.one_beats("fast", sequence, Vec::new()).await;
        sleep(A_MOMENT).await;
    }

    async fn one_beats(&self, worker: &str, sequence: u64, running: Vec<RunningTask>) {
        let beat = Heartbeat { slots: 4, running, ..heartbeat(worker, sequence) };
        self.report(&Report::Heartbeat(beat)).await;
    }

    /// All tasks but one have ended, and that one is the slow worker's.
    async fn straggler(&self, job: &JobId) -> TaskMessage {
        self.beat(1, Vec::new()).await;
        let mut tasks = self.tasks().await;
        assert_eq!((tasks.len(), &tasks[0].job), (6, job));
        let last = tasks.pop().unwrap();
        for task in tasks {
            self.end(&task, None).await;
        }
        sleep(A_MOMENT).await;
        last
    }

    /// The copy that is handed out once a task has run for long.
    async fn copy_of(&self, slow: &TaskMessage) -> TaskMessage {
        self.beat(2, vec![runs(slow, 10.0)]).await;
        let mut tasks = self.tasks().await;
        assert_eq!(tasks.iter().map(|task| task.copy).collect::<Vec<_>>(), [1]);
        tasks.remove(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_straggler_gets_one_copy_and_the_receipt_says_what_became_of_it() {
    let Straggling { yard, leader, job, slow } = Straggling::begin().await;
    yard.beat(2, vec![runs(&slow, 0.1)]).await;
    assert_eq!(yard.tasks().await, [], "it is not slow yet");
    yard.beat(3, vec![runs(&slow, 10.0)]).await;
    let copy = TaskMessage { copy: 1, ..slow.clone() };
    assert_eq!(yard.tasks().await, std::slice::from_ref(&copy));
    yard.beat(4, vec![runs(&slow, 20.0)]).await;
    yard.beat(5, vec![runs(&slow, 30.0)]).await;
    assert_eq!(yard.tasks().await, [], "one is enough");
    yard.end(&copy, None).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    let stage = yard.receipt(&job).await.stages.remove(0);
    let CopiesReceipt { started, won, lost_secs } = stage.copies.unwrap();
    assert_eq!((stage.attempts, started, won), (6, 1, 1));
    assert!((30.0..40.0).contains(&lost_secs), "as long as the slow one had run: {lost_secs}");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_has_to_report_anything_for_a_task_to_become_a_straggler() {
    let Straggling { yard, leader, slow, .. } = Straggling::begin().await;
    yard.beat(2, vec![runs(&slow, 0.1)]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(yard.tasks().await.iter().map(|task| task.copy).collect::<Vec<_>>(), [1]);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_first_is_the_one_attempt_that_failed() {
    let Straggling { yard, leader, job, slow } = Straggling::begin().await;
    let copy = yard.copy_of(&slow).await;
    yard.end(&copy, Some(Reason::Exit)).await;
    yard.completed(&slow).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Failed);
    let stage = yard.receipt(&job).await.stages.remove(0);
    assert_eq!((stage.attempts, stage.dead, stage.failures.get(&Reason::Exit)), (6, 1, Some(&1)));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_leads_next_knows_of_the_copy() {
    let Straggling { yard, leader, slow, .. } = Straggling::begin().await;
    yard.beat(2, vec![runs(&slow, 10.0)]).await;
    assert_eq!(yard.tasks().await.len(), 1);
    leader.stop().await;
    let leader = Leader::start(&yard.grid);
    yard.beat(3, vec![runs(&slow, 20.0)]).await;
    yard.beat(4, vec![runs(&slow, 30.0)]).await;
    let again = yard.tasks().await;
    assert!(again.iter().all(|task| task.copy == 0), "{again:?}");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_copied_where_that_is_not_wanted() {
    let waited_for = SIX.replace("retry:", "stragglers: wait, retry:");
    let never = ManagerConfig { copy_after: None, ..ManagerConfig::default() };
    for (pipeline, config) in [(waited_for.as_str(), ManagerConfig::default()), (SIX, never)] {
        let Straggling { yard, leader, slow, .. } = Straggling::of(pipeline, config).await;
        yard.beat(2, vec![runs(&slow, 60.0)]).await;
        assert_eq!(yard.tasks().await, []);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_no_copy_without_another_worker_nor_of_one_that_does_not_say_how_long_it_runs() {
    let Straggling { yard, leader, slow, .. } = Straggling::begin().await;
    let of_old = RunningTask { age_secs: None, ..runs(&slow, 0.0) };
    yard.beat(2, vec![of_old]).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(yard.tasks().await, []);
    // The other one leaves.
    let left = Heartbeat { slots: 0, ..heartbeat("fast", 3) };
    yard.report(&Report::Heartbeat(left)).await;
    yard.one_beats("slow", 3, vec![runs(&slow, 60.0)]).await;
    sleep(A_MOMENT).await;
    assert_eq!(yard.tasks().await, []);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_nobody_takes_is_let_go() {
    let Straggling { yard, leader, job, slow } = Straggling::begin().await;
    let copy = yard.copy_of(&slow).await;
    yard.grid.dead_tasks.send(&[to_ascii_json(&copy).unwrap()]).await.unwrap();
    for sequence in 3..20 {
        yard.beat(sequence, vec![runs(&slow, 20.0)]).await;
    }
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap().waiting, 0);
    assert_eq!(yard.tasks().await, [], "the attempt runs, and is not sent again");
    yard.end(&slow, None).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_has_as_much_out_as_it_may_gets_no_copy_until_it_has_less() {
    let agreements = Agreements::from([("lab".to_owned(), Agreement { max_out: Some(6), ..Agreement::default() })]);
    let config = ManagerConfig { agreements, ..ManagerConfig::default() };
    let of_lab = format!("tenant: lab\n{SIX}");
    let Straggling { yard, leader, slow, .. } = Straggling::of(&of_lab, config).await;
    // One is out; five of another job make six of eight slots.
    yard.submit(&of_lab.replace("name: six", "name: five").replace("1..6", "1..5")).await;
    sleep(A_MOMENT).await;
    let others = yard.tasks().await;
    assert_eq!(others.len(), 5);
    yard.beat(2, vec![runs(&slow, 10.0)]).await;
    assert_eq!(yard.tasks().await, []);
    yard.end(&others[0], None).await;
    yard.beat(3, vec![runs(&slow, 20.0)]).await;
    assert_eq!(yard.tasks().await, [TaskMessage { copy: 1, ..slow }]);
    leader.stop().await;
}
