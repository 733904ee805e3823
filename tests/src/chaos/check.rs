//! What has to hold when the storm is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use grid_core::ids::{JobId, StageName};
use grid_core::limits::SHARD_ITEMS;
use grid_core::wire::OutputRef;
use infra::outputs::OutputReader;
use infra::queue::Depth;

use super::feed::{Done, Feed};
use super::seat::{Role, Seat};
use super::storm::Storm;
use super::work::{Kind, Yield, balance};
use crate::fleet::{Fleet, get, tree};

/// Who is told to leave has nothing in hand any more.
const LEAVE: Duration = Duration::from_secs(60);

/// What nobody deleted comes again when its lease is over, and is taken away then; what came too often is looked at, too.
const MESSAGES: Duration = Duration::from_secs(300);

/// A guard of a worker that was killed looks around for so long at most.
const GUARDS: Duration = Duration::from_secs(45);

/// Outputs and receipts are those of the calm run, and each submission became one job.
pub fn outputs(fleet: &Fleet, feed: &Feed, done: &[Done], calm: &BTreeMap<Kind, Yield>) -> anyhow::Result<()> {
    let manager = feed.addresses().into_iter().next().context("a manager is there")?;
    let url = format!("http://{manager}");
    for ended in done {
        let out = format!("out-{}", ended.job);
        fleet.succeeds(&["outputs", &ended.job, "--fetch", &out, "--manager", &url])?;
        let receipt = get(&manager, &format!("/v1/jobs/{}/receipt", ended.job))?.json()?;
        let there = Yield { files: tree(&fleet.path(&out))?, balance: balance(&receipt)? };
        let here = &calm[&ended.kind];
        ensure!(there.balance == here.balance, "job {}: {:?} and not {:?}", ended.job, there.balance, here.balance);
        let differ = |name: &&String| there.files.get(*name) != here.files.get(*name);
        let names: Vec<&String> = here.files.keys().chain(there.files.keys()).filter(differ).collect();
        ensure!(names.is_empty(), "job {}, {:?}: these differ from the calm run: {names:?}", ended.job, ended.kind);
        std::fs::remove_dir_all(fleet.path(&out))?;
    }
    let jobs = get(&manager, "/v1/jobs?limit=1000")?.json()?;
    let jobs = jobs["entries"].as_array().context("a list of jobs")?;
    ensure!(jobs.len() == done.len(), "{} submissions became {} jobs", done.len(), jobs.len());
    Ok(())
}

/// No item is committed twice.
pub async fn grid(fleet: &Fleet, done: &[Done]) -> anyhow::Result<()> {
    let grid = infra::aws::open(&fleet.settings()?).await?;
    let reader = OutputReader::new(grid.objects.clone());
    for ended in done {
        let job = JobId::new(&ended.job);
        for stage in ended.status["stages"].as_array().context("a job has stages")? {
            let name = StageName::new(stage["name"].as_str().context("a stage has a name")?);
            let items = stage["items"].as_u64().unwrap_or_default();
            let mut commits = BTreeMap::<u32, u32>::new();
            for shard in 0..items.div_ceil(u64::from(SHARD_ITEMS)) as u32 {
                for key in job_manager::view::ended_attempts(grid.objects.as_ref(), &job, &name, shard).await? {
                    let committed = reader.manifest(&job, &OutputRef { stage: name.clone(), key }).await?;
                    for item in committed.items().iter().flat_map(|(first, count)| *first..first + count) {
                        *commits.entry(item).or_default() += 1;
                    }
                }
            }
            let twice: Vec<_> = commits.iter().filter(|(_, times)| **times > 1).collect();
            ensure!(twice.is_empty(), "{job}/{name}: committed more than once: {twice:?}");
            ensure!(commits.len() as u64 == stage["ok"].as_u64().unwrap_or_default(), "{job}/{name}: {stage}");
        }
    }
    Ok(())
}

/// Every message of a task meets its end, a dead one's too.
pub async fn queues(fleet: &Fleet) -> anyhow::Result<()> {
    let grid = infra::aws::open(&fleet.settings()?).await?;
    let give_up = Instant::now() + MESSAGES;
    for (name, queue) in [("tasks", &grid.tasks), ("dead tasks", &grid.dead_tasks)] {
        loop {
            let depth = queue.depth().await?;
            if depth == Depth::default() {
                break;
            }
            ensure!(Instant::now() < give_up, "messages are left on the queue of {name}: {depth:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// Whoever is told to leave does, and nothing of the jobs is left behind: no process, no scratch.
pub fn ends(fleet: &Fleet, storm: &mut Storm, done: &[Done]) -> anyhow::Result<()> {
    storm.mind()?;
    for seat in storm.seats().iter_mut().rev() {
        seat.ask_to_leave()?;
        let status = seat.left(LEAVE)?;
        ensure!(status.success(), "{} was told to leave, and ended with {status}", seat.name);
    }
    let give_up = Instant::now() + GUARDS;
    loop {
        let left = leftovers(done)?;
        if left.is_empty() {
            break;
        }
        ensure!(Instant::now() < give_up, "these processes are left: {left:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let scratch: Vec<_> = std::fs::read_dir(fleet.path("scratch"))?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(scratch.is_empty(), "this is left in the scratch folder: {scratch:?}");
    Ok(())
}

/// Nobody panicked, and no manager had to give up a job's pass.
pub fn logs(fleet: &Fleet, seats: &[Seat]) -> anyhow::Result<()> {
    for seat in seats {
        let log = std::fs::read_to_string(seat.log(fleet))?;
        let bad: Vec<&str> =
            log.lines().filter(|line| line.contains("panicked") || line.contains("quarantine")).collect();
        ensure!(bad.is_empty(), "{} said: {bad:?}", seat.name);
        ensure!(seat.role == Role::Manager || log.contains("working"), "{} has never worked", seat.name);
    }
    Ok(())
}

/// Processes whose environment names one of the jobs.
fn leftovers(done: &[Done]) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for process in std::fs::read_dir("/proc")?.flatten() {
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        let of_job = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"GRIDMILL_JOB="));
        if of_job.is_some_and(|job| done.iter().any(|ended| ended.job.as_bytes() == job)) {
            let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            left.push(format!("{}: {}", process.file_name().display(), String::from_utf8_lossy(&command)));
        }
    }
    Ok(left)
}
