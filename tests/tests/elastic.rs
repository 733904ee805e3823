//! From no worker to the first task and back to none: a manager and its fleet, the workers of which are tasks of this process,
//! by the production code of both, on a paused clock. Whatever the fleet does, no task is lost, and none is killed by it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use grid_api::Receipt;
use grid_core::ids::{GroupName, JobId, MachineId, WorkerId};
use grid_core::random::Random;
use grid_core::scale::{Group, Params};
use grid_core::{layout, pipeline};
use grid_worker::runner::{ItemRan, Runner, Spool, Stop, TaskRan, TaskRun};
use grid_worker::{Worker, WorkerConfig};
use infra::fleet::{Fleet, LocalFleet, Over, Task};
use infra::queue::TaskQueue;
use infra::{Grid, memory};
use job_manager::fleet::FleetConfig;
use job_manager::{ManagerConfig, Progress, Role, SubmitRequest, manage, view};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const MAX_MACHINES: u32 = 6;

/// What the workers have seen.
#[derive(Debug, Default)]
struct Seen {
    lives: AtomicU64,
    items: AtomicU64,
    /// Items that a stop of the worker kept from being run, or cut short.
    hurt: AtomicU64,
}

/// Items that take seconds, some ten times as long.
#[derive(Debug)]
struct Sleeper(Arc<Seen>);

#[async_trait]
impl Runner for Sleeper {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let message = &task.message;
        let mut random = Random::from_seed(u64::from(message.first));
        let (mut items, mut busy) = (Vec::new(), Duration::ZERO);
        for _ in 0..message.count {
            let took = Duration::from_millis(1_000 + random.below(2_000) + if random.chance(0.1) { 20_000 } else { 0 });
            tokio::select! {
                () = sleep(took) => items.push(ItemRan::Ok { stdout: (0, 0), files: Vec::new() }),
                () = task.stop.drain.cancelled() => {
                    self.0.hurt.fetch_add(1, Ordering::Relaxed);
                    items.push(ItemRan::Unrun);
                }
            }
            busy += took;
            self.0.items.fetch_add(1, Ordering::Relaxed);
            task.progress.item_ended();
        }
        TaskRan { busy, items, pack: Spool::Memory(Vec::new()), log: Vec::new() }
    }

    async fn shutdown(&self) {}
}

struct Yard {
    grid: Grid,
    seen: Arc<Seen>,
    fleet: Arc<LocalFleet<Task>>,
    scratch: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let (grid, seen) = (memory::grid(), Arc::new(Seen::default()));
        let scratch = tempfile::tempdir().unwrap();
        let start = {
            let (grid, seen, scratch) = (grid.clone(), seen.clone(), scratch.path().to_owned());
            move |machine: &MachineId| Ok(life(&grid, &seen, scratch.clone(), machine))
        };
        let fleet = Arc::new(LocalFleet::new(GroupName::new("tasks"), grid.clock.clone(), start));
        Self { grid, seen, fleet, scratch }
    }

    fn manager(&self) -> Manager {
        self.manager_that_hears(None)
    }

    fn manager_that_hears(&self, events: Option<Arc<dyn TaskQueue>>) -> Manager {
        let group = Group { name: GroupName::new("tasks"), usd_per_hour: 0.1, taken_per_hour: 0.0 };
        let params = Params {
            slots: 2,
            max_machines: MAX_MACHINES,
            groups: vec![group],
            drain_target: Some(Duration::from_secs(60)),
            boot: Duration::from_secs(5),
            slack: Duration::from_secs(5),
            ..Params::default()
        };
        let tick = Duration::from_secs(2);
        let fleet = FleetConfig {
            fleet: self.fleet.clone(),
            pool: "default".into(),
            params,
            tick,
            events,
            outlives_manager: true,
        };
        let config = ManagerConfig { name: "manager".into(), fleet: Some(fleet), ..ManagerConfig::default() };
        let (publish, progress) = watch::channel(Progress::default());
        let (tell, role) = watch::channel(Role::default());
        let stop = CancellationToken::new();
        let ended = tokio::spawn({
            let (grid, stop) = (self.grid.clone(), stop.clone());
            async move { manage(grid, config, publish, tell, stop).await.unwrap() }
        });
        Manager { ended, stop, _watched: (progress, role) }
    }

    async fn submit(&self, name: &str, items: u32) -> JobId {
        let text = format!("name: {name}\nstages:\n  work: {{range: 1..{items}, run: [\"true\"], cache: false}}\n");
        let pipeline = pipeline::parse(&text, "p.yaml").unwrap();
        let request = SubmitRequest::of_defaults(pipeline).unwrap();
        job_manager::submit(&self.grid, request).await.unwrap().job().clone()
    }

    async fn machines(&self) -> usize {
        self.fleet.look().await.unwrap().machines.len()
    }

    /// Waits until it is so, looking every second.
    async fn until<T>(&self, what: &str, is: impl AsyncFn(&Self) -> Option<T>) -> T {
        let looked = timeout(Duration::from_secs(3_600), async {
            loop {
                if let Some(found) = is(self).await {
                    return found;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        looked.await.unwrap_or_else(|_| panic!("{what}: not within an hour"))
    }

    async fn receipt(&self, job: &JobId) -> Receipt {
        let read = async |yard: &Self| yard.grid.objects.get(&layout::receipt(job, 0), None).await.ok();
        let body = self.until("the receipt", read).await;
        serde_json::from_slice(&body).unwrap()
    }

    async fn is_empty(&self) {
        self.until("an empty fleet", async |yard| (yard.machines().await == 0).then_some(())).await;
    }

    fn is_unhurt(&self, items: u64) {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        assert_eq!(count(&self.seen.hurt), 0, "none is cut short");
        // A task that waited long for a machine may be sent again in the moment in which it is taken: twice is harmless.
        assert!(count(&self.seen.items) >= items, "every one has run");
    }
}

struct Manager {
    ended: JoinHandle<()>,
    stop: CancellationToken,
    _watched: (watch::Receiver<Progress>, watch::Receiver<Role>),
}

impl Manager {
    async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}

/// One worker, which needs its time until it is there.
fn life(grid: &Grid, seen: &Arc<Seen>, scratch: PathBuf, machine: &MachineId) -> Task {
    let number = seen.lives.fetch_add(1, Ordering::Relaxed);
    let config = WorkerConfig {
        worker: WorkerId::new(format!("w{number}")),
        pool: "default".into(),
        slots: 2,
        lease: Duration::from_secs(60),
        poll: Duration::from_secs(20),
        rest: Duration::ZERO,
        heartbeat: Duration::from_secs(2),
        patience: Duration::from_secs(60),
        scratch,
        seed: number,
    };
    let worker = Worker::new(grid.for_worker(), Arc::new(Sleeper(seen.clone())), config).on(machine.clone());
    let drain = CancellationToken::new();
    let stop = Stop { drain: drain.clone(), ..Stop::default() };
    let ended = tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        if worker.run(stop).await.is_ok() { Over::Well } else { Over::Badly }
    });
    Task { ended: AbortOnDropHandle::new(ended), drain }
}

#[tokio::test(start_paused = true)]
async fn machines_come_with_the_work_and_go_when_it_is_done() {
    let yard = Yard::new();
    let manager = yard.manager();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.machines().await, 0, "nothing to do");
    let job = yard.submit("burst", 200).await;
    yard.until("a full fleet", async |yard| (yard.machines().await == MAX_MACHINES as usize).then_some(())).await;
    let full = async |yard: &Yard| {
        let pools = view::pools(&yard.grid).await.unwrap();
        pools.into_iter().find(|pool| pool.waits.iter().any(|words| words.starts_with("at maximum")))
    };
    let pool = yard.until("a pool that says why it does not grow", full).await;
    assert_eq!((pool.pool.as_str(), pool.groups.len()), ("default", 1));
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.stages[0].ok, receipt.stages[0].failures.len()), (200, 0));
    yard.is_empty().await;
    yard.is_unhurt(200);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_machines_are_taken_away_beside_running_tasks_and_none_is_hurt() {
    let yard = Yard::new();
    let manager = yard.manager();
    let mut jobs = Vec::new();
    let mut round = 0;
    // Small jobs, now together and now apart, so that machines come and go all the time.
    while yard.seen.lives.load(Ordering::Relaxed) < 100 {
        let size = 3 + 11 * (round % 4);
        let job = yard.submit(&format!("job{round}"), size).await;
        jobs.push((job.clone(), u64::from(size)));
        sleep(Duration::from_secs(u64::from(5 + 17 * (round % 3)))).await;
        if round % 3 == 2 {
            assert_eq!(yard.receipt(&job).await.stages[0].ok, u64::from(size));
        }
        round += 1;
        assert!(round < 2_000, "machines neither come nor go");
    }
    for (job, size) in &jobs {
        let stage = &yard.receipt(job).await.stages[0];
        assert_eq!((stage.ok, stage.failures.len()), (*size, 0));
    }
    yard.is_empty().await;
    yard.is_unhurt(jobs.iter().map(|(_, size)| size).sum());
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_told_to_be_taken_away_is_made_up_for_while_it_still_works() {
    let yard = Yard::new();
    // Any queue will do.
    let events = memory::grid().reports;
    let manager = yard.manager_that_hears(Some(events.clone()));
    let job = yard.submit("burst", 400).await;
    yard.until("a full fleet", async |yard| (yard.machines().await == MAX_MACHINES as usize).then_some(())).await;
    let machine = yard.fleet.look().await.unwrap().machines.remove(0).id;
    let warning = |id: &str| {
        format!(r#"{{"detail-type": "EC2 Spot Instance Interruption Warning", "detail": {{"instance-id": "{id}"}}}}"#)
    };
    // The spot market's events are those of the whole account.
    events.send(&[warning("i-0123456789abcdef0"), warning(machine.as_str())]).await.unwrap();
    yard.until("one more", async |yard| (yard.machines().await == MAX_MACHINES as usize + 1).then_some(())).await;
    let leaving = async |yard: &Yard| view::pools(&yard.grid).await.unwrap()[0].groups[0].leaving;
    yard.until("people see it go", async |yard| (leaving(yard).await == 1).then_some(())).await;
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.stages[0].ok, receipt.stages[0].failures.len()), (400, 0));
    let depth = events.depth().await.unwrap();
    assert_eq!(depth.waiting + depth.in_flight, 0, "what was heard is deleted");
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_manager_goes_on_with_the_fleet_where_the_first_one_died() {
    let yard = Yard::new();
    let first = yard.manager();
    let job = yard.submit("burst", 120).await;
    yard.until("some machines", async |yard| (yard.machines().await >= 3).then_some(())).await;
    first.ended.abort();
    let second = yard.manager();
    let receipt = yard.receipt(&job).await;
    assert_eq!((receipt.stages[0].ok, receipt.stages[0].failures.len()), (120, 0));
    assert!(
        yard.seen.lives.load(Ordering::Relaxed) <= u64::from(MAX_MACHINES) + 2,
        "those that were there are not asked for again"
    );
    yard.is_empty().await;
    assert_eq!(yard.seen.hurt.load(Ordering::Relaxed), 0);
    second.stop().await;
    assert!(yard.scratch.path().exists());
}
