//! Inputs in anybody's buckets: `s3://bucket/key` is the key `bucket/key` here. Only ever read.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

use super::bucket::Bucket;
use crate::objects::{ByteStream, ObjectMeta, ObjectStore, Uploads};
use crate::{Error, ErrorKind, Result};

/// Every object that the credentials may read. Versions are ETags.
#[derive(Clone, Debug)]
pub struct S3Sources {
    client: aws_sdk_s3::Client,
}

impl S3Sources {
    /// Asks nobody.
    pub fn new(client: aws_sdk_s3::Client) -> Self {
        Self { client }
    }

    /// The bucket and the key there. Keys are strangers': whatever S3 allows.
    fn place<'key>(&self, key: &'key str) -> Result<(Bucket, &'key str)> {
        match key.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() && !key.contains('\0') => {
                Ok((Bucket::new(self.client.clone(), bucket), key))
            }
            _ => {
                let context = format!("`s3://{}` names no object: write s3://bucket/key", key.escape_debug());
                Err(Error::new(ErrorKind::Invalid, context))
            }
        }
    }
}

fn named(bucket: &Bucket, meta: ObjectMeta) -> ObjectMeta {
    ObjectMeta { key: format!("{}/{}", bucket.name, meta.key), ..meta }
}

fn read_only<T>(key: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Denied, format!("s3://{} is an input: it is only read", key.escape_debug())))
}

#[async_trait]
impl ObjectStore for S3Sources {
    async fn create(&self, key: &str, _: Bytes) -> Result<()> {
        read_only(key)
    }

    async fn put(&self, key: &str, _: Bytes) -> Result<()> {
        read_only(key)
    }

    async fn put_file(&self, key: &str, _: &Path) -> Result<()> {
        read_only(key)
    }

    async fn put_stream(&self, key: &str, _: ByteStream) -> Result<ObjectMeta> {
        read_only(key)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let (bucket, key) = self.place(key)?;
        bucket.get(key, range).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        let (bucket, key) = self.place(key)?;
        Ok(bucket.stream(key, range).await?.boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let (bucket, key) = self.place(key)?;
        bucket.head(key).await.map(|meta| named(&bucket, meta))
    }

    /// A prefix holds the whole name of a bucket, and its slash.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let Some((name, prefix)) = prefix.split_once('/').filter(|(name, _)| !name.is_empty()) else {
            let context = format!("`s3://{}` names no bucket: write s3://bucket/prefix", prefix.escape_debug());
            return Err(Error::new(ErrorKind::Invalid, context));
        };
        let bucket = Bucket::new(self.client.clone(), name);
        let after = match after.and_then(|after| after.split_once('/')) {
            Some((other, _)) if other > name => return Ok(Vec::new()),
            Some((other, key)) if other == name => Some(key.to_owned()),
            _ => None,
        };
        let found = bucket.list(prefix, after, limit).await?;
        Ok(found.into_iter().map(|meta| named(&bucket, meta)).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        read_only(key)
    }

    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        let (bucket, key) = self.place(key)?;
        bucket.presign_get(key, expires).await.map(Some)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }
}
