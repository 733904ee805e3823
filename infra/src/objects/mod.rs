//! Objects: named bytes. S3, a folder, or memory.

mod cutter;
mod folder;
mod key;
mod memory;
mod probe;
#[cfg(feature = "aws")]
mod s3;
mod uploads;

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::folder::FolderObjects;
#[cfg(test)]
pub(crate) use self::folder::has_synced;
pub(crate) use self::folder::{io_error, remove_all, sync_folder, write_durably};
pub use self::memory::MemoryObjects;
#[cfg(feature = "aws")]
pub(crate) use self::probe::judge;
pub use self::probe::probe;
#[cfg(feature = "aws")]
pub use self::s3::{S3Objects, S3Sources};
pub use self::uploads::{Upload, UploadedPart, Uploads};

use crate::Result;

/// Bytes that arrive piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// What a store knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Changes whenever the content does: an ETag, or `mtime_ns-size-inode` in a folder.
    pub version: String,
}

/// Named bytes.
///
/// Keys are relative paths of non-empty parts joined by `/`, never `.` or `..`. Every call may be repeated; a call
/// that failed with `Unavailable` may still be applied later.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Writes an object unless one exists; the object is durable and whole when this returns `Ok`. `Conflict` when one
    /// exists, whoever wrote it: also when an earlier try of this very call did, so read it back before judging.
    async fn create(&self, key: &str, body: Bytes) -> Result<()>;

    /// Writes an object, replacing any, durable and whole when this returns `Ok`; readers see the old or the new one.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// Like `put` with the content of a file, of any size. The file may be moved away rather than copied.
    async fn put_file(&self, key: &str, file: &Path) -> Result<()>;

    /// Like `put` with bytes of any number, in bounded memory. When the stream fails, so does this, with its error, and
    /// nothing has changed.
    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta>;

    /// Reads an object into memory: all of it, or the bytes in `range` (clipped at its end).
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes>;

    /// Reads the bytes in `range` piece by piece, in bounded memory.
    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream>;

    /// What is known of an object without reading it.
    async fn head(&self, key: &str) -> Result<ObjectMeta>;

    /// Objects whose keys begin with `prefix` and come after `after`, ascending by bytes of the key; at most `limit`.
    /// Fewer than `limit` means that there are no more.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>>;

    /// Removes an object; it is no error when there is none.
    async fn delete(&self, key: &str) -> Result<()>;

    /// A URL that anybody can `GET` the object by, for as long as `expires`; `None` where a store has no URLs.
    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>>;

    /// How others write to this store by URLs; `None` where it has none.
    fn uploads(&self) -> Option<&dyn Uploads>;
}
