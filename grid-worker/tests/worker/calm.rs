//! Nothing goes wrong.

use std::time::Duration;

use grid_core::ids::WorkerId;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::{ItemFailure, Manifest, Outputs, Pack};
use grid_worker::WorkerConfig;
use infra::queue::Depth;

use crate::scripted::{Scripted, fails, writes};
use crate::yard::{Yard, completion, job, numbers, stage, task};

fn crc(text: &str) -> (u64, u32) {
    (text.len() as u64, crc32fast::hash(text.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_bundle_becomes_one_manifest_and_one_completion_and_its_message_goes() {
    let yard = Yard::new(Scripted::echo(), vec![stage("count", numbers(9))]).await;
    yard.send(&task("count", 3, 3)).await;
    yard.work().await;

    let expected = Manifest {
        v: 1,
        job: job(),
        stage: grid_core::ids::StageName::new("count"),
        first: 3,
        count: 3,
        attempt: 1,
        worker: WorkerId::new("w"),
        copy: 0,
        started_ms: infra::memory::START_MS,
        busy_us: 7_000,
        bytes_in: 0,
        outputs: Outputs {
            pack: Pack::Text("3\n4\n5\n".into()),
            stdout: vec![crc("3\n"), crc("4\n"), crc("5\n")],
            files: Vec::new(),
            bundled: false,
        },
        failed: Vec::new(),
        unrun: Vec::new(),
        log: None,
        params: Default::default(),
        reused_from: None,
    };
    assert_eq!(yard.manifest("count", 3, 1).await, expected);
    assert_eq!(yard.said().await.completions, [completion("count", 3, 1)]);
    assert_eq!(yard.runner.runs(), [(3, 1)]);
    assert_eq!(yard.runner.names(), ["3", "4", "5"]);
    // Nothing else was said, written, or left behind.
    assert_eq!(yard.objects().await, ["count/done/0000000003.1.json"]);
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth::default());
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap(), Depth::default());
    assert_eq!(yard.scratch_folders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_commits_what_succeeded_and_names_what_failed() {
    let script = |item: u32, _| if item % 2 == 1 { fails(Reason::Exit) } else { writes(format!("{item};")) };
    let yard = Yard::new(Scripted::new(script), vec![stage("odd", numbers(9))]).await;
    yard.send(&task("odd", 0, 4)).await;
    yard.work().await;

    let manifest = yard.manifest("odd", 0, 1).await;
    let failure =
        |first| ItemFailure { first, count: 1, bytes_in: 0, failure: Failure::new(Reason::Exit, "as the test says") };
    assert_eq!(manifest.failed, [failure(1), failure(3)]);
    assert_eq!(manifest.committed(), [(0, 1), (2, 1)]);
    assert_eq!(manifest.outputs.pack, Pack::Text("0;2;".into()));
    assert_eq!(manifest.outputs.stdout, [crc("0;"), (0, 0), crc("2;"), (0, 0)]);
    assert_eq!(yard.said().await.completions, [completion("odd", 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn more_tasks_than_slots_are_all_done_once() {
    let yard = Yard::new(Scripted::new(|_, _| writes("x").after(1)), vec![stage("many", numbers(99))]).await;
    for first in 0..25 {
        yard.send(&task("many", first, 1)).await;
    }
    yard.work().await;
    let mut runs = yard.runner.runs();
    runs.sort_unstable();
    assert_eq!(runs, (0..25).map(|first| (first, 1)).collect::<Vec<_>>());
    let mut completions = yard.said().await.completions;
    completions.sort_by_key(|completion| completion.key);
    assert_eq!(completions, (0..25).map(|first| crate::yard::completion("many", first, 1)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fills_several_slots_waits_for_them_and_none_waits_for_ever() {
    let mut wide = stage("wide", numbers(99));
    wide.resources.cpus = Some(1.5);
    let yard = Yard::new(Scripted::new(|_, _| writes("x").after(1)), vec![wide, stage("thin", numbers(99))]).await;
    for first in 0..4 {
        yard.send(&task("wide", first, 1)).await;
        yard.send(&task("thin", first, 1)).await;
    }
    let start = tokio::time::Instant::now();
    yard.work().await;
    assert_eq!(yard.said().await.completions.len(), 8);
    assert!(start.elapsed() >= Duration::from_secs(6), "four seconds of wide tasks beside two of thin ones in pairs");
}

#[tokio::test(start_paused = true)]
async fn without_room_for_scratch_a_task_is_given_back() {
    let yard = Yard::new(Scripted::echo(), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 1)).await;
    let config = WorkerConfig { scratch: "/nonexistent".into(), ..yard.config("w") };
    let worker = yard.start_with(config, yard.grid.for_worker());
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), []);
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 });
}
