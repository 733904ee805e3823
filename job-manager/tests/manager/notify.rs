//! Events on the queues that pipelines name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{AttemptKey, StageName};
use grid_core::job::JobState;
use grid_core::layout;
use grid_core::reason::Reason;
use infra::faults::{FaultyState, StoreFaults};
use infra::notify::MemoryNotifier;
use infra::{Grid, memory};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::yard::{Leader, Yard};

const PIPELINE: &str = "
name: told
stages:
  work: {range: 1..3, run: [\"true\"], notify: {queue: done}, skip: {limit: 1}, retry: {attempts: 1}}
  quiet: {all: work, run: [\"true\"]}
";

fn yard() -> (Yard, Arc<MemoryNotifier>) {
    let notifier = Arc::new(MemoryNotifier::default());
    (Yard { grid: Grid { notifier: notifier.clone(), ..memory::grid() } }, notifier)
}

fn events(notifier: &MemoryNotifier) -> Vec<Value> {
    let sent = notifier.sent();
    assert!(sent.iter().all(|(queue, _)| queue == "done"), "{sent:?}");
    sent.iter().map(|(_, event)| serde_json::from_str(event).unwrap()).collect()
}

fn ids(notifier: &MemoryNotifier) -> BTreeSet<String> {
    events(notifier).iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_committed_task_is_an_event_and_no_other() {
    let (yard, notifier) = yard();
    let job = yard.submit(PIPELINE).await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    for task in yard.tasks().await {
        yard.end(&task, (task.first == 1).then_some(Reason::Exit)).await;
    }
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
    let events = events(&notifier);
    assert_eq!(ids(&notifier), [0, 2].map(|item| format!("{job}/work/{item}.1")).into());
    assert_eq!(events.len(), 2);
    let manifest = layout::manifest(&job, &StageName::new("work"), AttemptKey { first: 0, attempt: 1 });
    let expected = json!({
        "specversion": "1.0",
        "type": "gridmill.task.committed",
        "source": format!("/gridmill/jobs/{job}"),
        "id": format!("{job}/work/0.1"),
        "subject": "work/0.1",
        "datacontenttype": "application/json",
        "data": {
            "job": job, "pipeline": "told", "stage": "work", "first": 0, "count": 1, "attempt": 1,
            "committed": [[0, 1]], "busy_secs": 1e-6, "manifest": format!("grid://{manifest}"),
            "items": [{"index": 0, "item": "1", "key": {"item": "1"}, "outputs": []}],
        },
    });
    assert!(events.contains(&expected), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_refuses_holds_up_the_job_and_loses_nothing() {
    let (yard, notifier) = yard();
    let job = yard.submit(PIPELINE).await;
    notifier.break_down();
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    for task in yard.tasks().await {
        yard.end(&task, None).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!((yard.tasks().await, notifier.sent()), (vec![], vec![]), "nothing is made of what nobody was told of");
    // The leader dies with what it knows; the next one finds the manifests.
    leader.ended.abort();
    notifier.mend();
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    assert_eq!(ids(&notifier).len(), 3);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_row_was_not_written_is_sent_again_as_the_same() {
    let mut repeats = 0;
    for seed in 0..32 {
        let (calm, notifier) = yard();
        let faults = StoreFaults { seed, fail_before: 0.3, fail_after: 0.2, ..StoreFaults::default() };
        let state = Arc::new(FaultyState::new(calm.grid.state.clone(), faults));
        let job = calm.submit(PIPELINE).await;
        let leader = Leader::start(&Grid { state: state.clone(), ..calm.grid.clone() });
        assert_eq!(calm.run_to_end(&job).await, JobState::Succeeded, "seed {seed}");
        state.calm();
        leader.stop().await;
        assert_eq!(ids(&notifier), [0, 1, 2].map(|item| format!("{job}/work/{item}.1")).into(), "seed {seed}");
        let distinct: BTreeSet<String> = events(&notifier).iter().map(Value::to_string).collect();
        assert_eq!(distinct.len(), 3, "seed {seed}: the same event says the same");
        repeats += events(&notifier).len() - 3;
    }
    assert!(repeats > 0, "the faults were too few to show anything");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_waits_for_no_queue() {
    let (yard, notifier) = yard();
    let job = yard.submit(PIPELINE).await;
    notifier.break_down();
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    for task in yard.tasks().await {
        yard.end(&task, None).await;
    }
    sleep(Duration::from_secs(1)).await;
    job_manager::control::cancel(&yard.grid, &job).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.state, receipt.stages[0].ok), (JobState::Cancelled, 0));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_may_not_be_named_fails_the_job_at_once() {
    let (yard, notifier) = yard();
    let job = yard.submit(&PIPELINE.replace("queue: done", "queue: forbidden")).await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_secs(1)).await;
    let meta = yard.meta(&job).await.unwrap();
    assert_eq!((meta.state, yard.tasks().await, notifier.sent()), (JobState::Failed, vec![], vec![]));
    let why = "stage work cannot notify: no pipeline may name the queue `forbidden`";
    assert_eq!(meta.message.as_deref(), Some(why));
    leader.stop().await;
}

/// What says that it has failed may be written only when it is tried again, and has been read anew.
#[tokio::test(start_paused = true)]
async fn a_queue_that_may_not_be_named_fails_the_job_whatever_the_table_takes() {
    for seed in 0..8 {
        let (calm, _) = yard();
        let faults = StoreFaults { seed, fail_before: 0.3, fail_after: 0.2, ..StoreFaults::default() };
        let state = Arc::new(FaultyState::new(calm.grid.state.clone(), faults));
        let job = calm.submit(&PIPELINE.replace("queue: done", "queue: forbidden")).await;
        let leader = Leader::start(&Grid { state: state.clone(), ..calm.grid.clone() });
        sleep(Duration::from_secs(60)).await;
        let meta = calm.meta(&job).await.unwrap();
        assert_eq!((meta.state, calm.tasks().await), (JobState::Failed, vec![]), "seed {seed}");
        state.calm();
        leader.stop().await;
    }
}
