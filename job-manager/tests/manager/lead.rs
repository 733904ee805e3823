//! Managers among others: one leads, and another one takes its place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::job::JobState;
use grid_core::rows::{LEADER, LeaderRow};
use infra::faults::{FaultyState, StoreFaults};
use infra::state::{Expect, Row, RowKey, StateStore, Write};
use infra::{Grid, Result, memory};
use job_manager::{ManagerConfig, ManagerError, Role};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::yard::{Leader, Manager, Yard};

const MANY: &str =
    "name: many\nstages:\n  work: {range: 1..200, run: [\"true\"]}\n  sum: {all: work, run: [\"true\"]}\n";

/// A state table whose calls do not come back while it is frozen, and are made only then: so does it look to a process
/// that stands still.
#[derive(Debug)]
struct Frozen {
    inner: Arc<dyn StateStore>,
    is_frozen: watch::Sender<bool>,
}

impl Frozen {
    fn of(grid: &Grid) -> (Arc<Self>, Grid) {
        let frozen = Arc::new(Self { inner: grid.state.clone(), is_frozen: watch::Sender::new(false) });
        (frozen.clone(), Grid { state: frozen, ..grid.clone() })
    }

    async fn thaw(&self) {
        self.is_frozen.subscribe().wait_for(|is_frozen| !is_frozen).await.unwrap();
    }
}

#[async_trait]
impl StateStore for Frozen {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        self.thaw().await;
        self.inner.get(key).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.thaw().await;
        self.inner.query(partition, prefix, after, limit).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        self.thaw().await;
        self.inner.write(writes).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        self.thaw().await;
        self.inner.transact(writes).await
    }
}

async fn leader_row(grid: &Grid) -> LeaderRow {
    let key = RowKey { partition: LEADER.into(), sort: LEADER.into() };
    serde_json::from_slice(&grid.state.get(&key).await.unwrap().unwrap().body).unwrap()
}

fn lease() -> Duration {
    ManagerConfig::default().lease
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_the_place_of_a_leader_that_was_killed() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let mut first = Manager::start(&yard.grid, "first");
    assert_eq!(first.is_to_lead().await, Duration::ZERO, "nobody is waited for where nobody leads");
    let mut second = Manager::start(&yard.grid, "second");
    for task in yard.tasks().await {
        yard.end(&task, None).await;
    }
    sleep(lease() * 3).await;
    assert_eq!(*second.role.borrow(), Role::StandsBy { leader: Some("first".into()) });
    first.ended.abort();
    let took = second.is_to_lead().await;
    assert!(lease() * 2 / 3 <= took && took <= lease() + Duration::from_secs(2), "{took:?}");
    assert_eq!((leader_row(&yard.grid).await.epoch, leader_row(&yard.grid).await.name), (2, "second".to_owned()));
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    assert_eq!(yard.receipt(&job).await.stages[0].ok, 200);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whenever_a_leader_dies_the_lease_is_all_that_is_waited_for() {
    for tenths in 0..50 {
        let yard = Yard::new();
        let mut first = Manager::start(&yard.grid, "first");
        first.is_to_lead().await;
        let mut second = Manager::start(&yard.grid, "second");
        sleep(lease() * 2 + Duration::from_millis(100) * tenths).await;
        first.ended.abort();
        let took = second.is_to_lead().await;
        assert!(took <= lease() + Duration::from_secs(1), "{took:?} after a death {tenths} tenths into a renewal");
        second.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_told_to_stop_hands_the_lead_back_and_it_is_taken_within_the_time_of_a_renewal() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let mut first = Manager::start(&yard.grid, "first");
    first.is_to_lead().await;
    let mut second = Manager::start(&yard.grid, "second");
    sleep(Duration::from_secs(1)).await;
    first.stop().await;
    let took = second.is_to_lead().await;
    assert!(took <= lease() / 3, "{took:?}");
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    second.stop().await;
    assert_eq!(leader_row(&yard.grid).await.lease_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn managers_do_not_take_the_lead_from_each_other() {
    let yard = Yard::new();
    let mut managers: Vec<Manager> = ["a", "b", "c"].map(|name| Manager::start(&yard.grid, name)).into();
    sleep(Duration::from_secs(2)).await;
    let leaders: Vec<bool> = managers.iter().map(Manager::leads).collect();
    assert_eq!(leaders.iter().filter(|leads| **leads).count(), 1);
    managers.iter_mut().for_each(|manager| _ = manager.role.borrow_and_update());
    let job = yard.submit(MANY).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    sleep(Duration::from_secs(3_600)).await;
    assert!(managers.iter().all(|manager| !manager.role.has_changed().unwrap()));
    assert_eq!(leader_row(&yard.grid).await.epoch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_stops_before_another_one_begins_and_stands_by_afterwards() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let (frozen, grid) = Frozen::of(&yard.grid);
    let mut first = Manager::start(&grid, "first");
    first.is_to_lead().await;
    let mut second = Manager::start(&yard.grid, "second");
    sleep(Duration::from_secs(20)).await;
    frozen.is_frozen.send_replace(true);
    while !second.leads() {
        sleep(Duration::from_millis(10)).await;
        assert!(!(first.leads() && second.leads()));
    }
    assert!(first.progress.borrow().jobs.is_empty(), "it knows nothing of jobs any more");
    frozen.is_frozen.send_replace(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*first.role.borrow(), Role::StandsBy { leader: Some("second".into()) });
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    second.ended.abort();
    first.is_to_lead().await;
    second = Manager::start(&yard.grid, "third");
    first.stop().await;
    second.is_to_lead().await;
    assert_eq!(leader_row(&yard.grid).await.epoch, 4);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_wakes_up_after_another_has_begun_writes_nothing_more() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    // It keeps no lease, and so does not know that its time is over.
    let zombie = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    let mut manager = Manager::start(&yard.grid, "manager");
    manager.is_to_lead().await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    assert!(matches!(zombie.ended.await.unwrap(), Err(ManagerError::Fenced)));
    let stages = yard.receipt(&job).await.stages;
    assert_eq!((stages[0].ok, stages[1].ok), (200, 1));
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_stops_although_the_table_does_not_answer() {
    let yard = Yard::new();
    let job = yard.submit(MANY).await;
    let (frozen, grid) = Frozen::of(&yard.grid);
    let mut leader = Manager::start(&grid, "leader");
    leader.is_to_lead().await;
    let standby = Manager::start(&grid, "standby");
    sleep(Duration::from_secs(5)).await;
    frozen.is_frozen.send_replace(true);
    let asked = Instant::now();
    standby.stop().await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    leader.stop().await;
    assert!(asked.elapsed() <= Duration::from_secs(30), "{:?}", asked.elapsed());
    frozen.is_frozen.send_replace(false);
    let mut next = Manager::start(&yard.grid, "next");
    next.is_to_lead().await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    next.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_for_at_the_start_and_afterwards() {
    let calm = memory::grid();
    let yard = Yard { grid: calm.clone() };
    let job = yard.submit(MANY).await;
    let outage = StoreFaults { fail_before: 1.0, ..StoreFaults::default() };
    let start = |name| {
        let state = Arc::new(FaultyState::new(calm.state.clone(), outage));
        let grid = Grid { state: state.clone(), ..calm.clone() };
        (Manager::start(&grid, name), state)
    };
    let ((mut manager, state), (alone, alone_state)) = (start("managed"), {
        let state = Arc::new(FaultyState::new(memory::grid().state, outage));
        (Leader::start(&Grid { state: state.clone(), ..memory::grid() }), state)
    });
    sleep(Duration::from_secs(300)).await;
    assert!(!manager.ended.is_finished() && !alone.ended.is_finished() && !manager.leads());
    state.calm();
    alone_state.calm();
    assert!(manager.is_to_lead().await < Duration::from_secs(1));
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    manager.stop().await;
    alone.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_does_not_cost_the_lead() {
    let calm = memory::grid();
    let faults = StoreFaults { fail_after: 0.1, ..StoreFaults::default() };
    let state = Arc::new(FaultyState::new(calm.state.clone(), faults));
    let mut manager = Manager::start(&Grid { state, ..calm.clone() }, "a");
    manager.is_to_lead().await;
    let epoch = leader_row(&calm).await.epoch;
    manager.role.borrow_and_update();
    sleep(lease() * 100).await;
    assert_eq!((leader_row(&calm).await.epoch, manager.role.has_changed().unwrap()), (epoch, false));
    manager.stop().await;
}

/// However it came to that: what is written of the lead is written on condition that nobody else has it.
#[tokio::test(start_paused = true)]
async fn whoever_sees_that_another_leads_stands_by_and_leaves_the_row_alone() {
    let grid = memory::grid();
    let mut manager = Manager::start(&grid, "a");
    manager.is_to_lead().await;
    let key = RowKey { partition: LEADER.into(), sort: LEADER.into() };
    let version = grid.state.get(&key).await.unwrap().unwrap().version;
    let other = LeaderRow { epoch: 9, name: "other".into(), life: "another".into(), lease_ms: 3_600_000 };
    let body = Some(serde_json::to_vec(&other).unwrap());
    let write = Write { key, expect: Expect::Version(version), epoch: 9, body, expires_ms: None };
    grid.state.write(vec![write]).await.unwrap().remove(0).unwrap();
    sleep(lease() / 2).await;
    assert!(!manager.leads(), "it was to be renewed by now");
    sleep(lease() * 10).await;
    assert_eq!((leader_row(&grid).await, manager.leads()), (other, false));
    manager.stop().await;
}

/// Every answer of the table may be lost, and every write may come late: they agree on one leader in the end, and no two
/// led at the same time.
#[tokio::test(start_paused = true)]
async fn lost_answers_and_late_writes_make_no_second_leader() {
    for seed in 0..20 {
        let calm = memory::grid();
        let faults = StoreFaults {
            seed,
            delay: 0.3,
            max_delay: Duration::from_secs(8),
            fail_before: 0.2,
            fail_after: 0.2,
            late: 0.1,
            max_late: Duration::from_secs(20),
        };
        let state = Arc::new(FaultyState::new(calm.state.clone(), faults));
        let grid = Grid { state: state.clone(), ..calm.clone() };
        let mut managers: Vec<Manager> = ["a", "b"].map(|name| Manager::start(&grid, name)).into();
        let mut reigns = 0;
        let ends = Instant::now() + Duration::from_secs(600);
        while Instant::now() < ends {
            sleep(Duration::from_millis(100)).await;
            assert!(managers.iter().filter(|manager| manager.leads()).count() < 2, "seed {seed}");
            for manager in &mut managers {
                if manager.role.has_changed().unwrap() {
                    reigns += u32::from(matches!(*manager.role.borrow_and_update(), Role::Leads { .. }));
                }
            }
        }
        assert!(reigns > 1, "seed {seed}: the lead must have been lost");
        state.calm();
        state.settle().await;
        sleep(lease() * 2).await;
        managers.iter_mut().for_each(|manager| _ = manager.role.borrow_and_update());
        sleep(lease() * 4).await;
        assert!(managers.iter().all(|manager| !manager.role.has_changed().unwrap()), "seed {seed}");
        assert_eq!(managers.iter().filter(|manager| manager.leads()).count(), 1, "seed {seed}");
    }
}
