//! Reads an object to its end through short outages: what was read is not read again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::objects::{ByteStream, ObjectStore};
use crate::{Error, Result};

/// Tries without a single byte, one after the other; with the waits in between about a minute.
const MAX_TRIES: u32 = 25;

/// Longest wait between two tries; the first is a hundredth of it.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The bytes in `range`, in bounded memory. Nothing is opened before the stream is polled.
pub(super) fn stream(objects: Arc<dyn ObjectStore>, key: Arc<str>, range: Range<u64>) -> ByteStream {
    let reading = Reading { objects, key, range, inner: None, tries: 0 };
    let pieces = stream::try_unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        Ok::<_, Error>(piece.map(|piece| (piece, reading)))
    });
    pieces.boxed()
}

struct Reading {
    objects: Arc<dyn ObjectStore>,
    key: Arc<str>,
    /// What has not been read.
    range: Range<u64>,
    inner: Option<ByteStream>,
    tries: u32,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.read().await {
                Ok(piece) => {
                    self.tries = 0;
                    self.range.start += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    return Ok(piece);
                }
                Err(error) if error.is_transient() && self.tries < MAX_TRIES => {
                    self.inner = None;
                    self.tries += 1;
                    tokio::time::sleep(self.wait()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let inner = match &mut self.inner {
            Some(inner) => inner,
            closed => closed.insert(self.objects.stream(&self.key, Some(self.range.clone())).await?),
        };
        inner.try_next().await
    }

    /// Exponential, with full jitter; chance comes from the place, so that readers differ and a run can be repeated.
    fn wait(&self) -> Duration {
        let most = (MAX_WAIT / 100).saturating_mul(1 << self.tries.min(16)).min(MAX_WAIT);
        let place = format!("{}{}{}", self.key, self.range.start, self.tries);
        most.mul_f64(f64::from(crc32fast::hash(place.as_bytes())) / f64::from(u32::MAX))
    }
}
