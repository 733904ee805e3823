//! Writing objects that are too large for one request: in parts, several at the same time, in bounded memory.
//!
//! Never on a condition: of a refused one, every part would have to be sent again. What breaks off is aborted; what a dead
//! process leaves, the bucket's lifecycle rule removes.

use std::path::Path;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;

use super::bucket::{Bucket, Condition, assembling, sending, version};
use crate::aws::error::required;
use crate::objects::cutter::Cutter;
use crate::objects::{ByteStream, ObjectMeta, io_error};
use crate::{Error, ErrorKind, Result};

/// The size of the first parts; S3 wants at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// After so many parts they become twice as large, so that 10,000 of them hold the largest object that S3 takes.
const PARTS_OF_A_SIZE: i32 = 1_000;

/// Bytes of parts under way at the same time, but for the one that is being gathered; at least one part.
const BYTES_UNDER_WAY: usize = 4 * PART_BYTES;

/// What a file is read in.
const READ_BYTES: usize = 1 << 20;

/// An object that is being written in parts.
struct Multipart<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    id: String,
}

impl Bucket {
    pub(super) async fn write_file(&self, key: &str, path: &Path) -> Result<()> {
        let file = tokio::fs::File::open(path).await.map_err(|cause| io_error("open", path, cause))?;
        let owned = path.to_owned();
        let pieces = ReaderStream::with_capacity(file, READ_BYTES);
        let pieces = pieces.map_err(move |cause| io_error("read", &owned, cause)).boxed();
        self.write_stream(key, pieces).await.map(drop)
    }

    pub(super) async fn write_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        let mut parts = Cutter::of(body);
        let first = parts.next(PART_BYTES).await?.unwrap_or_default();
        if first.len() < PART_BYTES {
            return self.put(key, first, Condition::Any).await;
        }
        let multipart = Multipart::begin(self, key).await?;
        let written = multipart.write(first, parts).await;
        if written.is_err() {
            multipart.abort().await;
        }
        written
    }
}

impl<'a> Multipart<'a> {
    async fn begin(bucket: &'a Bucket, key: &'a str) -> Result<Self> {
        let request = bucket.client.create_multipart_upload().bucket(&bucket.name).key(key);
        let begun = request.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await;
        let begun = begun.map_err(|error| bucket.failed("begin to write", key, error))?;
        let id = required(begun.upload_id, || format!("id of the upload of s3://{}/{key}", bucket.name))?;
        Ok(Self { bucket, key, id })
    }

    /// Gathers the next part while others are under way.
    async fn write(&self, first: Bytes, mut parts: Cutter) -> Result<ObjectMeta> {
        let (mut number, mut size) = (1, first.len() as u64);
        let mut under_way = FuturesUnordered::from_iter([self.part(number, first)]);
        let (mut is_gathering, mut done) = (true, Vec::new());
        while is_gathering || !under_way.is_empty() {
            tokio::select! {
                part = parts.next(part_bytes(number + 1)), if is_gathering && under_way.len() < parts_under_way(number) => {
                    match part? {
                        None => is_gathering = false,
                        Some(part) => {
                            number += 1;
                            size += part.len() as u64;
                            under_way.push(self.part(number, part));
                        }
                    }
                }
                Some(part) = under_way.next(), if !under_way.is_empty() => done.push(part?),
            }
        }
        done.sort_unstable_by_key(CompletedPart::part_number);
        self.complete(done, size).await
    }

    async fn part(&self, number: i32, body: Bytes) -> Result<CompletedPart> {
        let bytes = body.len();
        let request = self
            .bucket
            .client
            .upload_part()
            .bucket(&self.bucket.name)
            .key(self.key)
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body.into());
        let put = request.customize().config_override(sending(bytes)).send().await;
        let put = put.map_err(|error| self.bucket.failed("write a part of", self.key, error))?;
        let part =
            CompletedPart::builder().part_number(number).set_e_tag(put.e_tag).set_checksum_crc32(put.checksum_crc32);
        Ok(part.build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>, size: u64) -> Result<ObjectMeta> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.bucket.client.complete_multipart_upload().bucket(&self.bucket.name).key(self.key);
        let request = request.upload_id(&self.id).multipart_upload(parts).customize();
        match request.config_override(assembling()).send().await {
            Ok(done) => Ok(ObjectMeta { key: self.key.to_owned(), size, version: version(done.e_tag()) }),
            Err(error) => {
                let error = self.bucket.failed("complete", self.key, error);
                // Only we know this upload: when it is gone, an earlier try of this request has completed it.
                if error.kind == ErrorKind::NotFound { self.look(size, error).await } else { Err(error) }
            }
        }
    }

    async fn look(&self, size: u64, error: Error) -> Result<ObjectMeta> {
        let meta = self.bucket.head(self.key).await?;
        if meta.size == size { Ok(meta) } else { Err(Error::caused(ErrorKind::Unavailable, error.to_string(), error)) }
    }

    /// Best effort: the failure that led here is what the caller hears of.
    async fn abort(&self) {
        let request = self.bucket.client.abort_multipart_upload().bucket(&self.bucket.name).key(self.key);
        if let Err(error) = request.upload_id(&self.id).send().await {
            let error = self.bucket.failed("abort the upload of", self.key, error);
            tracing::debug!(%error, "parts are left to the bucket's lifecycle rule");
        }
    }
}

fn part_bytes(number: i32) -> usize {
    PART_BYTES << ((number - 1) / PARTS_OF_A_SIZE)
}

fn parts_under_way(number: i32) -> usize {
    (BYTES_UNDER_WAY / part_bytes(number)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object_and_a_hundred_gigabytes_stay_small() {
        let sizes = |parts: i32| (1..=parts).map(|number| part_bytes(number) as u64);
        assert!(sizes(10_000).sum::<u64>() >= 5 << 40);
        assert!(sizes(10_000).all(|bytes| (5 << 20..=5 << 30).contains(&bytes)));
        let parts_of_100_gib = (1..).find(|&parts| sizes(parts).sum::<u64>() >= 100 << 30);
        assert_eq!(parts_of_100_gib.map(part_bytes), Some(64 << 20));
    }
}
