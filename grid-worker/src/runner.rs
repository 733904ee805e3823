//! What executes the items of a task: the border between the worker's protocol and other people's programs.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::ids::{ItemIndex, JobId};
use grid_core::items::Key;
use grid_core::pipeline::{Per, Stage};
use grid_core::reason::Failure;
use grid_core::submission::Submission;
use grid_core::wire::{OutputFile, TaskMessage};
use infra::objects::ByteStream;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoints;

/// Executes the items of tasks.
#[async_trait]
pub trait Runner: Debug + Send + Sync {
    /// Executes the items of one task, one after the other, in one slot. What goes wrong is said item by item; no
    /// process of the task is left when this returns.
    async fn run(&self, task: TaskRun) -> TaskRan;

    /// Whether its tasks want a folder of their own; without one, `scratch` of their tasks is empty.
    fn wants_scratch(&self) -> bool {
        true
    }

    /// The folder of a job was removed, and with it what was done in there once for all tasks of a stage.
    fn forget(&self, _job: &JobId) {}

    /// Ends what outlives a task (co-processes), and waits for it.
    async fn shutdown(&self);
}

/// A task to execute, with everything it needs at hand.
pub struct TaskRun {
    /// The job it belongs to.
    pub submission: Arc<Submission>,
    /// The stage, out of `submission.pipeline`.
    pub stage: Arc<Stage>,
    /// The message it came with.
    pub message: TaskMessage,
    /// The key of each item of the task, by its index in the stage.
    pub keys: Arc<dyn Fn(ItemIndex) -> Key + Send + Sync>,
    /// The input of each item of the task, in order; empty when the stage has no input at all.
    pub inputs: Vec<ItemInput>,
    /// A folder of the task's own, which exists, is empty, and is removed by the caller.
    pub scratch: PathBuf,
    /// When and how to stop early.
    pub stop: Stop,
    /// Where to tell how far it is.
    pub progress: Arc<TaskProgress>,
    /// Where checkpoints of its items are kept, if its stage has any. A runner whose items have no folder leaves it alone.
    pub checkpoints: Option<Arc<Checkpoints>>,
}

/// The input of one item.
pub enum ItemInput {
    /// None: standard input is empty.
    None,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that arrive piece by piece; an error in between fails the item with reason `input`.
    Stream(ByteStream),
    /// One file per upstream item, by file name; for `input_as: files`.
    Files(Vec<(String, ByteStream)>),
    /// It could not be had.
    Failed(Failure),
}

/// When and how to stop a task early.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Finish the item in hand, give the others back (`Unrun`).
    pub drain: CancellationToken,
    /// End the item in hand (SIGTERM, grace, SIGKILL to its process group) and give it and the others back.
    pub kill: CancellationToken,
}

/// How far a task is; read by the heartbeat while the task runs.
#[derive(Debug, Default)]
pub struct TaskProgress {
    /// Items that have ended.
    pub items_done: AtomicU32,
    /// What the item in hand says of itself.
    pub said: std::sync::Mutex<Option<(f32, String)>>,
}

/// How a task went.
#[derive(Debug)]
pub struct TaskRan {
    /// How long the items took together.
    pub busy: Duration,
    /// One per item of the task, in order. With `per: bundle` a single entry that stands for all of them.
    pub items: Vec<ItemRan>,
    /// Everything that the successful items wrote: an item's standard output, then its files in the order of `files`.
    pub pack: Spool,
    /// Standard error of the items that wrote any, as lines of JSON `{item, name, head, tail, dropped_bytes}` (`item` is
    /// its index), ready to be stored as the task's log; empty when there was none.
    pub log: Vec<u8>,
}

/// How one item went.
#[derive(Debug, PartialEq)]
pub enum ItemRan {
    /// It succeeded, and its bytes are in the pack.
    Ok {
        /// Length and CRC-32 of its standard output.
        stdout: (u64, u32),
        /// The files it left, ascending by name.
        files: Vec<OutputFile>,
    },
    /// It failed; nothing of it is in the pack.
    Failed(Failure),
    /// It was not run, or was stopped by [`Stop`]; nothing of it is in the pack.
    Unrun,
}

/// Bytes that were written one after the other: in memory while they are few, else in a file.
#[derive(Debug)]
pub enum Spool {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file below the task's scratch folder.
    File {
        /// Where.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
}

impl TaskRan {
    /// A task none of whose items could be executed.
    pub(crate) fn all_failed(per: Per, count: u32, failure: Failure) -> Self {
        let entries = match per {
            Per::Item | Per::Worker => count as usize,
            Per::Bundle => 1,
        };
        Self {
            busy: Duration::ZERO,
            items: (0..entries).map(|_| ItemRan::Failed(failure.clone())).collect(),
            pack: Spool::Memory(Vec::new()),
            log: Vec::new(),
        }
    }
}

impl Spool {
    /// Bytes written.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TaskProgress {
    /// Notes that one more item has ended.
    pub fn item_ended(&self) {
        self.items_done.fetch_add(1, Ordering::Relaxed);
    }
}
