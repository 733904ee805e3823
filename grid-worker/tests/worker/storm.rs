//! Everything goes wrong at once, by a seed: whatever happens, every item is committed exactly once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grid_core::wire::Completion;
use infra::faults::{FaultyObjects, StoreFaults};
use infra::grid::WorkerGrid;
use infra::outputs::OutputReader;
use infra::queue::{MemoryQueue, QueueFaults, QueueSettings};

use crate::scripted::{Scripted, writes};
use crate::yard::{Running, Yard, completion, job, numbers, output_ref, stage, task};

const TASKS: u32 = 20;
const ITEMS: u32 = 5;

/// What a storm left: what was executed in which order, what was reported, and which objects there are.
type Trace = (Vec<(u32, u32)>, Vec<Completion>, Vec<String>);

fn queue_faults(seed: u64) -> QueueFaults {
    QueueFaults {
        seed,
        duplicate: 0.1,
        delay: 0.1,
        max_delay: Duration::from_secs(5),
        lose: 0.0,
        fail_entry: 0.2,
        shuffle: 0.5,
    }
}

fn store_faults(seed: u64) -> StoreFaults {
    StoreFaults {
        seed,
        delay: 0.2,
        max_delay: Duration::from_secs(3),
        fail_before: 0.1,
        fail_after: 0.1,
        late: 0.05,
        max_late: Duration::from_secs(20),
    }
}

async fn storm(seed: u64) -> Trace {
    let large = |item: u32| vec![b'a' + (item % 26) as u8; if item.is_multiple_of(7) { 30 << 10 } else { 10 }];
    let script = move |item, _| {
        let act = writes(large(item));
        if item % 11 == 0 { act.after(3) } else { act }
    };
    let mut yard = Yard::new(Scripted::new(script), vec![stage("s", numbers(999))]).await;
    let queue =
        |seed| Arc::new(MemoryQueue::new(QueueSettings { faults: queue_faults(seed), ..QueueSettings::default() }));
    (yard.grid.tasks, yard.grid.reports) = (queue(seed), queue(seed + 1));
    let faulty = Arc::new(FaultyObjects::new(yard.grid.objects.clone(), store_faults(seed)));
    let grid = WorkerGrid { objects: faulty.clone(), ..yard.grid.for_worker() };
    for number in 0..TASKS {
        yard.send_until_it_goes(&task("s", number * ITEMS, ITEMS)).await;
    }
    let start = |name: &str| yard.start_with(yard.config(name), grid.clone());
    let (dies, drains, stays) = (start("dies"), start("drains"), start("stays"));
    tokio::time::sleep(Duration::from_millis(300 + seed * 100)).await;
    die(dies).await;
    drains.drain().await.unwrap();
    faulty.calm();
    yard.idle().await;
    stays.drain().await.unwrap();
    faulty.settle().await;
    check(&yard, large).await;
    // Late reports come, too.
    tokio::time::sleep(Duration::from_secs(10)).await;
    (yard.runner.runs(), yard.said().await.completions, yard.objects().await)
}

async fn die(worker: Running) {
    worker.handle.abort();
    assert!(worker.handle.await.unwrap_err().is_cancelled());
}

/// Every attempt has a manifest; those that gave items back are the only ones that do not commit all of them.
async fn check(yard: &Yard, expected: impl Fn(u32) -> Vec<u8>) {
    let reader = OutputReader::new(yard.grid.objects.clone());
    for number in 0..TASKS {
        let first = number * ITEMS;
        let committed = reader.manifest(&job(), &output_ref("s", first, 1)).await.unwrap();
        let unrun: u32 = committed.manifest.unrun.iter().map(|(_, count)| count).sum();
        let done: Vec<u32> = (first..first + ITEMS).filter(|item| committed.holds(*item)).collect();
        assert_eq!(done.len() as u32 + unrun, ITEMS);
        assert_eq!(committed.manifest.failed, []);
        for item in done {
            let read = reader.read(committed.stdout(item).as_slice()).await.unwrap();
            assert_eq!(read, [expected(item)], "item {item}");
        }
    }
}

#[test]
fn whatever_happens_every_task_is_committed_once_and_reported() {
    let mut executions = 0;
    for seed in 0..25 {
        let (runs, completions, _) = in_its_own_time(storm(seed));
        let reported: BTreeSet<_> = completions.iter().map(|completion| completion.key).collect();
        let expected: BTreeSet<_> = (0..TASKS).map(|number| completion("s", number * ITEMS, 1).key).collect();
        assert_eq!(reported, expected, "seed {seed}");
        executions += runs.len();
    }
    assert!(executions > 25 * TASKS as usize, "a storm in which nothing ran twice tests nothing");
}

#[test]
fn a_storm_can_be_repeated() {
    for seed in [3, 14] {
        assert_eq!(in_its_own_time(storm(seed)), in_its_own_time(storm(seed)), "seed {seed}");
    }
}

fn in_its_own_time<T>(storm: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(storm)
}
