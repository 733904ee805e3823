//! Everything may happen twice, late, or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::ids::WorkerId;
use grid_core::reason::Reason;
use grid_core::wire::{Pack, TaskMessage};
use grid_worker::WorkerConfig;
use infra::grid::WorkerGrid;
use infra::queue::Depth;

use crate::deaf::Deaf;
use crate::gate::{Gate, Weather};
use crate::scripted::{Act, End, Scripted, writes};
use crate::stubborn::Stubborn;
use crate::yard::{LEASE, Yard, completion, numbers, stage, task, until};

async fn calm() -> Yard {
    Yard::new(Scripted::echo(), vec![stage("s", numbers(9))]).await
}

/// Item 0 takes so many seconds.
async fn slow(secs: u64) -> Yard {
    Yard::new(Scripted::new(move |item, _| writes(format!("{item}")).after(secs)), vec![stage("s", numbers(9))]).await
}

/// Receives a task and dies, so that it comes again.
async fn worker_dies(yard: &Yard) {
    assert_eq!(yard.grid.tasks.receive(1, LEASE, Duration::ZERO).await.unwrap().len(), 1);
}

/// The grid as a worker has it that reads nothing until the weather turns fair, and cannot keep its leases.
fn held_up(yard: &Yard) -> (WorkerGrid, Arc<Gate>) {
    let (grid, gate) = (yard.grid.for_worker(), Arc::new(Gate::new(yard.grid.objects.clone())));
    gate.turn(Weather::Outage);
    (WorkerGrid { tasks: Arc::new(Deaf(grid.tasks.clone())), objects: gate.clone(), ..grid }, gate)
}

/// A worker has to wait with a task until its message comes again.
async fn comes_again_while_it_waits(yard: &Yard) {
    let (held_up, gate) = held_up(yard);
    let worker = yard.start_with(yard.config("w"), held_up);
    yard.send(&task("s", 0, 1)).await;
    tokio::time::sleep(LEASE * 2).await;
    gate.turn(Weather::Fair);
    yard.idle().await;
    worker.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_worker_died_before_the_commit_is_run_again() {
    let yard = calm().await;
    yard.send(&task("s", 0, 2)).await;
    worker_dies(&yard).await;
    yard.work().await;
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_worker_died_after_the_commit_is_reported_and_not_run_again() {
    let yard = calm().await;
    yard.send(&task("s", 0, 2)).await;
    yard.work().await;
    let manifest = yard.manifest("s", 0, 1).await;
    yard.said().await;

    yard.send(&task("s", 0, 2)).await;
    worker_dies(&yard).await;
    yard.work().await;
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
    assert_eq!(yard.runner.runs(), [(0, 1)], "only the first time");
    assert_eq!(yard.manifest("s", 0, 1).await, manifest);
    assert_eq!(yard.objects().await, ["s/done/0000000000.1.json"]);
}

#[tokio::test(start_paused = true)]
async fn two_workers_with_the_same_attempt_make_one_manifest_and_both_report() {
    let large = |item, _| writes(vec![b'a' + item as u8; 40 << 10]).after(1);
    let yard = Yard::new(Scripted::new(large), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 1)).await;
    yard.send(&task("s", 0, 1)).await;
    let one_slot = |worker| WorkerConfig { slots: 1, ..yard.config(worker) };
    let a = yard.start_with(one_slot("a"), yard.grid.for_worker());
    let b = yard.start_with(one_slot("b"), yard.grid.for_worker());
    yard.idle().await;
    a.drain().await.unwrap();
    b.drain().await.unwrap();

    assert_eq!(yard.runner.runs(), [(0, 1), (0, 1)]);
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1), completion("s", 0, 1)]);
    let objects = yard.objects().await;
    let Pack::Object { key, .. } = yard.manifest("s", 0, 1).await.outputs.pack else { panic!("{objects:?}") };
    assert_eq!(objects.len(), 2, "the loser's data is gone: {objects:?}");
    assert!(key.ends_with(objects[0].rsplit('/').next().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_twice_to_one_worker_runs_once() {
    let yard = slow(5).await;
    yard.send(&task("s", 0, 1)).await;
    yard.send(&task("s", 0, 1)).await;
    let worker = yard.start("w");
    until(async || yard.grid.tasks.depth().await.unwrap().in_flight == 2).await;
    until(async || yard.grid.tasks.depth().await.unwrap().in_flight <= 1).await;
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_for_as_long_as_the_task_takes() {
    let yard = slow(60).await;
    yard.send(&task("s", 0, 1)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth { waiting: 0, in_flight: 1 });
    }
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
}

/// A message that came a second time would have its task announced.
#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_for_as_long_as_the_task_waits() {
    let (yard, gate) = Yard::behind_gate(Scripted::echo(), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 1)).await;
    gate.turn(Weather::Outage);
    let config = WorkerConfig { heartbeat: Duration::from_secs(60), ..yard.config("w") };
    let worker = yard.start_with(config, yard.grid.for_worker());
    tokio::time::sleep(LEASE * 3).await;
    gate.turn(Weather::Fair);
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert!(yard.said().await.heartbeats.iter().all(|beat| beat.running.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_lease_was_lost_goes_on_and_the_first_commit_counts() {
    let yard = slow(10).await;
    yard.send(&task("s", 0, 1)).await;
    let grid = yard.grid.for_worker();
    let deaf = WorkerGrid { tasks: Arc::new(Deaf(grid.tasks.clone())), ..grid };
    let a = yard.start_with(WorkerConfig { slots: 1, ..yard.config("a") }, deaf);
    until(async || yard.runner.runs().len() == 1).await;
    let b = yard.start("b");
    yard.idle().await;
    a.drain().await.unwrap();
    b.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1), (0, 1)]);
    assert_eq!(yard.manifest("s", 0, 1).await.worker, WorkerId::new("a"), "it began first, and was first");
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1), completion("s", 0, 1)]);
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_while_its_task_waits_is_not_run_when_it_was_committed() {
    let yard = calm().await;
    yard.send(&task("s", 0, 1)).await;
    yard.work().await;
    yard.said().await;

    comes_again_while_it_waits(&yard).await;
    assert_eq!(yard.runner.runs(), [(0, 1)], "only the first time");
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_while_its_task_waits_is_run_once_when_nothing_was_committed() {
    let yard = calm().await;
    comes_again_while_it_waits(&yard).await;
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.manifest("s", 0, 1).await.committed(), [(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_lease_was_lost_while_it_waited_is_left_to_whoever_has_it() {
    let yard = slow(60).await;
    let (held_up, gate) = held_up(&yard);
    yard.send(&task("s", 0, 1)).await;
    let a = yard.start_with(WorkerConfig { slots: 1, ..yard.config("a") }, held_up);
    until(async || yard.grid.tasks.depth().await.unwrap().in_flight == 1).await;
    let b = yard.start("b");
    until(async || yard.runner.runs().len() == 1).await;
    gate.turn(Weather::Fair);
    yard.idle().await;
    a.drain().await.unwrap();
    b.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.manifest("s", 0, 1).await.worker, WorkerId::new("b"));
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
}

/// If it kills this worker too, somebody has to know what did.
#[tokio::test(start_paused = true)]
async fn a_task_that_may_have_killed_a_worker_is_announced_before_it_runs() {
    let is_announced = async |deaths, copy| {
        let yard = slow(1).await;
        yard.send(&TaskMessage { copy, ..task("s", 0, 1) }).await;
        for _ in 0..deaths {
            worker_dies(&yard).await;
            tokio::time::sleep(LEASE).await;
        }
        let config = WorkerConfig { heartbeat: Duration::from_secs(60), ..yard.config("w") };
        let worker = yard.start_with(config, yard.grid.for_worker());
        until(async || yard.runner.runs().len() == 1).await;
        let is_announced = yard.said().await.heartbeats.iter().any(|beat| !beat.running.is_empty());
        worker.drain().await.unwrap();
        is_announced
    };
    assert!(is_announced(1, 0).await);
    assert!(is_announced(0, 1).await, "where the attempt itself runs it may be killing another one");
    assert!(!is_announced(0, 0).await, "it costs a message");
}

/// What cannot be deleted comes again, and is found to be done.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_deleted_is_tried_again_a_few_times() {
    for (fails, asked, reports) in [(1, 2, 1), (3, 4, 1), (4, 5, 2)] {
        let yard = calm().await;
        let tasks = Stubborn::new(&yard.grid.tasks, fails);
        yard.send(&task("s", 0, 1)).await;
        let worker = yard.start_with(yard.config("w"), WorkerGrid { tasks: tasks.clone(), ..yard.grid.for_worker() });
        yard.idle().await;
        worker.drain().await.unwrap();
        assert_eq!(tasks.asked.load(Ordering::Relaxed), asked);
        assert_eq!(yard.said().await.completions, vec![completion("s", 0, 1); reports], "{fails} failures");
        assert_eq!(yard.runner.runs(), [(0, 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_recognised_and_keeps_its_data() {
    let large = |_, _| writes(vec![b'x'; 100 << 10]);
    let (yard, gate) = Yard::behind_gate(Scripted::new(large), vec![stage("s", numbers(9))]).await;
    gate.turn(Weather::LosesAnswer);
    yard.send(&task("s", 0, 1)).await;
    yard.work().await;
    let Pack::Object { key, len, .. } = yard.manifest("s", 0, 1).await.outputs.pack else { panic!("packed apart") };
    assert_eq!(yard.grid.objects.head(&key).await.unwrap().size, len);
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
    assert_eq!(yard.runner.runs(), [(0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_tried_again_until_the_queue_gives_it_up() {
    let script = |_, _| Act { takes: Duration::ZERO, ends: End::Panics };
    let yard = Yard::new(Scripted::new(script), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 1)).await;
    yard.work().await;
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 });
    assert_eq!(yard.said().await.completions, []);
    assert_eq!(yard.objects().await, [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn results_that_do_not_add_up_are_a_failure_of_our_own() {
    let yard = Yard::new(Scripted::short(), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 3)).await;
    yard.work().await;
    let manifest = yard.manifest("s", 0, 1).await;
    let failed: Vec<_> = manifest.failed.iter().map(|f| (f.first, f.count, f.failure.reason)).collect();
    assert_eq!(failed, [(0, 3, Reason::Internal)]);
    assert_eq!(manifest.outputs, Default::default());
}
