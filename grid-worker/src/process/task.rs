//! One task, in one thread from beginning to end: item after item, each a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use grid_core::ids::ItemIndex;
use grid_core::items::Key;
use grid_core::pipeline::{Per, Stage, Template};
use grid_core::reason::Failure;
use grid_core::submission::Submission;
use grid_core::units::ByteSize;
use grid_core::wire::{OutputFile, TaskMessage};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::environment::{self, Variables};
use super::fault::{self, NotDone};
use super::input::{Staged, Stager, feed};
use super::launch::{self, Launcher, item_environment};
use super::orphans::{self, Whose};
use super::outputs::OutputFolder;
use super::pack::Pack;
use super::stderr::Stderr;
use super::supervise::{READ_BYTES, Session, supervise};
use super::switch::Switch;
use super::verdict::{Verdict, judge, with_last_words};
use super::{Shared, bundle, setup};
use crate::checkpoint::Checkpoints;
use crate::runner::{ItemInput, ItemRan, Spool, Stop, TaskProgress, TaskRan, TaskRun};

/// A task's log up to this size has both ends of every item's stderr; beyond it only the last words of each.
const FULL_LOG_BYTES: usize = 4 << 20;

/// A task in hand.
pub(super) struct Execution {
    pub(super) shared: Arc<Shared>,
    pub(super) submission: Arc<Submission>,
    pub(super) stage: Arc<Stage>,
    pub(super) message: TaskMessage,
    pub(super) keys: Arc<dyn Fn(ItemIndex) -> Key + Send + Sync>,
    pub(super) progress: Arc<TaskProgress>,
    pub(super) stop: Stop,
    pub(super) switch: Arc<Switch>,
    pub(super) handle: Handle,
    pub(super) stager: Stager,
    pub(super) folder: OutputFolder,
    pub(super) pack: Pack,
    pub(super) stderr: Stderr,
    pub(super) buffer: Vec<u8>,
    pub(super) scratch: PathBuf,
    pub(super) checkpoints: Option<Arc<Checkpoints>>,
    nonce: String,
    log: Vec<u8>,
}

/// Executes a task. `kill` is touched together with `switch`.
pub(super) fn execute(
    shared: &Arc<Shared>,
    task: TaskRun,
    switch: &Arc<Switch>,
    kill: CancellationToken,
    handle: Handle,
) -> TaskRan {
    let (per, count) = (task.stage.per, task.message.count);
    shared.memory.look();
    let (inputs, execution) = match Execution::begin(shared, task, switch, kill, handle) {
        Ok(begun) => begun,
        Err(failure) => return TaskRan::all_failed(per, count, failure),
    };
    execution.run(inputs)
}

impl Execution {
    fn begin(
        shared: &Arc<Shared>,
        task: TaskRun,
        switch: &Arc<Switch>,
        kill: CancellationToken,
        handle: Handle,
    ) -> Result<(Vec<ItemInput>, Self), Failure> {
        let TaskRun { submission, stage, message, keys, inputs, stop, progress, scratch, checkpoints } = task;
        let folder = OutputFolder::create(scratch.join("output"))
            .map_err(|error| fault::own(format_args!("make a folder in {}", scratch.display()), &error))?;
        let stager = Stager {
            input_as: stage.input_as,
            has_input: !inputs.is_empty(),
            file: scratch.join("input"),
            folder: scratch.join("inputs"),
            handle: handle.clone(),
            kill,
        };
        let execution = Self {
            shared: Arc::clone(shared),
            nonce: shared.next_nonce(),
            stager,
            folder,
            pack: Pack::new(scratch.join("pack")),
            stderr: Stderr::telling(Arc::clone(&progress)),
            buffer: vec![0; READ_BYTES],
            log: Vec::new(),
            scratch,
            checkpoints,
            switch: Arc::clone(switch),
            submission,
            stage,
            message,
            keys,
            progress,
            stop,
            handle,
        };
        Ok((inputs, execution))
    }

    fn run(mut self, inputs: Vec<ItemInput>) -> TaskRan {
        let (per, count) = (self.stage.per, self.message.count);
        let prepared = setup::ensure(&mut self);
        let started = Instant::now();
        let items: Vec<ItemRan> = match prepared {
            Ok(()) => match per {
                Per::Item => self.items(inputs),
                Per::Bundle => vec![bundle::run(&mut self, inputs)],
                Per::Worker => super::serve::items(&mut self, inputs),
            },
            Err(NotDone::Failed(failure)) => return TaskRan::all_failed(per, count, failure),
            Err(NotDone::Stopped) => unrun(per, count),
        };
        let busy = started.elapsed();
        orphans::sweep(&self.shared.cookie, Whose::Task(&self.nonce));
        let (items, pack) = match self.pack.finish() {
            Ok(pack) => (items, pack),
            Err(error) => {
                let failure = fault::own("finish the task's output", &error);
                (items.into_iter().map(|ran| without_output(ran, &failure)).collect(), Spool::Memory(Vec::new()))
            }
        };
        TaskRan { busy, items, pack, log: self.log }
    }

    fn items(&mut self, inputs: Vec<ItemInput>) -> Vec<ItemRan> {
        let (submission, stage) = (Arc::clone(&self.submission), Arc::clone(&self.stage));
        let vars = match self.variables() {
            Ok(vars) => vars,
            Err(failure) => return TaskRan::all_failed(stage.per, self.message.count, failure).items,
        };
        let mut launcher = Launcher::new(&stage.run, &submission, &stage, self.message.memory_factor, vars);
        let item_env = item_environment(&stage);
        self.each(inputs, |execution, index, input| {
            let key = (execution.keys)(index);
            let name = key.name();
            execution.item(index, &name, |execution| {
                execution.item_process(&mut launcher, &item_env, index, (&name, &key), input)
            })
        })
    }

    /// Does one item after the other, as long as nothing says stop.
    pub(super) fn each(
        &mut self,
        inputs: Vec<ItemInput>,
        mut run: impl FnMut(&mut Self, ItemIndex, ItemInput) -> ItemRan,
    ) -> Vec<ItemRan> {
        let mut inputs = inputs.into_iter();
        (0..self.message.count)
            .map(|offset| {
                let input = inputs.next().unwrap_or(ItemInput::None);
                if self.must_stop() || self.stop.drain.is_cancelled() {
                    return ItemRan::Unrun;
                }
                let ran = run(self, self.message.first + offset, input);
                if ran != ItemRan::Unrun {
                    self.progress.item_ended();
                }
                ran
            })
            .collect()
    }

    /// Does one item by `produce`, which says what it wrote to standard output: keeps its files when it succeeded, and
    /// nothing of it when it did not.
    pub(super) fn item(
        &mut self,
        index: ItemIndex,
        name: &str,
        produce: impl FnOnce(&mut Self) -> Result<(u64, u32), NotDone>,
    ) -> ItemRan {
        let start = self.pack.len();
        let done = produce(self).and_then(|stdout| {
            let files: Vec<OutputFile> = self.folder.collect(index, &mut self.pack, &mut self.buffer)?;
            Ok((stdout, files))
        });
        self.stager.clear();
        let ran = match done {
            Ok((stdout, files)) => ItemRan::Ok { stdout, files },
            Err(not_done) => {
                self.pack.truncate(start);
                self.undone(not_done)
            }
        };
        if ran != ItemRan::Unrun && !self.stderr.is_empty() {
            self.stderr.log(index, name, self.log.len() > FULL_LOG_BYTES, &mut self.log);
        }
        self.stderr.clear();
        ran
    }

    /// Executes one process to its end; length and CRC-32 of its standard output.
    pub(super) fn process(
        &mut self,
        launcher: &mut Launcher<'_>,
        item: Option<(&str, &Key)>,
        mut vars: Variables,
        staged: Staged,
    ) -> Result<(u64, u32), NotDone> {
        let timeout = self.stage.timeout;
        let stdin = staged.stdin();
        vars.extend(staged.vars);
        environment::deadline(&mut vars, timeout);
        let mut running = launcher.start(item.map(|(_, key)| key), vars, stdin)?;
        let (mut input, mut feeder) = (staged.bytes, None);
        if let Some(stream) = staged.stream
            && let Some(stdin) = running.stdin.take()
        {
            let name = item.map_or("of the bundle", |(name, _)| name);
            let bytes = std::mem::take(&mut input);
            feeder = Some(feed(&self.handle, stdin, name, bytes, stream, Arc::clone(&self.switch)));
        }
        let (mut len, mut sum) = (0, crc32fast::Hasher::new());
        let ended = supervise(
            running,
            Session {
                input,
                stdout: &mut |bytes| {
                    self.pack.write(bytes)?;
                    sum.update(bytes);
                    len += bytes.len() as u64;
                    Ok(())
                },
                stderr: &mut self.stderr,
                timeout,
                grace: self.stage.grace,
                switch: &self.switch,
                buffer: &mut self.buffer,
            },
        );
        if let Some(feeder) = feeder {
            feeder.abort();
            // It was told to end: that it did not finish is no news.
            let _ = self.handle.block_on(feeder);
        }
        let ended = ended.map_err(|error| fault::own("wait for the command", &error))?;
        match (judge(ended, timeout, || self.shared.memory.has_killed()), self.switch.take_fault()) {
            (Verdict::Stopped, _) => Err(NotDone::Stopped),
            (Verdict::Success | Verdict::Failed(_), Some(fault)) => Err(NotDone::Failed(fault)),
            (Verdict::Success, None) => Ok((len, sum.finalize())),
            (Verdict::Failed(failure), None) => {
                Err(NotDone::Failed(with_last_words(failure, self.stderr.last_words(), self.memory_limit())))
            }
        }
    }

    /// The environment that all processes of this task share.
    pub(super) fn variables(&self) -> Result<Variables, Failure> {
        let mut vars = self.shared.stage_variables(&self.submission, &self.stage)?;
        vars.extend(environment::of_task(&self.message, &self.nonce, self.folder.path()));
        Ok(vars)
    }

    /// The address space that its processes may use.
    pub(super) fn memory_limit(&self) -> Option<ByteSize> {
        launch::memory_limit(&self.stage, self.message.memory_factor)
    }

    /// Whether the task was told to end at once.
    pub(super) fn must_stop(&self) -> bool {
        self.switch.is_stopped()
    }

    fn item_process(
        &mut self,
        launcher: &mut Launcher<'_>,
        item_env: &BTreeMap<&str, &Template>,
        index: ItemIndex,
        item: (&str, &Key),
        input: ItemInput,
    ) -> Result<(u64, u32), NotDone> {
        let vars = environment::of_item(item_env, &self.submission.params, index, item.0, item.1)?;
        let staged = self.stager.stage(item.0, input)?;
        self.checkpointed(index, vars, |execution, vars| execution.process(launcher, Some(item), vars, staged))
    }

    fn undone(&mut self, not_done: NotDone) -> ItemRan {
        match (self.folder.empty(), not_done) {
            (_, NotDone::Stopped) => ItemRan::Unrun,
            (Ok(()), NotDone::Failed(failure)) => ItemRan::Failed(failure),
            (Err(error), NotDone::Failed(failure)) => {
                tracing::warn!(%error, "what a failed item left in its output folder could not be removed");
                ItemRan::Failed(failure)
            }
        }
    }
}

/// What an item came to whose output is lost.
fn without_output(ran: ItemRan, failure: &Failure) -> ItemRan {
    match ran {
        ItemRan::Ok { .. } => ItemRan::Failed(failure.clone()),
        ItemRan::Failed(_) | ItemRan::Unrun => ran,
    }
}

/// A task that was stopped before it began.
fn unrun(per: Per, count: u32) -> Vec<ItemRan> {
    let entries = match per {
        Per::Item | Per::Worker => count,
        Per::Bundle => 1,
    };
    (0..entries).map(|_| ItemRan::Unrun).collect()
}
