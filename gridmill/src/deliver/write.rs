//! Writes what a stage delivers below a partial folder, and checks what lies below the output folder already.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use infra::outputs::Piece;
use job_manager::view::JobView;
use job_manager::view::outputs::{Deliverable, NameFault};

use crate::exit::{Fault, Outcome};
use crate::progress::ByteCounter;

/// Pieces up to this size together are read and written in one go.
const AT_ONCE_BYTES: u64 = 8 << 20;

/// How much was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Writes files below a folder that nobody else looks at yet.
#[derive(Debug)]
pub struct Writer<'a> {
    amount: Amount,
    streams: BTreeSet<PathBuf>,
    counter: &'a ByteCounter,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet; `counter` is told of every byte.
    pub fn new(counter: &'a ByteCounter) -> Self {
        Self { amount: Amount::default(), streams: BTreeSet::new(), counter }
    }

    /// Writes all of them, in order.
    pub async fn write(&mut self, view: &JobView, root: &Path, parts: &[Deliverable]) -> Outcome<()> {
        let mut rest = parts;
        while let [first, ..] = rest {
            let together = fitting(rest);
            let (now, later) = rest.split_at(together.max(1));
            match together {
                0 => self.write_long(view, root, first).await?,
                _ => self.write_together(view, root, now).await?,
            }
            rest = later;
        }
        Ok(())
    }

    /// What was written.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    async fn write_together(&mut self, view: &JobView, root: &Path, parts: &[Deliverable]) -> Outcome<()> {
        let pieces: Vec<Piece> = parts.iter().filter_map(|part| part.piece.clone()).collect();
        let mut read = view.outputs().read(&pieces).await?.into_iter();
        let mut work: Vec<(PathBuf, bool, Bytes)> = Vec::with_capacity(parts.len());
        for part in parts {
            let bytes = part.piece.as_ref().and_then(|_| read.next()).unwrap_or_default();
            self.counter.add(bytes.len() as u64);
            self.count(part, bytes.len() as u64);
            work.push((root.join(&part.path), part.appends, bytes));
        }
        let written = tokio::task::spawn_blocking(move || {
            for (path, appends, bytes) in work {
                open(&path, appends).and_then(|mut file| file.write_all(&bytes)).map_err(|error| (path, error))?;
            }
            Ok(())
        });
        written.await.map_err(Fault::failed)?.map_err(|(path, error): (PathBuf, io::Error)| failed(&path, error))
    }

    async fn write_long(&mut self, view: &JobView, root: &Path, part: &Deliverable) -> Outcome<()> {
        let Some(piece) = &part.piece else { return Ok(()) };
        let path = root.join(&part.path);
        let mut file = open(&path, part.appends).map_err(|error| failed(&path, error))?;
        let mut stream = view.outputs().stream(std::slice::from_ref(piece));
        while let Some(bytes) = stream.next().await.transpose()? {
            self.counter.add(bytes.len() as u64);
            let written = tokio::task::spawn_blocking(move || file.write_all(&bytes).map(|()| file));
            file = written.await.map_err(Fault::failed)?.map_err(|error| failed(&path, error))?;
        }
        self.count(part, piece.len);
        Ok(())
    }

    fn count(&mut self, part: &Deliverable, len: u64) {
        let is_new = !part.appends || self.streams.insert(part.path.clone());
        self.amount.files += u64::from(is_new);
        self.amount.bytes += len;
    }
}

/// Checks files that were delivered before against what should be there: their sizes, since their bytes were checked
/// when they were written.
#[derive(Debug, Default)]
pub struct Checker {
    amount: Amount,
    stream: Option<(PathBuf, u64)>,
}

impl Checker {
    /// Whether all of these are there.
    pub fn check(&mut self, root: &Path, parts: &[Deliverable]) -> bool {
        parts.iter().all(|part| {
            let len = part.piece.as_ref().map_or(0, |piece| piece.len);
            self.amount.bytes += len;
            if part.appends {
                let (_, so_far) = self.stream.get_or_insert_with(|| (part.path.clone(), 0));
                *so_far += len;
                return true;
            }
            self.amount.files += 1;
            has_len(&root.join(&part.path), len)
        })
    }

    /// Whether the file that all items share is there, after the last item; and how much is there in all.
    pub fn finish(mut self, root: &Path) -> Option<Amount> {
        if let Some((path, len)) = &self.stream {
            self.amount.files += 1;
            if !has_len(&root.join(path), *len) {
                return None;
            }
        }
        Some(self.amount)
    }
}

/// How many of the first parts fit into one go.
fn fitting(parts: &[Deliverable]) -> usize {
    let mut total = 0u64;
    parts
        .iter()
        .take_while(|part| {
            total = total.saturating_add(part.piece.as_ref().map_or(0, |piece| piece.len));
            total <= AT_ONCE_BYTES
        })
        .count()
}

fn open(path: &Path, appends: bool) -> io::Result<File> {
    let mut how = OpenOptions::new();
    match appends {
        true => how.append(true).create(true),
        false => how.write(true).create_new(true),
    };
    match how.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            how.open(path)
        }
        opened => opened,
    }
}

fn has_len(path: &Path, len: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == len)
}

fn failed(path: &Path, error: io::Error) -> Fault {
    let fault = match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Fault::usage("two outputs want the same name").help(NameFault::REMEDY)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::back_end(error)
            .help("free some space, then run the same command again: only the outputs are missing"),
        _ => Fault::back_end(error),
    };
    fault.while_doing(format!("failed to write {}", path.display()))
}
