//! Whole jobs by the production code of manager and worker, on back ends in memory that fail by a seed, on a paused
//! clock: managers and workers die and come again, messages are lost, doubled and late, and the state table is lost and
//! made again. In the end every item is committed exactly once, the sums are right, and the receipt balances.

#![allow(clippy::panic, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use grid_api::Receipt;
use grid_core::ids::{JobId, StageName, WorkerId};
use grid_core::job::JobState;
use grid_core::limits::MAX_RECEIVES;
use grid_core::random::Random;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::{Manifest, OutputRef};
use grid_core::{layout, pipeline};
use grid_worker::runner::{ItemInput, ItemRan, Runner, Spool, Stop, TaskRan, TaskRun};
use grid_worker::{Worker, WorkerConfig};
use infra::faults::{FaultyObjects, FaultyState, StoreFaults};
use infra::outputs::OutputReader;
use infra::queue::{DeadLetters, MemoryQueue, QueueFaults, QueueSettings};
use infra::state::MemoryState;
use infra::{Grid, memory};
use job_manager::rebuild::{Existing, RebuildConfig, Unfinished, rebuild};
use job_manager::{ManagerConfig, Progress, SubmitRequest, view};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A range, squared one by one, summed in groups and by a tree: numbers that a few lines of arithmetic can check.
const PIPELINE: &str = "
name: storm
stages:
  source: {range: 1..60, run: [number], retry: {attempts: 60, backoff: {initial: 100ms, max: 2s}}}
  same: {each: source, run: [same], retry: {attempts: 60, backoff: {initial: 100ms, max: 2s}}}
  again: {each: [same, source], run: [same], retry: {attempts: 60, backoff: {initial: 100ms, max: 2s}}}
  groups: {group: again, by: [item], run: [sum], retry: {attempts: 60, backoff: {initial: 100ms, max: 2s}}}
  sum: {all: [groups, again], fan_in: 7, run: [sum], retry: {attempts: 60, backoff: {initial: 100ms, max: 2s}}}
";

/// Seeds that are ridden out side by side.
const THREADS: usize = 8;

/// Numbers in, their sum out; a source gives its own number. Slow now and then, and now and then it fails.
#[derive(Debug)]
struct Adder {
    seed: u64,
    sour: f64,
}

#[async_trait]
impl Runner for Adder {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let message = &task.message;
        let mut random =
            Random::from_seed(self.seed ^ u64::from(message.first) << 32 ^ u64::from(message.attempt) << 8);
        let mut ran =
            TaskRan { busy: Duration::ZERO, items: Vec::new(), pack: Spool::Memory(Vec::new()), log: Vec::new() };
        let mut pack = Vec::new();
        let started = Instant::now();
        let mut inputs = task.inputs.into_iter();
        for item in message.first..message.first + message.count {
            let input = inputs.next().unwrap_or(ItemInput::None);
            if task.stop.drain.is_cancelled() || task.stop.kill.is_cancelled() {
                ran.items.push(ItemRan::Unrun);
                continue;
            }
            let slowest = if random.chance(0.02) { 30_000 } else { 300 };
            sleep(Duration::from_millis(1 + random.below(slowest))).await;
            task.progress.item_ended();
            if random.chance(self.sour) {
                ran.items.push(ItemRan::Failed(Failure::new(Reason::Exit, "sour")));
                continue;
            }
            match add(input).await {
                Ok(numbers) => {
                    let sum = numbers.unwrap_or(u64::from(item) + 1);
                    let line = format!("{sum}\n");
                    ran.items.push(ItemRan::Ok {
                        stdout: (line.len() as u64, crc32fast::hash(line.as_bytes())),
                        files: Vec::new(),
                    });
                    pack.extend_from_slice(line.as_bytes());
                }
                Err(failure) => ran.items.push(ItemRan::Failed(failure)),
            }
        }
        ran.busy = started.elapsed();
        ran.pack = Spool::Memory(pack);
        ran
    }

    async fn shutdown(&self) {}
}

/// The sum of the numbers in an input; none without an input.
async fn add(input: ItemInput) -> Result<Option<u64>, Failure> {
    let bytes = match input {
        ItemInput::None => return Ok(None),
        ItemInput::Bytes(bytes) => bytes.to_vec(),
        ItemInput::Stream(stream) => {
            let pieces: Vec<bytes::Bytes> =
                stream.try_collect().await.map_err(|error| Failure::new(Reason::Input, error.to_string()))?;
            pieces.concat()
        }
        ItemInput::Files(_) => return Err(Failure::new(Reason::Internal, "no files are expected")),
        ItemInput::Failed(failure) => return Err(failure),
    };
    let text = String::from_utf8(bytes).map_err(|_| Failure::new(Reason::Input, "no text"))?;
    Ok(Some(text.lines().map(|line| line.parse::<u64>().expect("numbers")).sum()))
}

struct Storm {
    grid: Grid,
    random: Random,
    objects: Arc<FaultyObjects>,
    state: Arc<FaultyState>,
    queues: [Arc<MemoryQueue>; 3],
    scratch: tempfile::TempDir,
    sour: f64,
    lives: u64,
    /// What befalls a state table.
    table: StoreFaults,
    /// When the table is lost, in looks at the job.
    lost_at: u64,
}

impl Storm {
    fn of(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let calm = memory::grid();
        let strength = |random: &mut Random, most: f64| if random.chance(0.3) { 0.0 } else { random.unit() * most };
        let stores = |random: &mut Random| StoreFaults {
            seed: random.next_u64(),
            delay: strength(random, 0.2),
            max_delay: Duration::from_secs(3),
            fail_before: strength(random, 0.1),
            fail_after: strength(random, 0.1),
            late: strength(random, 0.05),
            max_late: Duration::from_secs(40),
        };
        let queues = |random: &mut Random| QueueFaults {
            seed: random.next_u64(),
            duplicate: strength(random, 0.1),
            delay: strength(random, 0.1),
            max_delay: Duration::from_secs(20),
            lose: strength(random, 0.05),
            fail_entry: strength(random, 0.15),
            shuffle: strength(random, 0.5),
        };
        let objects = Arc::new(FaultyObjects::new(calm.objects.clone(), stores(&mut random)));
        let table = stores(&mut random);
        let state = Arc::new(FaultyState::new(calm.state.clone(), table));
        let dead = Arc::new(MemoryQueue::default());
        let letters = DeadLetters { max_receives: MAX_RECEIVES, queue: dead.clone() };
        let tasks =
            QueueSettings { dead_letters: Some(letters), faults: queues(&mut random), ..QueueSettings::default() };
        let tasks = Arc::new(MemoryQueue::new(tasks));
        let reports = QueueSettings { faults: queues(&mut random), ..QueueSettings::default() };
        let reports = Arc::new(MemoryQueue::new(reports));
        let grid = Grid {
            objects: objects.clone(),
            state: state.clone(),
            tasks: tasks.clone(),
            dead_tasks: dead.clone(),
            reports: reports.clone(),
            ..calm
        };
        let scratch = tempfile::tempdir().expect("a folder for scratch");
        let sour = strength(&mut random, 0.3);
        let lost_at = random.below(200);
        Self { grid, random, objects, state, queues: [tasks, dead, reports], scratch, sour, lives: 0, table, lost_at }
    }

    fn calm(&self) {
        self.objects.calm();
        self.state.calm();
        self.queues.iter().for_each(|queue| queue.calm());
    }

    /// Loses the state table and makes it again, while workers are at work.
    async fn lose_table(&mut self) {
        self.state = Arc::new(FaultyState::new(Arc::new(MemoryState::new()), self.table));
        self.grid.state = self.state.clone();
        let poll = Duration::from_secs(20);
        let config = RebuildConfig { existing: Existing::Keep, unfinished: Unfinished::Run, poll };
        let mut news = Vec::new();
        for _ in 0..100 {
            let rebuilt = rebuild(&self.grid, &config, |heard| news.push(heard)).await;
            if rebuilt.as_ref().is_ok_and(|rebuilt| rebuilt.broken == 0) {
                return;
            }
            news.truncate(20);
        }
        panic!("the table cannot be made again: {news:?}");
    }

    async fn submit(&self) -> JobId {
        let pipeline = pipeline::parse(PIPELINE, "storm.yaml").expect("the pipeline is right");
        let request = SubmitRequest::of_defaults(pipeline).expect("it has no parameters");
        loop {
            match job_manager::submit(&self.grid, request.clone()).await {
                Ok(submitted) => return submitted.job().clone(),
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn manager(&mut self, progress: &watch::Sender<Progress>) -> JoinHandle<()> {
        let config = ManagerConfig { seed: self.random.next_u64(), ..ManagerConfig::default() };
        let lead = job_manager::lead(self.grid.clone(), config, progress.clone(), Default::default());
        tokio::spawn(async move { drop(lead.await) })
    }

    fn worker(&mut self) -> JoinHandle<()> {
        self.lives += 1;
        let config = WorkerConfig {
            worker: WorkerId::new(format!("worker-{}", self.lives)),
            pool: "default".into(),
            slots: 1 + self.random.below(3) as u32,
            lease: Duration::from_secs(10),
            poll: Duration::from_secs(4),
            rest: Duration::ZERO,
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(600),
            scratch: Path::to_owned(self.scratch.path()),
            seed: self.random.next_u64(),
        };
        let runner = Arc::new(Adder { seed: self.random.next_u64(), sour: self.sour });
        let worker = Worker::new(self.grid.for_worker(), runner, config).run(Stop::default());
        tokio::spawn(async move { drop(worker.await) })
    }
}

async fn ride_out(seed: u64) {
    let mut storm = Storm::of(seed);
    let job = storm.submit().await;
    let (progress, watched) = watch::channel(Progress::default());
    let mut manager = storm.manager(&progress);
    let mut workers = vec![storm.worker(), storm.worker()];
    let ends = Instant::now() + Duration::from_secs(120);
    let mut is_calm = false;
    for look in 0..40_000 {
        sleep(Duration::from_millis(500)).await;
        if look == storm.lost_at {
            manager.abort();
            storm.lose_table().await;
        }
        if !is_calm && Instant::now() > ends {
            is_calm = true;
            storm.calm();
        }
        if manager.is_finished() || (!is_calm && storm.random.chance(0.02)) {
            manager.abort();
            manager = storm.manager(&progress);
        }
        for worker in &mut workers {
            if worker.is_finished() || (!is_calm && storm.random.chance(0.02)) {
                worker.abort();
                *worker = storm.worker();
            }
        }
        let state = watched.borrow().jobs.get(&job).map(|status| status.state);
        if state.is_some_and(JobState::is_final) {
            storm.calm();
            storm.objects.settle().await;
            return check(&storm.grid, &job, seed).await;
        }
    }
    panic!("seed {seed}: the job does not end: {:?}", watched.borrow().jobs.get(&job));
}

async fn check(grid: &Grid, job: &JobId, seed: u64) {
    let receipt = grid.objects.get(&layout::receipt(job, 0), None).await.expect("there is a receipt");
    let receipt: Receipt = serde_json::from_slice(&receipt).expect("the receipt can be read");
    assert_eq!((receipt.state, receipt.balanced), (JobState::Succeeded, true), "seed {seed}: {receipt:?}");
    let mut sum = None;
    for stage in &receipt.stages {
        let mut commits: BTreeMap<u32, Vec<Manifest>> = BTreeMap::new();
        let reader = OutputReader::new(grid.objects.clone());
        for key in view::ended_attempts(grid.objects.as_ref(), job, &stage.name, 0).await.expect("they can be listed") {
            let at = OutputRef { stage: stage.name.clone(), key };
            let committed = reader.manifest(job, &at).await.expect("a manifest can be read");
            for (first, count) in committed.items().to_vec() {
                (first..first + count)
                    .for_each(|item| commits.entry(item).or_default().push(committed.manifest.clone()));
            }
            if stage.name == StageName::new("sum") && committed.holds(stage.items as u32 - 1) {
                let piece = committed.stdout(stage.items as u32 - 1).expect("it wrote a sum");
                sum = Some(reader.read(&[piece]).await.expect("the sum can be read").concat());
            }
        }
        let once = commits.len() as u64 == stage.items && commits.values().all(|manifests| manifests.len() == 1);
        assert!(once, "seed {seed}: an item of {} was not committed exactly once: {commits:?}", stage.name);
    }
    // `again` has every number twice, and so has the sum over the groups of it.
    let expected = 4 * (1..=60).sum::<u64>();
    assert_eq!(sum.as_deref(), Some(format!("{expected}\n").as_bytes()), "seed {seed}");
}

#[test]
fn whatever_fails_dies_or_repeats_every_item_is_committed_exactly_once() {
    let first: u64 = std::env::var("GRIDMILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let count: u64 = std::env::var("GRIDMILL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    // A paused clock waits in the kernel now and then: more threads than cores keep the cores busy.
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for seed in (first..first + count).skip(thread).step_by(THREADS) {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                    runtime.expect("a runtime").block_on(ride_out(seed));
                }
            });
        }
    });
}
