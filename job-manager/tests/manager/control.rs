//! Wishes: cancel, pause, resume, redrive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::limits::MAX_SET_BYTES;
use grid_core::reason::Reason;
use infra::faults::{FaultyState, StoreFaults};
use infra::queue::{MemoryQueue, QueueFaults, QueueSettings};
use infra::{Grid, memory};
use job_manager::control::{self, ControlError, Redriven};
use job_manager::view::JobView;
use tokio::time::{Instant, sleep};

use crate::yard::{Leader, Yard};

const TWO: &str = "name: two\nstages:\n  work: {range: 1..2, run: [\"true\"]}\n";
const MANY: &str = "name: many\nstages:\n  work: {range: 1..1000, run: [\"true\"]}\n";

/// Lets everybody do what there is to do now; no reconcile is due within it.
async fn moment() {
    sleep(Duration::from_millis(10)).await;
}

/// Items that run, as the table says.
async fn running(yard: &Yard, job: &JobId) -> u64 {
    JobView::open(&yard.grid, job).await.unwrap().status.stages[0].running
}

fn is_conflict(answer: &Result<JobState, ControlError>, expected: JobState) -> bool {
    matches!(answer, Err(ControlError::Conflict { state, .. }) if *state == expected)
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_hands_out_nothing_and_its_workers_are_told_at_once() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    let out = yard.tasks().await;
    assert!(!out.is_empty());
    let items_out: u64 = out.iter().map(|task| u64::from(task.count)).sum();
    assert_eq!(running(&yard, &job).await, items_out, "also to those who do not lead");
    assert_eq!(control::cancel(&yard.grid, &job).await.unwrap(), JobState::Cancelled);
    moment().await;
    assert_eq!(running(&yard, &job).await, 0);
    assert!(yard.has_tombstone(&job).await);
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.state, receipt.stages[0].ok, receipt.stages[0].not_run), (JobState::Cancelled, 0, 1000));
    assert_eq!(yard.active().await, Vec::<String>::new());
    yard.end(&out[0], None).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(yard.tasks().await, vec![]);
    assert_eq!(yard.receipt(&job).await, receipt, "what is committed later is kept and not counted");
    assert_eq!(control::cancel(&yard.grid, &job).await.unwrap(), JobState::Cancelled);
    assert_eq!(yard.active().await, Vec::<String>::new());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_leads_is_cancelled_when_somebody_does() {
    let yard = Yard::new();
    let job = yard.submit(TWO).await;
    assert_eq!(control::cancel(&yard.grid, &job).await.unwrap(), JobState::Cancelled);
    let leader = Leader::start(&yard.grid);
    moment().await;
    assert_eq!((yard.receipt(&job).await.state, yard.tasks().await), (JobState::Cancelled, vec![]));
    assert_eq!(yard.active().await, Vec::<String>::new());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_cannot_be_cancelled_paused_or_resumed() {
    let yard = Yard::new();
    let job = yard.submit(TWO).await;
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    let cancelled = control::cancel(&yard.grid, &job).await;
    assert!(is_conflict(&cancelled, JobState::Succeeded));
    assert_eq!(cancelled.unwrap_err().to_string(), format!("job {job} is succeeded: it cannot be cancelled"));
    assert!(is_conflict(&control::pause(&yard.grid, &job).await, JobState::Succeeded));
    assert!(is_conflict(&control::resume(&yard.grid, &job).await, JobState::Succeeded));
    let nobody = JobId::new("nobody");
    assert!(matches!(control::cancel(&yard.grid, &nobody).await, Err(ControlError::NotFound(job)) if job == nobody));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_finishes_what_runs_and_goes_on_when_it_is_resumed() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    let out = yard.tasks().await;
    assert_eq!(control::pause(&yard.grid, &job).await.unwrap(), JobState::Paused);
    for task in &out {
        yard.end(task, None).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.tasks().await, vec![]);
    let status = leader.progress.borrow().jobs[&job].clone();
    assert_eq!((status.state, status.stages[0].ok), (JobState::Paused, out.len() as u64));
    let resumed = Instant::now();
    assert_eq!(control::resume(&yard.grid, &job).await.unwrap(), JobState::Running);
    moment().await;
    assert!(!yard.tasks().await.is_empty() && resumed.elapsed() < Duration::from_secs(1));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_stays_paused_under_the_next_leader() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    control::pause(&yard.grid, &job).await.unwrap();
    moment().await;
    leader.ended.abort();
    yard.tasks().await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.tasks().await, vec![]);
    control::resume(&yard.grid, &job).await.unwrap();
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_fulfilled_although_the_leader_is_not_told() {
    let lossy = QueueSettings { faults: QueueFaults { lose: 1.0, ..QueueFaults::default() }, ..Default::default() };
    let grid = Grid { reports: Arc::new(MemoryQueue::new(lossy)), ..memory::grid() };
    let yard = Yard { grid };
    let job = yard.submit(TWO).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    control::cancel(&yard.grid, &job).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(yard.receipt(&job).await.state, JobState::Cancelled);
    leader.stop().await;
}

/// On a store that is slow, fails, and applies late, one of the two wins, and everybody says the same of it.
#[tokio::test(start_paused = true)]
async fn cancelling_races_finishing_and_the_table_orders_them() {
    let mut cancelled = 0;
    for seed in 0..60 {
        let calm = memory::grid();
        let faults = StoreFaults {
            seed,
            delay: 0.5,
            max_delay: Duration::from_millis(300),
            fail_before: 0.05,
            fail_after: 0.05,
            ..StoreFaults::default()
        };
        let state = Arc::new(FaultyState::new(calm.state.clone(), faults));
        let yard = Yard { grid: calm.clone() };
        let job = yard.submit(TWO).await;
        let leader = Leader::start(&Grid { state: state.clone(), ..calm.clone() });
        sleep(Duration::from_secs(3)).await;
        for task in yard.tasks().await {
            yard.end(&task, None).await;
        }
        sleep(Duration::from_millis(seed * 5)).await;
        let answer = control::cancel(&Grid { state: state.clone(), ..calm.clone() }, &job).await;
        let end = yard.run_to_end(&job).await;
        match &answer {
            Ok(state) => assert_eq!((*state, end), (JobState::Cancelled, JobState::Cancelled), "seed {seed}"),
            Err(ControlError::Conflict { .. }) => assert_eq!(end, JobState::Succeeded, "seed {seed}"),
            Err(ControlError::Manager(_)) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
        sleep(Duration::from_secs(10)).await;
        assert_eq!((yard.receipt(&job).await.state, yard.active().await), (end, vec![]), "seed {seed}");
        assert_eq!(yard.has_tombstone(&job).await, end == JobState::Cancelled, "seed {seed}");
        cancelled += u32::from(end == JobState::Cancelled);
        state.calm();
        leader.stop().await;
    }
    assert!((5..55).contains(&cancelled), "both must happen: {cancelled}");
}

const FOUR: &str = "
name: four
params:
  year: {type: integer, default: 2025}
stages:
  work: {range: 1..4, run: [\"true\"], retry: {attempts: 1}}
  sum: {all: work, run: [\"true\"]}
";

/// Ends all tasks that are out: items 1 and 2 fail, each for its reason.
async fn fail_two(yard: &Yard, job: &JobId) {
    for _ in 0..100 {
        for task in yard.tasks().await {
            let reason = match task.first {
                1 => Some(Reason::Exit),
                2 => Some(Reason::Oom),
                _ => None,
            };
            yard.end(&task, reason).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(yard.meta(job).await.unwrap().state, JobState::Failed);
}

fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_items_that_are_meant_run_again_and_they_alone_with_other_parameters() {
    let yard = Yard::new();
    let job = yard.submit(FOUR).await;
    let leader = Leader::start(&yard.grid);
    fail_two(&yard, &job).await;
    let with = set(&[("year", "2024"), (control::SET_MEMORY, "x2")]);
    let redriven = control::redrive(&yard.grid, &job, Some("reason=oom and stage=work"), &with).await.unwrap();
    assert_eq!(redriven, Redriven { items: 1, state: JobState::Running });
    moment().await;
    let tasks = yard.tasks().await;
    let [task] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!((task.first, task.attempt, task.memory_factor), (2, 2, 2.0));
    assert_eq!(task.params, set(&[("year", "2024")]));
    yard.end(task, Some(Reason::Exit)).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Failed);
    let redriven = control::redrive(&yard.grid, &job, None, &set(&[])).await.unwrap();
    assert_eq!(redriven, Redriven { items: 2, state: JobState::Running });
    moment().await;
    let tasks = yard.tasks().await;
    assert_eq!(tasks.iter().map(|task| (task.first, task.attempt)).collect::<Vec<_>>(), [(1, 2), (2, 3)]);
    assert!(tasks.iter().all(|task| task.params.is_empty() && task.memory_factor == 1.0));
    for task in &tasks {
        yard.end(task, None).await;
    }
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_a_leader_died_over_is_finished_by_the_next_one() {
    let yard = Yard::new();
    let job = yard.submit(FOUR).await;
    let leader = Leader::start(&yard.grid);
    fail_two(&yard, &job).await;
    leader.ended.abort();
    control::redrive(&yard.grid, &job, Some("exit=3"), &set(&[])).await.unwrap();
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Running);
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_cannot_be_is_refused_with_every_reason() {
    let yard = Yard::new();
    let job = yard.submit(FOUR).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    let early = control::redrive(&yard.grid, &job, None, &set(&[])).await;
    assert!(matches!(early, Err(ControlError::Conflict { state: JobState::Running, .. })), "{early:?}");
    fail_two(&yard, &job).await;
    let wrong = set(&[("yaer", "1"), ("year", "soon"), (control::SET_MEMORY, "2")]);
    let Err(ControlError::Invalid(faults)) = control::redrive(&yard.grid, &job, Some("stage=wrok"), &wrong).await
    else {
        panic!("it is wrong in four ways")
    };
    let told: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.message.as_str())).collect();
    assert_eq!(
        told,
        [
            ("/where", "the pipeline has no stage `wrok`"),
            ("/set/resources.memory", "`2` is no multiple of the memory limit, such as `x2`"),
            ("/set/yaer", "the pipeline has no parameter `yaer`: did you mean `year`?"),
            ("/set/year", "the parameter `year` is `soon`, which is not a whole number"),
        ]
    );
    for factor in ["x0", "x-1", "xinf", "x", "twice"] {
        let Err(ControlError::Invalid(faults)) =
            control::redrive(&yard.grid, &job, None, &set(&[(control::SET_MEMORY, factor)])).await
        else {
            panic!("{factor} is no factor")
        };
        assert_eq!(faults[0].message, format!("`{factor}` is no multiple of the memory limit, such as `x2`"));
    }
    let none = control::redrive(&yard.grid, &job, Some("reason=timeout"), &set(&[])).await.unwrap();
    assert_eq!(none, Redriven { items: 0, state: JobState::Failed });
    assert_eq!(yard.active().await, Vec::<String>::new());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn parameters_of_a_redrive_have_so_many_bytes_with_their_names_and_no_more() {
    let yard = Yard::new();
    let text = "name: one\nparams: {who: {type: string, default: us}}\nstages:\n  work: {range: 1..1, run: [echo, '${{ params.who }}'], retry: {attempts: 1}}\n";
    let job = yard.submit(text).await;
    let leader = Leader::start(&yard.grid);
    moment().await;
    yard.end(&yard.tasks().await[0], Some(Reason::Exit)).await;
    moment().await;
    let who = |bytes: usize| set(&[("who", &"x".repeat(bytes))]);
    let most = MAX_SET_BYTES - "who".len();
    let refused = control::redrive(&yard.grid, &job, None, &who(most + 1)).await;
    let Err(ControlError::Invalid(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "/set"));
    assert_eq!(faults[0].message, format!("names and values have more than {MAX_SET_BYTES} bytes"));
    let redriven = control::redrive(&yard.grid, &job, None, &who(most)).await.unwrap();
    assert_eq!(redriven, Redriven { items: 1, state: JobState::Running });
    leader.stop().await;
}
