//! Executes items by arithmetic instead of processes, at the pace and with the accidents that the seed says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use grid_core::ids::WorkerId;
use grid_core::items::Key;
use grid_core::random::Random;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::TaskMessage;
use grid_worker::runner::{ItemInput, ItemRan, Runner, Spool, TaskRan, TaskRun};
use infra::clock::Clock;
use tokio::time::{Instant, sleep};

use crate::net::{ActorId, Net};
use crate::tally::Event;
use crate::workload::{self, StagePlan, Temper, Workload};

/// Executes the items of a workload on one worker.
#[derive(Debug)]
pub struct SimRunner {
    /// What is executed.
    pub workload: Arc<Workload>,
    /// Where accidents come from.
    pub net: Arc<Net>,
    /// The worker.
    pub actor: ActorId,
    /// Items take so many times as long here.
    pub slowness: u32,
    /// As it calls itself in this life.
    pub name: WorkerId,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

/// An execution under way; over when this is dropped, also when it is cut short.
struct Execution {
    net: Arc<Net>,
    actor: ActorId,
    worker: WorkerId,
    message: TaskMessage,
    started_ms: u64,
}

impl Execution {
    fn begin(runner: &SimRunner, task: &TaskRun) -> Self {
        let (net, actor, message) = (runner.net.clone(), runner.actor, task.message.clone());
        let (worker, started_ms) = (runner.name.clone(), runner.clock.now_ms());
        net.watch(|watch| watch.saw_execution(actor, (&worker, started_ms), &message, &task.submission.params));
        Self { net, actor, worker, message, started_ms }
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.net.watch(|watch| watch.saw_execution_end(self.actor, (&self.worker, self.started_ms), &self.message));
    }
}

/// One item that came to its end.
type Ended = Result<Vec<u64>, Failure>;

#[async_trait]
impl Runner for SimRunner {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let _execution = Execution::begin(self, &task);
        let started = Instant::now();
        let mut work = Work::of(self, task);
        let mut ran =
            TaskRan { busy: Duration::ZERO, items: Vec::new(), pack: Spool::Memory(Vec::new()), log: Vec::new() };
        let mut pack = String::new();
        if work.plan.per_bundle {
            let ended = work.bundle().await;
            ran.items.push(keep(ended, work.plan.digits, &mut pack));
        } else {
            for item in work.first..work.first + work.count {
                let ended = work.item(item).await;
                ran.items.push(keep(ended, work.plan.digits, &mut pack));
            }
        }
        (ran.busy, ran.pack) = (started.elapsed(), Spool::Memory(pack.into_bytes()));
        ran
    }

    fn wants_scratch(&self) -> bool {
        false
    }

    async fn shutdown(&self) {}
}

/// One task.
struct Work<'run> {
    runner: &'run SimRunner,
    stage: usize,
    /// Which command it has.
    command: u32,
    plan: StagePlan,
    first: u32,
    count: u32,
    attempt: u32,
    memory_factor: f64,
    is_mended: bool,
    random: Random,
    task: TaskRun,
    inputs: std::vec::IntoIter<ItemInput>,
}

impl<'run> Work<'run> {
    fn of(runner: &'run SimRunner, mut task: TaskRun) -> Self {
        let message = &task.message;
        let stage = runner.workload.position(message.stage.as_str()).unwrap_or(0);
        let inputs = std::mem::take(&mut task.inputs).into_iter();
        Self {
            runner,
            stage,
            command: workload::command_of(&task.stage).unwrap_or(u32::MAX),
            plan: runner.workload.stages[stage].clone(),
            first: message.first,
            count: message.count,
            attempt: message.attempt,
            memory_factor: message.memory_factor,
            is_mended: task.submission.params.get("mend").is_some_and(|mend| mend == "true"),
            random: Random::from_seed(runner.net.draw()),
            task,
            inputs,
        }
    }

    /// The whole task as one; `None` when it was stopped.
    async fn bundle(&mut self) -> Option<Ended> {
        let mut numbers = Vec::new();
        for item in self.first..self.first + self.count {
            match self.item(item).await? {
                Ok(some) => numbers.extend(some),
                Err(failure) => return Some(Err(failure)),
            }
        }
        Some(Ok(numbers))
    }

    /// One item; `None` when it was stopped.
    async fn item(&mut self, item: u32) -> Option<Ended> {
        let input = self.inputs.next().unwrap_or(ItemInput::None);
        let stop = self.task.stop.clone();
        let is_begun = self.plan.per_bundle && item > self.first;
        if stop.kill.is_cancelled() || (stop.drain.is_cancelled() && !is_begun) {
            return None;
        }
        tokio::select! {
            biased;
            () = stop.kill.cancelled() => return None,
            () = sleep(self.takes() * self.runner.slowness) => {}
        }
        self.task.progress.item_ended();
        if self.runner.net.chance(|weather| weather.disk_full * 0.2) {
            self.runner.net.note(Event::DiskFull);
            return Some(Err(Failure::new(Reason::DiskFull, "no space left on device")));
        }
        let exit = |status: i32| Failure { exit: Some(status), ..Failure::new(Reason::Exit, "failed on purpose") };
        match self.runner.workload.temper(self.stage, item, self.is_mended) {
            Temper::Poison => {
                self.runner.net.watch(|watch| watch.saw_poison(self.runner.actor, &self.task.message, item));
                self.runner.net.doom(self.runner.actor);
                std::future::pending().await
            }
            Temper::Sour => Some(Err(exit(1))),
            Temper::Needless => Some(Err(exit(4))),
            Temper::Flaky(times) if self.attempt <= times => Some(Err(exit(1))),
            Temper::Hungry if self.memory_factor < 2.0 => {
                self.runner.net.note(Event::OutOfMemory);
                Some(Err(Failure::new(Reason::Oom, "killed")))
            }
            Temper::Sweet | Temper::Flaky(_) | Temper::Hungry => {
                let workload = self.runner.workload.clone();
                Some(compute(&workload, self.stage, self.command, &(self.task.keys)(item), input).await)
            }
        }
    }

    fn takes(&mut self) -> Duration {
        if self.runner.net.chance(|weather| weather.sluggish * 0.2) {
            self.runner.net.note(Event::Sluggish);
            return Duration::from_millis(1 + self.random.below(30_000));
        }
        Duration::from_millis(1 + self.random.below(self.plan.item_ms))
    }
}

async fn compute(workload: &Workload, stage: usize, command: u32, key: &Key, input: ItemInput) -> Ended {
    let bytes = match input {
        ItemInput::None => {
            let keyless = || Failure::new(Reason::Internal, "an item without input has a key that says nothing");
            return workload.value_of(stage, key).map(|value| workload.made(stage, value, command)).ok_or_else(keyless);
        }
        ItemInput::Bytes(bytes) => bytes.to_vec(),
        ItemInput::Stream(stream) => {
            let broken = |error: infra::Error| Failure::new(Reason::Input, error.to_string());
            stream.try_collect::<Vec<bytes::Bytes>>().await.map_err(broken)?.concat()
        }
        ItemInput::Files(_) => return Err(Failure::new(Reason::Internal, "no files are expected")),
        ItemInput::Failed(failure) => return Err(failure),
    };
    Ok(workload.mapped(stage, &workload::parse(&bytes), command))
}

fn keep(ended: Option<Ended>, digits: usize, pack: &mut String) -> ItemRan {
    match ended {
        None => ItemRan::Unrun,
        Some(Err(failure)) => ItemRan::Failed(failure),
        Some(Ok(numbers)) => {
            let text = workload::write(&numbers, digits);
            pack.push_str(&text);
            ItemRan::Ok { stdout: (text.len() as u64, crc32fast::hash(text.as_bytes())), files: Vec::new() }
        }
    }
}
