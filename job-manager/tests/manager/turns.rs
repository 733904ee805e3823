//! Whose turn it is: tenants, priorities, quotas, budgets.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::{JobId, StageName};
use grid_core::job::JobState;
use grid_core::price::{PriceList, Usd};
use grid_core::share::{Agreement, Agreements};
use grid_core::wire::{Heartbeat, Manifest, Report};
use job_manager::view::{self, JobView};
use job_manager::{ManagerConfig, submit};
use tokio::time::sleep;

use crate::yard::{Leader, Manager, Yard, heartbeat, manifest_of, request};

/// Slots of the worker in sight; the window is three times as many.
const SLOTS: u32 = 40;
const WINDOW: u64 = 120;

fn sweep(name: &str, terms: &str) -> String {
    format!("name: {name}\n{terms}stages:\n  work: {{range: 1..1000, run: [\"true\"]}}\n")
}

async fn worker(yard: &Yard) {
    let beat = Heartbeat { slots: SLOTS, interval_secs: 60.0, ..heartbeat("w", 1) };
    yard.report(&Report::Heartbeat(beat)).await;
}

fn agreed(tenant: &str, agreement: Agreement) -> ManagerConfig {
    let agreements = Agreements::from([(tenant.to_owned(), agreement)]);
    ManagerConfig { agreements, ..ManagerConfig::default() }
}

/// Tasks of each job that are handed out when there is a worker.
async fn handed_out(yard: &Yard, config: ManagerConfig, jobs: &[&JobId]) -> Vec<u64> {
    worker(yard).await;
    let leader = Leader::with(&yard.grid, config);
    sleep(Duration::from_millis(50)).await;
    let mut out = BTreeMap::<JobId, u64>::new();
    for task in yard.tasks().await {
        *out.entry(task.job).or_default() += 1;
    }
    leader.stop().await;
    jobs.iter().map(|job| out.get(job).copied().unwrap_or_default()).collect()
}

#[tokio::test(start_paused = true)]
async fn tenants_share_the_slots_by_their_weights_whoever_came_first() {
    let yard = Yard::new();
    let first = yard.submit(&sweep("a", "tenant: lab\n")).await;
    let second = yard.submit(&sweep("b", "tenant: finance\n")).await;
    let config = agreed("finance", Agreement { weight: 3.0, max_out: None });
    assert_eq!(handed_out(&yard, config, &[&first, &second]).await, [WINDOW / 4, 3 * WINDOW / 4]);
}

#[tokio::test(start_paused = true)]
async fn a_priority_has_twice_the_share_of_the_one_below() {
    let yard = Yard::new();
    let low = yard.submit(&sweep("a", "")).await;
    let high = yard.submit(&sweep("b", "priority: 1\n")).await;
    assert_eq!(handed_out(&yard, ManagerConfig::default(), &[&low, &high]).await, [WINDOW / 3, 2 * WINDOW / 3]);
}

#[tokio::test(start_paused = true)]
async fn of_equals_the_one_that_is_due_goes_first() {
    let yard = Yard::new();
    let patient = yard.submit(&sweep("a", "")).await;
    let due = yard.submit(&sweep("b", "deadline: 1h\n")).await;
    let out = handed_out(&yard, ManagerConfig::default(), &[&patient, &due]).await;
    // Of what was never measured the first tasks go before everything else.
    assert_eq!(out, [4, WINDOW - 4]);
}

#[tokio::test(start_paused = true)]
async fn a_quota_holds_others_take_what_it_leaves_and_why_says_so() {
    let yard = Yard::new();
    let small = yard.submit(&sweep("a", "tenant: lab\n")).await;
    let large = yard.submit(&sweep("b", "")).await;
    worker(&yard).await;
    let mut config = agreed("lab", Agreement { weight: 9.0, max_out: Some(10) });
    config.name = "manager".into();
    let manager = Manager::with(&yard.grid, config);
    sleep(Duration::from_secs(20)).await;
    let mut out = BTreeMap::<JobId, u64>::new();
    for task in yard.tasks().await {
        *out.entry(task.job).or_default() += 1;
    }
    assert_eq!([out[&small], out[&large]], [10, WINDOW - 10]);
    let mut told = Vec::new();
    for job in [&small, &large] {
        let view = JobView::open(&yard.grid, job).await.unwrap();
        told.push(view::story(&yard.grid, &view, &StageName::new("work"), 999).await.unwrap().waits);
    }
    let expected = [
        "its tenant `lab` has as many tasks out as it may have: 10",
        "its job has its share of the slots; other jobs have theirs",
    ];
    assert_eq!(told, expected.map(|words| Some(words.to_owned())));
    manager.stop().await;
}

/// At this price a second of slot time costs a dollar.
const DOLLAR_A_SECOND: Usd = Usd(3_600_000_000_000_000);
/// At this price a microsecond of slot time, which is what a task of a test takes, costs a dollar.
const PRICE: Usd = Usd(3_600_000_000_000_000_000_000);

fn at(price: Usd) -> ManagerConfig {
    let prices = PriceList::us_east_1().with_slot_hour(Some(price));
    let mut config = ManagerConfig { prices: prices.into(), ..ManagerConfig::default() };
    // Bundles would make the cost of a task depend on what was measured.
    config.tuning.max_items = 1;
    config
}

/// Tasks that are handed out to a manager's workers, one batch after the other, when each takes so many seconds; and what an
/// item that waits is said to wait for then.
async fn out_of_a_budget(usd: u64, task_secs: u64, batches: usize) -> (Vec<usize>, Option<String>) {
    let yard = Yard::new();
    let job = yard.submit(&sweep("a", &format!("budget: {{usd: {usd}}}\n"))).await;
    worker(&yard).await;
    let manager = Manager::with(&yard.grid, ManagerConfig { name: "manager".into(), ..at(DOLLAR_A_SECOND) });
    let mut out = Vec::new();
    while out.len() < batches {
        sleep(Duration::from_secs(20)).await;
        let tasks = yard.tasks().await;
        out.push(tasks.len());
        for task in tasks.iter().filter(|_| out.len() < batches) {
            yard.write(&Manifest { busy_us: task_secs * 1_000_000, ..manifest_of(task, None) }).await;
            yard.completed(task).await;
        }
    }
    let view = JobView::open(&yard.grid, &job).await.unwrap();
    let waits = view::story(&yard.grid, &view, &StageName::new("work"), 999).await.unwrap().waits;
    manager.stop().await;
    (out, waits)
}

/// The first tasks of a job say what the others cost; of those as many are out as there is money for, and one more for what is left.
#[tokio::test(start_paused = true)]
async fn what_a_budget_has_room_for_is_handed_out_and_why_says_what_it_waits_for() {
    let waits = "what runs of its job may spend the rest of its budget of $25";
    assert_eq!(out_of_a_budget(25, 1, 2).await, (vec![4, 21], Some(waits.to_owned())));
    assert_eq!(out_of_a_budget(25, 2, 2).await, (vec![4, 9], Some(waits.to_owned())));
    assert_eq!(out_of_a_budget(1_000_000, 1, 2).await, (vec![4, WINDOW as usize], None), "it waits for nobody else");
}

async fn spend(terms: &str) -> (JobState, u64, Option<String>) {
    let yard = Yard::new();
    let job = yard.submit(&sweep("a", terms)).await;
    let leader = Leader::with(&yard.grid, at(PRICE));
    let state = yard.run_to_end(&job).await;
    leader.stop().await;
    let receipt = yard.receipt(&job).await;
    let ok = receipt.stages[0].ok;
    // Nothing was asked of services: all of it is slot time.
    assert_eq!(receipt.usd, Some(ok.to_string()));
    assert_eq!(
        receipt.slot_time.map(|slots| (slots.usd, slots.usd_per_hour)),
        Some((ok.to_string(), PRICE.to_string()))
    );
    (state, ok, yard.meta(&job).await.unwrap().message)
}

#[tokio::test(start_paused = true)]
async fn a_budget_ends_a_job_as_it_says_and_no_later() {
    let why = "its budget of $25 is spent: submit it with a larger one, and what is done is taken over";
    let finish = spend("budget: {usd: 25}\n").await;
    assert_eq!(finish, (JobState::Failed, 25, Some(why.to_owned())));
    let cancel = spend("budget: {usd: 25, on_exceed: cancel}\n").await;
    assert_eq!(cancel, (JobState::Cancelled, 25, Some(why.to_owned())));
    assert_eq!(spend("budget: {usd: 1001}\n").await, (JobState::Succeeded, 1000, None));
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_larger_budget_is_another_one_and_takes_over_what_is_done() {
    let yard = Yard::new();
    let request = |usd: &str| request(&sweep("a", &format!("budget: {{usd: {usd}}}\n")));
    let leader = Leader::with(&yard.grid, at(PRICE));
    let first = submit(&yard.grid, request("25")).await.unwrap().job().clone();
    assert_eq!(yard.run_to_end(&first).await, JobState::Failed);
    let second = submit(&yard.grid, request("990")).await.unwrap().job().clone();
    assert_ne!(second, first);
    assert_eq!(yard.run_to_end(&second).await, JobState::Succeeded);
    assert_eq!(yard.receipt(&second).await.stages[0].reused, 25);
    leader.stop().await;
}
