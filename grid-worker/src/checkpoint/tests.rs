//! What is kept, what is restored, and what those who come late can do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use bytes::Bytes;
use grid_core::ids::WorkerId;
use infra::faults::{FaultyObjects, StoreFaults};
use infra::objects::MemoryObjects;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::dice::Dice;

const INTERVAL: Duration = Duration::from_secs(60);

/// A store, and scratch folders of executions.
struct Yard {
    objects: Arc<dyn ObjectStore>,
    scratch: TempDir,
}

/// An item that runs.
struct Item {
    checkpoints: Arc<Checkpoints>,
    kept: Kept,
}

/// Checkpoints of an execution, for tests of what runs.
pub(crate) fn checkpoints(objects: &Arc<dyn ObjectStore>, attempt: u32, every: Duration) -> Arc<Checkpoints> {
    Arc::new(new(objects, &format!("w{attempt}"), attempt, every))
}

fn new(objects: &Arc<dyn ObjectStore>, worker: &str, attempt: u32, every: Duration) -> Checkpoints {
    let dice = Arc::new(Dice::new(1, &WorkerId::new(worker)));
    Checkpoints {
        objects: objects.clone(),
        nonce: dice.nonce(),
        patience: Patience { dice, longest: Duration::from_secs(60) },
        job: JobId::new("job-1"),
        stage: StageName::new("train"),
        attempt,
        set: BTreeMap::new(),
        every,
        drain: CancellationToken::new(),
        stored: Mutex::default(),
    }
}

impl Yard {
    fn new() -> Self {
        Self { objects: Arc::new(MemoryObjects::new()), scratch: tempfile::tempdir().unwrap() }
    }

    fn checkpoints(&self, worker: &str, attempt: u32) -> Checkpoints {
        new(&self.objects, worker, attempt, INTERVAL)
    }

    async fn open(&self, checkpoints: Checkpoints, item: ItemIndex) -> Item {
        let checkpoints = Arc::new(checkpoints);
        let scratch = self.scratch.path().join(&checkpoints.nonce);
        fs::create_dir_all(&scratch).unwrap();
        let kept = checkpoints.clone().open(item, &scratch, &CancellationToken::new()).await.unwrap();
        Item { checkpoints, kept }
    }

    async fn starts(&self, worker: &str, attempt: u32) -> Item {
        self.open(self.checkpoints(worker, attempt), 7).await
    }

    async fn keys(&self) -> Vec<String> {
        self.objects.list("", None, 100).await.unwrap().into_iter().map(|object| object.key).collect()
    }

    /// Lets a checkpoint be taken on the interval, and waits until the store has exactly `count` objects.
    async fn interval(&self, count: usize) {
        sleep(INTERVAL).await;
        let settled = async {
            while self.keys().await.len() != count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(INTERVAL / 2, settled).await.unwrap();
    }
}

impl Item {
    fn writes(&self, name: &str, content: &str) {
        fs::write(self.kept.folder().join(name), content).unwrap();
    }

    fn has(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.kept.folder()).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
    }
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_on_the_interval_is_there_for_the_next_attempt() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    assert_eq!(first.has(), files(&[]));
    first.writes("step", "1");
    yard.interval(1).await;
    first.writes("step", "2, which dies with its worker");
    drop(first);
    let second = yard.starts("b", 2).await;
    assert_eq!(second.has(), files(&[("step", "1")]));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_cut_short_is_kept_as_it_was_and_one_that_succeeded_is_not() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    first.writes("step", "1");
    assert_eq!(first.kept.close(false).await, None);
    let second = yard.starts("b", 2).await;
    assert_eq!(second.has(), files(&[("step", "1")]));
    second.writes("step", "2");
    assert_eq!(second.kept.close(true).await, None);
    assert_eq!(yard.keys().await.len(), 1, "its end is in its manifest");
    second.checkpoints.discard(vec![7]).await;
    assert_eq!(yard.keys().await, [] as [&str; 0], "no longer needed once it is committed");
}

#[tokio::test(start_paused = true)]
async fn a_drain_keeps_the_folder_at_once() {
    let yard = Yard::new();
    let item = yard.starts("a", 1).await;
    item.writes("step", "1");
    item.checkpoints.drain.cancel();
    let soon = async {
        while yard.keys().await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(INTERVAL / 2, soon).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn newer_ones_take_the_place_of_older_ones_and_what_has_not_changed_is_not_kept_again() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    first.writes("step", "1");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().write(true).open(first.kept.folder().join("step")).unwrap().set_modified(long_ago).unwrap();
    yard.interval(1).await;
    let kept = yard.keys().await;
    sleep(INTERVAL * 5).await;
    assert_eq!(yard.keys().await, kept);
    first.writes("step", "2");
    assert_eq!(first.kept.close(false).await, None);
    let newer = yard.keys().await;
    assert!(newer.len() == 1 && newer > kept, "{newer:?} after {kept:?}");
    let second = yard.starts("b", 1).await;
    assert_eq!(second.has(), files(&[("step", "2")]));
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_was_taken_for_dead_replaces_nothing_newer() {
    let yard = Yard::new();
    let zombie = yard.starts("a", 1).await;
    zombie.writes("step", "1");
    yard.interval(1).await;
    let alive = yard.starts("b", 2).await;
    alive.writes("step", "9");
    assert_eq!(alive.kept.close(false).await, None);
    zombie.writes("step", "2, late");
    assert_eq!(zombie.kept.close(false).await, None);
    let third = yard.starts("c", 3).await;
    assert_eq!(third.has(), files(&[("step", "9")]));
    third.checkpoints.discard(vec![7]).await;
    assert_eq!(yard.keys().await, [] as [&str; 0], "what the late one has left goes, too");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_one_is_passed_over() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    first.writes("step", "1");
    assert_eq!(first.kept.close(false).await, None);
    let good = yard.keys().await.remove(0);
    let whole = yard.objects.get(&good, None).await.unwrap();
    let newer = |number| layout::checkpoint(&first.checkpoints.prefix(7), 2, number, "f0");
    let end = whole.len() - 1;
    let flipped: Bytes = whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == whole.len() / 2)).collect();
    let text = String::from_utf8(whole.to_vec()).unwrap();
    let damages = [
        whole.slice(..end),
        whole.slice(..40),
        Bytes::new(),
        flipped,
        text.replace("\"item\":7", "\"item\":8").into(),
        text.replace("\"path\":\"step\"", "\"path\":\"../step\"").into(),
        text.replace("\"v\":1", "\"v\":2").into(),
    ];
    for (number, damage) in (2..).zip(damages) {
        assert_ne!(damage, whole);
        yard.objects.put(&newer(number), damage).await.unwrap();
    }
    assert_eq!(yard.starts("b", 2).await.has(), files(&[("step", "1")]));
}

#[tokio::test(start_paused = true)]
async fn items_and_what_a_redrive_has_set_are_kept_apart() {
    let yard = Yard::new();
    let plain = yard.starts("a", 1).await;
    plain.writes("step", "1");
    assert_eq!(plain.kept.close(false).await, None);
    let set = BTreeMap::from([("rate".to_owned(), "2".to_owned())]);
    let redriven = yard.open(Checkpoints { set: set.clone(), ..yard.checkpoints("b", 2) }, 7).await;
    assert_eq!(redriven.has(), files(&[]));
    redriven.writes("step", "of rate 2");
    assert_eq!(redriven.kept.close(false).await, None);
    assert_eq!(yard.open(yard.checkpoints("c", 3), 8).await.has(), files(&[]));
    let job = JobId::new("job-2");
    assert_eq!(yard.open(Checkpoints { job, ..yard.checkpoints("c", 3) }, 7).await.has(), files(&[]));
    let again = yard.open(Checkpoints { set, ..yard.checkpoints("c", 3) }, 7).await;
    assert_eq!(again.has(), files(&[("step", "of rate 2")]));
}

#[tokio::test(start_paused = true)]
async fn folders_links_and_programs_come_back_as_they_were() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    let folder = first.kept.folder().to_owned();
    fs::create_dir_all(folder.join("a/b/empty")).unwrap();
    let large: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(folder.join("a/large"), &large).unwrap();
    fs::write(folder.join("a/resume"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("a/resume"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a/large", folder.join("latest")).unwrap();
    symlink("/etc", folder.join("away")).unwrap();
    fs::write(folder.join("line\nbreak ä"), "x").unwrap();
    assert_eq!(first.kept.close(false).await, None);
    let second = yard.starts("b", 2).await;
    let folder = second.kept.folder();
    assert!(folder.join("a/b/empty").is_dir());
    assert_eq!(fs::read(folder.join("latest")).unwrap(), large);
    assert_eq!(fs::read_link(folder.join("away")).unwrap(), Path::new("/etc"));
    let executable = |name| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o111 != 0;
    assert!(executable("a/resume") && !executable("a/large"));
    assert_eq!(fs::read_to_string(folder.join("line\nbreak ä")).unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_said_and_the_one_before_stays() {
    let yard = Yard::new();
    let first = yard.starts("a", 1).await;
    first.writes("step", "1");
    yard.interval(1).await;
    let _socket = std::os::unix::net::UnixListener::bind(first.kept.folder().join("socket")).unwrap();
    assert_eq!(first.kept.close(false).await.unwrap(), "\"socket\" is neither a file nor a folder");
    assert_eq!(yard.starts("b", 2).await.has(), files(&[("step", "1")]));
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_does_a_whole_checkpoint_is_restored() {
    for seed in 0..40 {
        let mut yard = Yard::new();
        let whole = yard.objects.clone();
        let faults = StoreFaults {
            seed,
            delay: 0.3,
            max_delay: INTERVAL * 2,
            fail_before: 0.2,
            fail_after: 0.2,
            late: 0.2,
            max_late: INTERVAL * 5,
        };
        yard.objects = Arc::new(FaultyObjects::new(whole.clone(), faults));
        let mut known = 0;
        for attempt in 1..6 {
            let mut checkpoints = yard.checkpoints(&format!("w{attempt}"), attempt);
            checkpoints.patience.longest = Duration::from_secs(3_600);
            let item = yard.open(checkpoints, 7).await;
            let has = item.has();
            let step: u32 = has.get("step").map_or(0, |step| step.parse().unwrap());
            assert_eq!(has.get("same"), has.get("step"), "seed {seed}: all of it is of one moment");
            assert!(step >= known, "seed {seed}: step {known} was kept, {step} was restored");
            let mut now = step;
            for _ in 0..3 {
                now += 1;
                item.writes("step", &now.to_string());
                item.writes("same", &now.to_string());
                sleep(INTERVAL + Duration::from_secs(1)).await;
            }
            let trouble = item.kept.close(false).await;
            known = if trouble.is_none() { now } else { step };
        }
    }
}
