//! Reading objects: the whole or a range, always the same object from the first byte to the last.
//!
//! A body that breaks off is asked for again from where it broke, on condition of the ETag that it began with.

use std::ops::Range;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::{Bytes, BytesMut};
use futures::stream::try_unfold;
use futures::{Stream, TryStreamExt};

use super::bucket::{Bucket, size};
use crate::aws::error::status;
use crate::{Error, ErrorKind, Result};

/// How often a body may break off without having brought a byte.
const MAX_BREAKS: u32 = 4;

/// A body that is being read.
struct Reading {
    bucket: Bucket,
    key: String,
    etag: Option<String>,
    body: Body,
    /// The next byte.
    at: u64,
    end: u64,
    breaks: u32,
}

impl Bucket {
    /// Reads into memory.
    pub(super) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let mut pieces = std::pin::pin!(self.stream(key, range).await?);
        let Some(first) = pieces.try_next().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = pieces.try_next().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(&first[..]);
        all.extend_from_slice(&second);
        while let Some(piece) = pieces.try_next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Reads piece by piece.
    pub(super) async fn stream(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let reading = self.open(key, range).await?;
        Ok(try_unfold(reading, |reading| async move {
            let Some(mut reading) = reading else {
                return Ok(None);
            };
            let piece = reading.next().await?;
            Ok(piece.map(|piece| (piece, Some(reading))))
        }))
    }

    /// The first answer; `None` where there is nothing to read.
    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Reading>> {
        if range.as_ref().is_some_and(|range| range.start >= range.end) {
            // There are no empty ranges in HTTP; that the object is there is asked all the same.
            return self.head(key).await.map(|_| None);
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        let Some(answer) = self.ask(key, range, None).await? else {
            return Ok(None);
        };
        let end = start + size(answer.content_length());
        let GetObjectOutput { e_tag, body, .. } = answer;
        Ok(Some(Reading { bucket: self.clone(), key: key.to_owned(), etag: e_tag, body, at: start, end, breaks: 0 }))
    }

    /// `None` when the object ends before the range begins.
    async fn ask(&self, key: &str, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Option<GetObjectOutput>> {
        let request = self.client.get_object().bucket(&self.name).key(key);
        let request = request.set_range(range.map(header)).set_if_match(etag.map(str::to_owned));
        match request.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if status(&error) == Some(416) => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.try_next().await {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(piece)) => {
                    self.at += piece.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(piece));
                }
                Ok(None) if self.at == self.end => return Ok(None),
                Ok(None) => self.resume("it ended early".into()).await?,
                Err(cause) => self.resume(cause.into()).await?,
            }
        }
    }

    async fn resume(&mut self, cause: Box<dyn std::error::Error + Send + Sync>) -> Result<()> {
        self.breaks += 1;
        let context = || format!("failed to read s3://{}/{} from byte {} on", self.bucket.name, self.key, self.at);
        // At the end there is nothing to read on with: the whole was found damaged. Without an ETag, nothing would tell
        // another object from this one.
        if self.breaks > MAX_BREAKS || self.at >= self.end || self.etag.is_none() {
            return Err(Error::caused(ErrorKind::Unavailable, context(), cause));
        }
        tracing::debug!(key = self.key, at = self.at, %cause, "a body broke off; reading on");
        match self.bucket.ask(&self.key, Some(self.at..self.end), self.etag.as_deref()).await {
            Ok(Some(answer)) => self.body = answer.body,
            Ok(None) => return Err(self.replaced()),
            Err(refused) if refused.kind == ErrorKind::Conflict => return Err(self.replaced()),
            Err(failed) => return Err(failed),
        }
        Ok(())
    }

    fn replaced(&self) -> Error {
        let context = format!("s3://{}/{} was replaced while it was read", self.bucket.name, self.key);
        Error::new(ErrorKind::Conflict, context)
    }
}

fn header(range: Range<u64>) -> String {
    // Sizes are signed numbers in places: beyond any object there is only its end.
    if range.end > i64::MAX as u64 {
        format!("bytes={}-", range.start)
    } else {
        format!("bytes={}-{}", range.start, range.end - 1)
    }
}
