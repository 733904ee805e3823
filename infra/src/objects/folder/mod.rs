//! Objects in a folder: the parts of a key are the parts of a path.

#[cfg(test)]
mod crash;
mod disk;
mod error;
mod read;
mod walk;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

#[cfg(test)]
pub(crate) use crash::record::has_synced;
pub(crate) use error::io_error;
pub(crate) use write::{remove_all, sync_folder, write_durably};

use self::read::Reading;
use self::walk::Query;
use self::write::{Name, TEMPORARY, Writer};
use super::cutter::Cutter;
use super::{ByteStream, ObjectMeta, ObjectStore, Uploads, key};
use crate::{Error, ErrorKind, Result};

/// Bytes that one piece of a stream holds at most: large enough that the hop to a thread costs nothing.
const PIECE_BYTES: usize = 512 << 10;

/// Objects as files below a folder.
///
/// A key that is a folder of other keys cannot be written (`Invalid`), and names that are not UTF-8 are an error when
/// they are listed. One process at a time may open a folder for writing.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    writer: Option<Writer>,
}

impl FolderObjects {
    /// Opens a folder for reading and writing, makes it where it is missing, and removes what a dead process left
    /// unfinished. Blocks.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let writer = Some(Writer::open(&root)?);
        Ok(Self { folder: Arc::new(Folder { root, writer }) })
    }

    /// The files below `root` as they are, such as inputs below `/`; every write is `Denied`.
    pub fn read_only(root: impl Into<PathBuf>) -> Self {
        Self { folder: Arc::new(Folder { root: root.into(), writer: None }) }
    }

    /// [`probe`](super::probe()) for callers that block.
    pub(crate) fn probe(&self) -> Result<()> {
        let probe = "probe/twice";
        self.folder.write(probe, b"first", Name::Replaced)?;
        let second = self.folder.write(probe, b"second", Name::New);
        self.folder.delete(probe)?;
        super::probe::judge(&self.folder.root.display().to_string(), second)
    }

    /// Files have no asynchronous calls: each operation is one hop to a thread that may block.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = self.folder.clone();
        blocking(move || work(&folder)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|lost| Error::caused(ErrorKind::Unavailable, "failed to finish work on a file", lost))?
}

impl Folder {
    fn path(&self, key: &str) -> Result<PathBuf> {
        key::check(key)?;
        let first = key.split_once('/').map_or(key, |(first, _)| first);
        if self.hidden() == Some(first) {
            let context = format!("object key `{key}` lies where temporary files are kept");
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        Ok(self.root.join(key))
    }

    fn hidden(&self) -> Option<&'static str> {
        self.writer.as_ref().map(|_| TEMPORARY)
    }

    fn writer(&self) -> Result<&Writer> {
        let context = || format!("{} was opened for reading only", self.root.display());
        self.writer.as_ref().ok_or_else(|| Error::new(ErrorKind::Denied, context()))
    }

    fn write(&self, key: &str, body: &[u8], name: Name) -> Result<()> {
        self.writer()?.write(&self.path(key)?, body, name)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.writer()?.remove(&self.path(key)?)
    }

    fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Reading> {
        Reading::open(self.path(key)?, range)
    }
}

#[async_trait]
impl ObjectStore for FolderObjects {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        let key = key.to_owned();
        self.on_thread(move |folder| folder.write(&key, &body, Name::New)).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let key = key.to_owned();
        self.on_thread(move |folder| folder.write(&key, &body, Name::Replaced)).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let (key, file) = (key.to_owned(), file.to_owned());
        self.on_thread(move |folder| folder.writer()?.adopt(&folder.path(&key)?, &file)).await
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        let owned = key.to_owned();
        let mut draft = self.on_thread(move |folder| folder.writer()?.draft(&folder.path(&owned)?)).await?;
        let mut pieces = Cutter::of(body);
        while let Some(piece) = pieces.next(PIECE_BYTES).await? {
            draft = blocking(move || draft.append(&piece)).await?;
        }
        let owned = key.to_owned();
        self.on_thread(move |folder| Ok(read::meta(owned, &folder.writer()?.publish_draft(draft)?))).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let key = key.to_owned();
        self.on_thread(move |folder| folder.open(&key, range)?.rest()).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        let key = key.to_owned();
        let first = self
            .on_thread(move |folder| {
                let mut reading = folder.open(&key, range)?;
                Ok((Some(reading.piece(PIECE_BYTES)?), reading))
            })
            .await?;
        Ok(stream::try_unfold(first, next_piece).boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let key = key.to_owned();
        self.on_thread(move |folder| read::head(&folder.path(&key)?, &key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.on_thread(move |folder| {
            let query = Query { prefix: &prefix, after: after.as_deref(), limit, hidden: folder.hidden() };
            walk::list(&folder.root, query)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.on_thread(move |folder| folder.delete(&key)).await
    }

    async fn presign_get(&self, key: &str, _: Duration) -> Result<Option<String>> {
        self.folder.path(key)?;
        Ok(None)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }
}

/// The first piece, which came along with the opening, and the file behind it.
type Pieces = (Option<Bytes>, Reading);

async fn next_piece((first, mut reading): Pieces) -> Result<Option<(Bytes, Pieces)>> {
    if let Some(first) = first.filter(|first| !first.is_empty()) {
        return Ok(Some((first, (None, reading))));
    }
    if reading.is_done() {
        return Ok(None);
    }
    let (piece, reading) = blocking(move || Ok((reading.piece(PIECE_BYTES)?, reading))).await?;
    Ok(Some((piece, (None, reading))))
}
