//! Brings an item's input to its command: by the loop that serves its pipes, by a task that feeds a stream into its
//! standard input, or as files.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use grid_core::pipeline::InputAs;
use grid_core::reason::{Failure, Reason};
use infra::objects::ByteStream;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::environment::{Variables, set};
use super::fault::{self, NotDone};
use super::launch::Stdin;
use super::switch::Switch;
use crate::runner::ItemInput;

/// Longest input that rides in a request: what a pipe holds.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// An input that is ready to be used.
#[derive(Default)]
pub(super) struct Staged {
    /// Written to standard input.
    pub(super) bytes: VecDeque<Bytes>,
    /// Fed into standard input, after `bytes`.
    pub(super) stream: Option<ByteStream>,
    /// Says where files are.
    pub(super) vars: Variables,
}

/// Where inputs are staged for the items of one task.
pub(super) struct Stager {
    /// How they arrive.
    pub(super) input_as: InputAs,
    /// Whether the stage has input at all: `GRIDMILL_INPUT` names a file, be it empty, exactly when it does.
    pub(super) has_input: bool,
    /// A file that may be written.
    pub(super) file: PathBuf,
    /// A folder that may be made.
    pub(super) folder: PathBuf,
    /// Where streams are driven.
    pub(super) handle: Handle,
    /// Ends the wait for a stream.
    pub(super) kill: CancellationToken,
}

/// An input as a request names it.
pub(super) enum Delivered {
    /// There is none.
    Nothing,
    /// In the request itself.
    Text(String),
    /// A file.
    File(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

impl Staged {
    /// What standard input is.
    pub(super) fn stdin(&self) -> Stdin {
        if self.stream.is_none() && self.bytes.is_empty() { Stdin::Null } else { Stdin::Pipe }
    }
}

impl Stager {
    /// Makes the input of an item ready.
    pub(super) fn stage(&self, item: &str, input: ItemInput) -> Result<Staged, NotDone> {
        match self.input_as {
            _ if !self.has_input => Ok(Staged::default()),
            InputAs::Stdin => to_stdin(vec![input]),
            InputAs::File => {
                let mut staged = Staged::default();
                self.to_file(item, vec![input])?;
                set(&mut staged.vars, "GRIDMILL_INPUT", &self.file);
                Ok(staged)
            }
            InputAs::Files => {
                let mut staged = Staged::default();
                self.fresh_folder()?;
                self.to_folder(item, &self.folder, input)?;
                set(&mut staged.vars, "GRIDMILL_INPUT_DIR", &self.folder);
                Ok(staged)
            }
        }
    }

    /// Makes the inputs of all items ready for one process: one after the other, or as one folder an item.
    pub(super) fn stage_all(&self, inputs: Vec<(String, ItemInput)>) -> Result<Staged, NotDone> {
        let mut staged = Staged::default();
        match self.input_as {
            _ if !self.has_input => {}
            InputAs::Stdin => {
                return to_stdin(inputs.into_iter().map(|(_, input)| input).collect());
            }
            InputAs::File => {
                self.to_file("of the bundle", inputs.into_iter().map(|(_, input)| input).collect())?;
                set(&mut staged.vars, "GRIDMILL_INPUT", &self.file);
            }
            InputAs::Files => {
                self.fresh_folder()?;
                for (item, input) in inputs {
                    self.to_folder(&item, &self.folder.join(&item), input)?;
                }
                set(&mut staged.vars, "GRIDMILL_INPUT_DIR", &self.folder);
            }
        }
        Ok(staged)
    }

    /// Makes the input of an item ready to be named in a request.
    pub(super) fn deliver(&self, item: &str, input: ItemInput) -> Result<Delivered, NotDone> {
        if !self.has_input {
            return Ok(Delivered::Nothing);
        }
        match (self.input_as, input) {
            (InputAs::Stdin, ItemInput::None) => Ok(Delivered::Text(String::new())),
            (InputAs::Stdin, ItemInput::Bytes(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) if text.len() <= MAX_TEXT_BYTES => Ok(Delivered::Text(text.to_owned())),
                _ => self.deliver_file(item, ItemInput::Bytes(bytes)),
            },
            (InputAs::Stdin | InputAs::File, input) => self.deliver_file(item, input),
            (InputAs::Files, input) => {
                self.fresh_folder()?;
                self.to_folder(item, &self.folder, input)?;
                Ok(Delivered::Folder(self.folder.clone()))
            }
        }
    }

    fn deliver_file(&self, item: &str, input: ItemInput) -> Result<Delivered, NotDone> {
        self.to_file(item, vec![input])?;
        Ok(Delivered::File(self.file.clone()))
    }

    /// Removes what was staged as files; what cannot be removed goes with the task's scratch.
    pub(super) fn clear(&self) {
        match self.input_as {
            InputAs::Stdin => {}
            InputAs::File => drop(fs::remove_file(&self.file)),
            InputAs::Files => drop(fs::remove_dir_all(&self.folder)),
        }
    }

    fn to_file(&self, item: &str, inputs: Vec<ItemInput>) -> Result<(), NotDone> {
        let staged = to_stdin(inputs)?;
        // A command may have made the one before unwritable, or a link.
        drop(fs::remove_file(&self.file));
        self.save(item, &self.file, staged.bytes, staged.stream)
    }

    fn to_folder(&self, item: &str, folder: &Path, input: ItemInput) -> Result<(), NotDone> {
        fs::create_dir_all(folder).map_err(|error| own(folder, &error))?;
        let files = match input {
            ItemInput::Files(files) => files,
            single => {
                let staged = to_stdin(vec![single])?;
                if staged.stdin() == Stdin::Null {
                    return Ok(());
                }
                return self.save(item, &folder.join(item), staged.bytes, staged.stream);
            }
        };
        for (name, stream) in files {
            let path = folder.join(relative(item, &name)?);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| own(parent, &error))?;
            }
            self.save(item, &path, VecDeque::new(), Some(stream))?;
        }
        Ok(())
    }

    fn fresh_folder(&self) -> Result<(), NotDone> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(own(&self.folder, &error)),
            _ => fs::create_dir(&self.folder).map_err(|error| own(&self.folder, &error)),
        }
    }

    fn save(&self, item: &str, path: &Path, bytes: VecDeque<Bytes>, stream: Option<ByteStream>) -> Result<(), NotDone> {
        let mut file = File::create(path).map_err(|error| own(path, &error))?;
        for piece in bytes {
            file.write_all(&piece).map_err(|error| own(path, &error))?;
        }
        let Some(mut stream) = stream else {
            return Ok(());
        };
        loop {
            let next = self.handle.block_on(async {
                tokio::select! {
                    biased;
                    () = self.kill.cancelled() => None,
                    piece = stream.next() => Some(piece),
                }
            });
            match next {
                None => return Err(NotDone::Stopped),
                Some(None) => return Ok(()),
                Some(Some(Ok(piece))) => file.write_all(&piece).map_err(|error| own(path, &error))?,
                Some(Some(Err(error))) => return Err(NotDone::Failed(fault::input(item, &error))),
            }
        }
    }
}

/// Feeds what is left of an input into a command's standard input. A command that closes it has had enough; an input
/// that fails touches the switch, and the pipe stays open so that the command cannot take it for a short one.
pub(super) fn feed(
    handle: &Handle,
    stdin: PipeWriter,
    item: &str,
    bytes: VecDeque<Bytes>,
    stream: ByteStream,
    switch: Arc<Switch>,
) -> JoinHandle<()> {
    let item = item.to_owned();
    let mut pieces = futures::stream::iter(bytes.into_iter().map(Ok)).chain(stream);
    handle.spawn(async move {
        let mut pipe = match pipe::Sender::from_owned_fd_unchecked(OwnedFd::from(stdin)) {
            Ok(pipe) => pipe,
            Err(error) => {
                return switch.fail(fault::own("open the command's standard input", &error));
            }
        };
        while let Some(piece) = pieces.next().await {
            let failed = match piece {
                Ok(piece) => match pipe.write_all(&piece).await {
                    Ok(()) => continue,
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                    Err(error) => fault::own("write to the command's standard input", &error),
                },
                Err(error) => fault::input(&item, &error),
            };
            switch.fail(failed);
            std::future::pending::<()>().await;
        }
    })
}

fn to_stdin(inputs: Vec<ItemInput>) -> Result<Staged, NotDone> {
    let mut staged = Staged::default();
    for input in inputs {
        match input {
            ItemInput::None => {}
            ItemInput::Bytes(bytes) if bytes.is_empty() => {}
            ItemInput::Bytes(bytes) => match staged.stream.take() {
                None => staged.bytes.push_back(bytes),
                Some(before) => {
                    staged.stream = Some(before.chain(futures::stream::iter([Ok(bytes)])).boxed());
                }
            },
            ItemInput::Stream(stream) => append(&mut staged, stream),
            ItemInput::Files(files) => files.into_iter().for_each(|(_, stream)| append(&mut staged, stream)),
            ItemInput::Failed(failure) => return Err(NotDone::Failed(failure)),
        }
    }
    Ok(staged)
}

fn append(staged: &mut Staged, stream: ByteStream) {
    staged.stream = Some(match staged.stream.take() {
        None => stream,
        Some(before) => before.chain(stream).boxed(),
    });
}

fn own(path: &Path, error: &io::Error) -> NotDone {
    NotDone::Failed(fault::own(format_args!("write the input to {}", path.display()), error))
}

/// A file name below the input folder, which it must not leave.
fn relative<'a>(item: &str, name: &'a str) -> Result<&'a Path, NotDone> {
    let path = Path::new(name);
    let stays = !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    if stays {
        return Ok(path);
    }
    let message = format!("an input of item {item} is called {name:?}, which is no path below a folder");
    Err(NotDone::Failed(Failure::new(Reason::Input, message)))
}
