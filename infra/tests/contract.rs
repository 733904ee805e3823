//! Every back end against its trait's contract: one line a back end, one test a check.

use std::process::{Command, Stdio};
use std::sync::Arc;

use grid_core::ids::GroupName;
use infra::clock::{SystemClock, TokioClock};
use infra::contract::{fleet, notify, objects, queue, state};
use infra::faults::{FaultyObjects, FaultyState, StoreFaults};
use infra::fleet::{LocalFleet, Over, Process, Task};
use infra::notify::{FileNotifier, MemoryNotifier, Notifier};
use infra::objects::{FolderObjects, MemoryObjects};
use infra::queue::{DeadLetters, MemoryQueue, QueueFaults, QueueSettings};
use infra::state::{MemoryState, SqliteState};
use infra::{fleet_checks, notify_checks, object_checks, queue_checks, state_checks};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Makes a module of tests for one back end. What `fresh` gives beside the back end lives as long as the test; threads
/// and a paused clock do not go together.
macro_rules! tests {
    ([$suite:ident $back_end:ident $fresh:expr; paused = $paused:tt] $($check:ident)*) => {
        mod $back_end {
            use super::*;

            $(#[tokio::test(start_paused = $paused)]
            async fn $check() {
                let (fresh, _alive) = $fresh;
                $suite::run(stringify!($check), fresh).await;
            })*
        }
    };
}

object_checks!(tests! [objects memory_objects (Arc::new(MemoryObjects::new()), ()); paused = true]);
object_checks!(tests! [objects folder_objects folder(); paused = false]);
object_checks!(tests! [objects calm_faulty_objects (calm_objects(), ()); paused = true]);

state_checks!(tests! [state memory_state (Arc::new(MemoryState::new()), ()); paused = true]);
state_checks!(tests! [state sqlite_state sqlite(); paused = false]);
state_checks!(tests! [state calm_faulty_state (calm_state(), ()); paused = true]);

queue_checks!(tests! [queue memory_queue (memory_queue(QueueFaults::default()), ()); paused = true]);

notify_checks!(tests! [notify memory_notifier (memory_notifier(), ()); paused = true]);
notify_checks!(tests! [notify file_notifier file_notifier(); paused = false]);

fn memory_notifier() -> notify::Fresh {
    let notifier = Arc::new(MemoryNotifier::default());
    let sent = notifier.clone();
    let read = move |queue: String, _: usize| {
        let of_queue = sent.sent().into_iter().filter(|(to, _)| *to == queue).map(|(_, event)| event).collect();
        let read: futures::future::BoxFuture<'static, Vec<String>> = Box::pin(std::future::ready(of_queue));
        read
    };
    let admitted = ["done", "other"].map(str::to_owned);
    notify::Fresh { notifier, admitted, refused: vec!["forbidden".to_owned()], read: Box::new(read) }
}

fn file_notifier() -> (notify::Fresh, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let notifier: Arc<dyn Notifier> = Arc::new(FileNotifier::new(dir.path(), dir.path().join("objects")));
    let folder = dir.path().join("notify");
    let read = move |queue: String, _: usize| {
        let name = queue.rsplit(':').next().unwrap_or_default();
        let text = std::fs::read_to_string(folder.join(format!("{name}.ndjson"))).expect("the file of the queue");
        let read: futures::future::BoxFuture<'static, Vec<String>> =
            Box::pin(std::future::ready(text.lines().map(str::to_owned).collect()));
        read
    };
    let admitted = ["done", "arn:aws:sqs:us-east-1:000000000000:other"].map(str::to_owned);
    let refused = ["", "..", "a b", "done/"].map(str::to_owned).to_vec();
    (notify::Fresh { notifier, admitted, refused, read: Box::new(read) }, dir)
}

fleet_checks!(tests! [fleet processes (processes(), ()); paused = false]);
fleet_checks!(tests! [fleet tasks (tasks(), ()); paused = true]);

/// Processes that go when they are told to, or when nobody is left to tell them: then their input ends.
fn processes() -> fleet::Fresh {
    let group = GroupName::new("processes");
    let start = |_: &_| Process::start(Command::new("cat").stdout(Stdio::null()));
    let fleet = Arc::new(LocalFleet::new(group.clone(), Arc::new(SystemClock), start));
    fleet::Fresh { fleet, group }
}

fn tasks() -> fleet::Fresh {
    let group = GroupName::new("tasks");
    let start = |_: &_| {
        let drain = CancellationToken::new();
        let waits = drain.clone();
        let ended = tokio::spawn(async move {
            waits.cancelled().await;
            Over::Well
        });
        Ok(Task { ended: AbortOnDropHandle::new(ended), drain })
    };
    let clock = Arc::new(TokioClock::starting_at(infra::memory::START_MS));
    fleet::Fresh { fleet: Arc::new(LocalFleet::new(group.clone(), clock, start)), group }
}

fn folder() -> (objects::Fresh, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    (Arc::new(FolderObjects::open(dir.path()).expect("it opens")), dir)
}

fn sqlite() -> (state::Fresh, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    (Arc::new(SqliteState::open(dir.path().join("state.db")).expect("it opens")), dir)
}

fn calm_objects() -> objects::Fresh {
    Arc::new(FaultyObjects::new(Arc::new(MemoryObjects::new()), StoreFaults::default()))
}

fn calm_state() -> state::Fresh {
    Arc::new(FaultyState::new(Arc::new(MemoryState::new()), StoreFaults::default()))
}

fn memory_queue(faults: QueueFaults) -> queue::Fresh {
    let dead_letters = Arc::new(MemoryQueue::default());
    let max_receives = 3;
    let settings = QueueSettings {
        dead_letters: Some(DeadLetters { max_receives, queue: dead_letters.clone() }),
        faults,
        ..QueueSettings::default()
    };
    queue::Fresh { queue: Arc::new(MemoryQueue::new(settings)), dead_letters, max_receives, many: 10_000 }
}

/// The one check that a queue must pass however badly it behaves.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_among_ten_thousand_with_faults_on() {
    for seed in 0..4 {
        let faults = QueueFaults {
            seed,
            duplicate: 0.1,
            delay: 0.2,
            max_delay: std::time::Duration::from_secs(30),
            lose: 0.0,
            fail_entry: 0.1,
            shuffle: 0.5,
        };
        queue::run("nothing_is_lost_among_many", memory_queue(faults)).await;
    }
}
