//! A runner that does what a test says, in the test's time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use grid_core::ids::ItemIndex;
use grid_core::pipeline::Per;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::OutputFile;
use grid_worker::runner::{ItemInput, ItemRan, Runner, Spool, Stop, TaskProgress, TaskRan, TaskRun};
use infra::objects::ByteStream;

/// What an item does: how long it takes, and how it ends.
pub struct Act {
    pub takes: Duration,
    pub ends: End,
}

pub enum End {
    Writes(Vec<u8>),
    Leaves(Vec<(&'static str, &'static str)>),
    Fails(Reason),
    Panics,
}

type Script = dyn Fn(ItemIndex, Vec<u8>) -> Act + Send + Sync;

type Watch = dyn Fn(&TaskRun) + Send + Sync;

/// Runs items by a script, which gets the index and the input of each.
pub struct Scripted {
    script: Box<Script>,
    /// Forgets the result of the last item.
    is_short: bool,
    pub shutdowns: AtomicU32,
    /// Looks at every task that is to be run.
    watch: Mutex<Option<Box<Watch>>>,
    /// Every execution that was begun: first item, attempt, and the names of the items.
    pub runs: Mutex<Vec<(ItemIndex, u32, Vec<String>)>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

pub fn writes(bytes: impl Into<Vec<u8>>) -> Act {
    Act { takes: Duration::ZERO, ends: End::Writes(bytes.into()) }
}

pub fn fails(reason: Reason) -> Act {
    Act { takes: Duration::ZERO, ends: End::Fails(reason) }
}

impl Act {
    pub fn after(self, secs: u64) -> Self {
        Self { takes: Duration::from_secs(secs), ..self }
    }
}

impl Scripted {
    pub fn new(script: impl Fn(ItemIndex, Vec<u8>) -> Act + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            is_short: false,
            shutdowns: AtomicU32::new(0),
            watch: Mutex::default(),
            runs: Mutex::default(),
        }
    }

    /// Every item writes its input, or its index when it has none.
    pub fn echo() -> Self {
        Self::new(|item, input| writes(if input.is_empty() { format!("{item}\n").into_bytes() } else { input }))
    }

    /// Loses the result of every task's last item.
    pub fn short() -> Self {
        Self { is_short: true, ..Self::echo() }
    }

    pub fn watch(&self, watch: Box<Watch>) {
        *self.watch.lock().unwrap() = Some(watch);
    }

    /// First item and attempt of every execution that was begun.
    pub fn runs(&self) -> Vec<(ItemIndex, u32)> {
        self.runs.lock().unwrap().iter().map(|(first, attempt, _)| (*first, *attempt)).collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.runs.lock().unwrap().iter().flat_map(|(_, _, names)| names.clone()).collect()
    }

    async fn item(
        &self,
        (stop, progress): (&Stop, &TaskProgress),
        item: ItemIndex,
        input: Result<Vec<u8>, Failure>,
        pack: &mut Vec<u8>,
    ) -> ItemRan {
        let input = match input {
            Ok(input) => input,
            Err(failure) => return ItemRan::Failed(failure),
        };
        if stop.drain.is_cancelled() || stop.kill.is_cancelled() {
            return ItemRan::Unrun;
        }
        let act = (self.script)(item, input);
        tokio::select! {
            biased;
            () = stop.kill.cancelled() => return ItemRan::Unrun,
            () = tokio::time::sleep(act.takes) => {}
        }
        progress.item_ended();
        match act.ends {
            End::Writes(bytes) => {
                pack.extend_from_slice(&bytes);
                ItemRan::Ok { stdout: (bytes.len() as u64, crc32fast::hash(&bytes)), files: Vec::new() }
            }
            End::Leaves(files) => {
                pack.extend(files.iter().flat_map(|(_, body)| body.bytes()));
                let file = |(name, body): (&str, &str)| OutputFile {
                    item,
                    name: name.to_owned(),
                    len: body.len() as u64,
                    crc32: crc32fast::hash(body.as_bytes()),
                };
                ItemRan::Ok { stdout: (0, 0), files: files.into_iter().map(file).collect() }
            }
            End::Fails(reason) => ItemRan::Failed(Failure::new(reason, "as the test says")),
            End::Panics => panic!("as the test says"),
        }
    }
}

#[async_trait]
impl Runner for Scripted {
    async fn run(&self, mut task: TaskRun) -> TaskRan {
        assert!(std::fs::read_dir(&task.scratch).unwrap().next().is_none());
        if let Some(watch) = &*self.watch.lock().unwrap() {
            watch(&task);
        }
        let message = &task.message;
        let indices: Vec<ItemIndex> = (message.first..message.first + message.count).collect();
        let names = indices.iter().map(|&item| (task.keys)(item).name()).collect();
        self.runs.lock().unwrap().push((message.first, message.attempt, names));
        let mut inputs = Vec::new();
        for input in std::mem::take(&mut task.inputs) {
            inputs.push(bytes_of(input).await);
        }
        inputs.resize_with(indices.len(), || Ok(Vec::new()));
        let (mut items, mut pack) = (Vec::new(), Vec::new());
        for (&item, input) in indices.iter().zip(inputs) {
            items.push(self.item((&task.stop, &task.progress), item, input, &mut pack).await);
            if task.stage.per == Per::Bundle {
                break;
            }
        }
        if self.is_short {
            items.pop();
        }
        let pack = if pack.len() > 64 << 10 {
            let path = task.scratch.join("pack");
            std::fs::write(&path, &pack).unwrap();
            Spool::File { path, len: pack.len() as u64 }
        } else {
            Spool::Memory(pack)
        };
        TaskRan { busy: Duration::from_millis(7), items, pack, log: Vec::new() }
    }

    async fn shutdown(&self) {
        self.shutdowns.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bytes of an input; a folder of files as `name:bytes` each.
async fn bytes_of(input: ItemInput) -> Result<Vec<u8>, Failure> {
    match input {
        ItemInput::None => Ok(Vec::new()),
        ItemInput::Bytes(bytes) => Ok(bytes.to_vec()),
        ItemInput::Stream(stream) => collect(stream).await,
        ItemInput::Files(files) => {
            let mut all = Vec::new();
            for (name, stream) in files {
                all.extend_from_slice(format!("{name}:").as_bytes());
                all.extend(collect(stream).await?);
                all.push(b';');
            }
            Ok(all)
        }
        ItemInput::Failed(failure) => Err(failure),
    }
}

async fn collect(stream: ByteStream) -> Result<Vec<u8>, Failure> {
    let pieces: Vec<bytes::Bytes> =
        stream.try_collect().await.map_err(|error| Failure::new(Reason::Input, error.to_string()))?;
    Ok(pieces.concat())
}
