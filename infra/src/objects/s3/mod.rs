//! Objects in S3, or in a store that speaks its language and keeps conditional writes.

mod bucket;
mod multipart;
mod read;
mod sources;
mod uploads;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

use self::bucket::{Bucket, Condition};
pub use self::sources::S3Sources;
use super::{ByteStream, ObjectMeta, ObjectStore, Uploads, key};
use crate::{Error, ErrorKind, Result};

/// The longest key that S3 takes, in bytes.
const MAX_KEY_BYTES: usize = 1_024;

/// A grid's objects: those of one bucket whose keys begin with a prefix.
#[derive(Clone, Debug)]
pub struct S3Objects {
    bucket: Bucket,
    /// Empty, or ends in a slash.
    prefix: String,
}

impl S3Objects {
    /// The objects of `bucket` below `prefix`. Asks nobody; `Invalid` for a prefix that no key can begin with.
    pub fn new(client: aws_sdk_s3::Client, bucket: &str, prefix: Option<&str>) -> Result<Self> {
        let prefix = match prefix.map(|prefix| prefix.trim_end_matches('/')) {
            None | Some("") => String::new(),
            Some(prefix) => {
                key::check(prefix)?;
                format!("{prefix}/")
            }
        };
        Ok(Self { bucket: Bucket::new(client, bucket), prefix })
    }

    fn full(&self, key: &str) -> Result<String> {
        key::check(key)?;
        let full = format!("{}{key}", self.prefix);
        if full.len() > MAX_KEY_BYTES {
            let context =
                format!("object key `{}` has {} bytes, more than {MAX_KEY_BYTES}", full.escape_debug(), full.len());
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        Ok(full)
    }

    /// What is known of an object, by the key that our callers use.
    fn known_as(&self, meta: ObjectMeta) -> ObjectMeta {
        match meta.key.strip_prefix(&self.prefix) {
            Some(key) if !self.prefix.is_empty() => ObjectMeta { key: key.to_owned(), ..meta },
            _ => meta,
        }
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        self.bucket.put(&self.full(key)?, body, Condition::Absent).await.map(drop)
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.bucket.put(&self.full(key)?, body, Condition::Any).await.map(drop)
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        self.bucket.write_file(&self.full(key)?, file).await
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        self.bucket.write_stream(&self.full(key)?, body).await.map(|meta| self.known_as(meta))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        self.bucket.get(&self.full(key)?, range).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        Ok(self.bucket.stream(&self.full(key)?, range).await?.boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.bucket.head(&self.full(key)?).await.map(|meta| self.known_as(meta))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let full_prefix = format!("{}{prefix}", self.prefix);
        let after = after.map(|after| format!("{}{after}", self.prefix));
        let found = self.bucket.list(&full_prefix, after, limit).await?;
        Ok(found.into_iter().map(|meta| self.known_as(meta)).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.bucket.delete(&self.full(key)?).await
    }

    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        self.bucket.presign_get(&self.full(key)?, expires).await.map(Some)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        Some(self)
    }
}
