//! Bodies that are made of text and of parts of files, streamed from disk, the same again for every try.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::try_unfold;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

use super::transport::Sending;

/// Read from a file in one go.
const CHUNK_BYTES: u64 = 256 << 10;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(Bytes),
    /// `len` bytes of a file from `start` on.
    File {
        /// The file.
        path: PathBuf,
        /// The first byte.
        start: u64,
        /// How many.
        len: u64,
    },
}

/// Told of bytes as they are sent.
pub type OnBytes = Arc<dyn Fn(u64) + Send + Sync>;

/// A file that cannot be sent as it was found.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct FileFault {
    path: PathBuf,
    what: String,
}

impl FileFault {
    /// The fault of a file behind an error of a connection that it broke.
    pub fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
            if let Some(fault) = inner.and_then(|inner| inner.downcast_ref()) {
                return Some(fault);
            }
            cause = error.source();
        }
        None
    }

    fn of(path: &Path, what: impl ToString) -> std::io::Error {
        std::io::Error::other(Self { path: path.to_owned(), what: what.to_string() })
    }
}

/// How many bytes these are.
pub fn total(pieces: &[Piece]) -> u64 {
    pieces.iter().map(Piece::len).sum()
}

/// These pieces as a body.
pub fn sending(pieces: &[Piece], on_bytes: &OnBytes) -> Sending {
    let (counter, sent) = watch::channel(0);
    let start = Reading { left: pieces.iter().cloned().collect(), open: None, counter, on_bytes: on_bytes.clone() };
    let stream = try_unfold(start, |mut reading| async move {
        let bytes = reading.next().await?;
        Ok::<_, std::io::Error>(bytes.map(|bytes| (Frame::data(bytes), reading)))
    });
    Sending { body: StreamBody::new(stream).boxed_unsync(), sent }
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File { len, .. } => *len,
        }
    }
}

/// Pieces on their way.
struct Reading {
    left: VecDeque<Piece>,
    /// The file in hand, and how much of it is still to be sent.
    open: Option<(PathBuf, File, u64)>,
    counter: watch::Sender<u64>,
    on_bytes: OnBytes,
}

impl Reading {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            if let Some((path, file, left)) = &mut self.open {
                if *left > 0 {
                    let bytes = read(path, file, *left).await?;
                    *left -= bytes.len() as u64;
                    return Ok(Some(self.count(bytes)));
                }
                self.open = None;
            }
            match self.left.pop_front() {
                None => return Ok(None),
                Some(Piece::Text(text)) if text.is_empty() => {}
                Some(Piece::Text(text)) => return Ok(Some(self.count(text))),
                Some(Piece::File { path, start, len }) => {
                    let file = open(&path, start).await.map_err(|error| FileFault::of(&path, error))?;
                    self.open = Some((path, file, len));
                }
            }
        }
    }

    fn count(&self, bytes: Bytes) -> Bytes {
        self.counter.send_modify(|sent| *sent += bytes.len() as u64);
        (self.on_bytes)(bytes.len() as u64);
        bytes
    }
}

async fn open(path: &Path, start: u64) -> std::io::Result<File> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(start)).await?;
    Ok(file)
}

async fn read(path: &Path, file: &mut File, left: u64) -> std::io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(left.min(CHUNK_BYTES) as usize);
    let read = file.take(left.min(CHUNK_BYTES)).read_buf(&mut bytes).await;
    match read {
        Ok(0) => Err(FileFault::of(path, "it became shorter while it was sent")),
        Ok(_) => Ok(bytes.freeze()),
        Err(error) => Err(FileFault::of(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn counted() -> (OnBytes, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counter = count.clone();
        (Arc::new(move |bytes| _ = counter.fetch_add(bytes, Ordering::Relaxed)), count)
    }

    #[tokio::test]
    async fn a_body_is_its_pieces_in_order_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "0123456789").unwrap();
        let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
        let pieces = [text("<"), Piece::File { path, start: 3, len: 4 }, text(""), text(">")];
        let (on_bytes, count) = counted();
        for time in 1..=2 {
            let Sending { body, sent } = sending(&pieces, &on_bytes);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "<3456>");
            assert_eq!((*sent.borrow(), count.load(Ordering::Relaxed)), (6, 6 * time));
        }
        assert_eq!(total(&pieces), 6);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_breaks_the_body_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "0123").unwrap();
        let pieces = [Piece::File { path, start: 0, len: 5 }];
        let error = sending(&pieces, &counted().0).body.collect().await.unwrap_err();
        let fault = FileFault::behind(&error).unwrap().to_string();
        assert!(fault.ends_with("/f: it became shorter while it was sent"), "{fault}");
    }
}
