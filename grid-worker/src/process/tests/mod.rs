//! Real processes through the runner.

mod checkpoints;
mod ends;
mod inputs;
mod items;
mod outputs;
mod overhead;
mod workers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::ids::{AttemptKey, JobId, StageItems, StageName};
use grid_core::items::Key;
use grid_core::pipeline::{Command, InputAs, ItemSource, Per, Pipeline, Range, Stage, Template, TemplatePart};
use grid_core::reason::{Failure, Reason};
use grid_core::submission::Submission;
use grid_core::wire::{KeySource, TaskInputs, TaskMessage};
use rustix::process::Pid;
use tempfile::TempDir;

use super::orphans::Stat;
use super::{ProcessConfig, ProcessRunner};
use crate::checkpoint::Checkpoints;
use crate::runner::{ItemInput, ItemRan, Runner, Spool, Stop, TaskProgress, TaskRan, TaskRun};

/// A stage to try, with a folder to work in.
struct Trial {
    stage: Stage,
    params: BTreeMap<String, String>,
    memory_factor: f64,
    attempt: u32,
    stop: Stop,
    progress: Arc<TaskProgress>,
    folder: TempDir,
    checkpoints: Option<Arc<Checkpoints>>,
    tasks: std::cell::Cell<u32>,
    first: u32,
}

fn runner() -> ProcessRunner {
    let path = std::env::var_os("PATH").unwrap();
    let base_env: Vec<(OsString, OsString)> =
        vec![("PATH".into(), path), ("GRIDMILL_OUTER".into(), "1".into()), ("HOME".into(), "/nowhere".into())];
    ProcessRunner::new(ProcessConfig { base_env }).unwrap()
}

fn text(verbatim: &str) -> Template {
    Template { parts: vec![TemplatePart::Text(verbatim.into())] }
}

fn shell(string: &str) -> Trial {
    Trial::of(Command::Shell(text(string)))
}

fn argv(arguments: &[&str]) -> Trial {
    Trial::of(Command::Argv(arguments.iter().map(|argument| text(argument)).collect()))
}

fn bytes(content: &'static str) -> ItemInput {
    ItemInput::Bytes(Bytes::from_static(content.as_bytes()))
}

fn key_of(index: u32) -> Key {
    Key(vec![("item".into(), format!("i{index}")), ("cost-centre".into(), format!("it's {index}"))])
}

impl Trial {
    fn of(run: Command) -> Self {
        let items = ItemSource::Range(Range { first: 0, last: 9, step: 1 });
        let minute = Duration::from_secs(60);
        let stage = Stage { timeout: minute, grace: minute, ..Stage::new(StageName::new("work"), items, run) };
        Self {
            stage,
            params: BTreeMap::new(),
            memory_factor: 1.0,
            attempt: 1,
            stop: Stop::default(),
            progress: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            checkpoints: None,
            tasks: std::cell::Cell::new(0),
            first: 0,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Stage)) -> Self {
        change(&mut self.stage);
        self
    }

    fn workdir(&self) -> &Path {
        self.folder.path()
    }

    fn submission(&self) -> Submission {
        let pipeline = Pipeline::new("trial", vec![self.stage.clone()]);
        let workdir = self.folder.path().to_str().unwrap();
        let submission = Submission::new(JobId::new("job-1"), jiff::Timestamp::UNIX_EPOCH, workdir, pipeline);
        Submission { params: self.params.clone(), ..submission }
    }

    fn task(&self, count: u32, inputs: Vec<ItemInput>) -> TaskRun {
        let scratch = self.folder.path().join(format!("scratch.{}", self.tasks.replace(self.tasks.get() + 1)));
        std::fs::create_dir(&scratch).unwrap();
        let items = StageItems { stage: self.stage.name.clone(), first: self.first, count };
        TaskRun {
            submission: Arc::new(self.submission()),
            stage: Arc::new(self.stage.clone()),
            message: TaskMessage {
                v: 1,
                job: JobId::new("job-1"),
                stage: self.stage.name.clone(),
                first: self.first,
                count,
                attempt: self.attempt,
                failures: 0,
                memory_factor: self.memory_factor,
                round: 0,
                copy: 0,
                params: Default::default(),
                keys: KeySource::Items(items),
                inputs: TaskInputs::Plan,
            },
            keys: Arc::new(key_of),
            inputs,
            scratch,
            stop: self.stop.clone(),
            progress: Arc::clone(&self.progress),
            checkpoints: self.checkpoints.clone(),
        }
    }

    /// Executes a task of so many items without input.
    async fn run(&self, count: u32) -> TaskRan {
        self.run_on(&runner(), count, Vec::new()).await
    }

    /// Executes a task of one item an input.
    async fn feed(&self, inputs: Vec<ItemInput>) -> TaskRan {
        let count = u32::try_from(inputs.len()).unwrap();
        self.run_on(&runner(), count, inputs).await
    }

    async fn run_on(&self, runner: &ProcessRunner, count: u32, inputs: Vec<ItemInput>) -> TaskRan {
        runner.run(self.task(count, inputs)).await
    }

    /// The failure of a task of one item.
    async fn failure(&self) -> Failure {
        failures(&self.run(1).await).remove(0)
    }
}

fn ok(stdout: &str) -> ItemRan {
    ItemRan::Ok { stdout: (stdout.len() as u64, crc32fast::hash(stdout.as_bytes())), files: Vec::new() }
}

fn failures(ran: &TaskRan) -> Vec<Failure> {
    ran.items
        .iter()
        .filter_map(|item| match item {
            ItemRan::Failed(failure) => Some(failure.clone()),
            ItemRan::Ok { .. } | ItemRan::Unrun => None,
        })
        .collect()
}

fn pack(ran: &TaskRan) -> Vec<u8> {
    match &ran.pack {
        Spool::Memory(bytes) => bytes.clone(),
        Spool::File { path, .. } => std::fs::read(path).unwrap(),
    }
}

fn pack_text(ran: &TaskRan) -> String {
    String::from_utf8(pack(ran)).unwrap()
}

/// Whether the process whose id a command wrote to that file is still there.
fn lives(pid_file: PathBuf) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    Stat::of(pid).is_some_and(|stat| !stat.is_going())
}

fn task_name(first: u32, attempt: u32) -> String {
    AttemptKey { first, attempt }.to_string()
}

fn exit(failure: &Failure) -> (Reason, Option<i32>) {
    (failure.reason, failure.exit)
}
