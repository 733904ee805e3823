//! Checks bytes against the lengths and CRC-32s that their manifest gives.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::committed::{Home, Run};
use super::damaged;
use crate::Result;
use crate::objects::ByteStream;

/// Checks one piece in memory.
pub(super) fn piece(home: &Home, bytes: &[u8], crc32: u32) -> Result<()> {
    match crc32fast::hash(bytes) == crc32 {
        true => Ok(()),
        false => Err(damaged(home, "its checksum differs")),
    }
}

/// Passes on the bytes of `inner`, which must be those of `run`.
pub(super) fn stream(inner: ByteStream, run: Run) -> ByteStream {
    let check = Check { home: run.home, expected: run.pieces.into(), seen: 0, hasher: crc32fast::Hasher::new() };
    let checked = stream::try_unfold((inner, check), |(mut inner, mut check)| async move {
        match inner.next().await.transpose()? {
            Some(bytes) => {
                check.feed(&bytes)?;
                Ok(Some((bytes, (inner, check))))
            }
            None => check.finish().map(|()| None::<(Bytes, _)>),
        }
    });
    checked.boxed()
}

struct Check {
    home: Home,
    expected: VecDeque<(u64, u32)>,
    seen: u64,
    hasher: crc32fast::Hasher,
}

impl Check {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.pass_complete()?;
            let Some(&(len, _)) = self.expected.front() else {
                return Err(damaged(&self.home, "it is too long"));
            };
            let wanted = usize::try_from(len - self.seen).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(wanted);
            self.hasher.update(now);
            self.seen += wanted as u64;
            bytes = later;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.pass_complete()?;
        match self.expected.is_empty() {
            true => Ok(()),
            false => Err(damaged(&self.home, "it is too short")),
        }
    }

    /// Goes past the pieces whose last byte has been seen.
    fn pass_complete(&mut self) -> Result<()> {
        while let Some(&(len, crc32)) = self.expected.front()
            && len == self.seen
        {
            if self.hasher.clone().finalize() != crc32 {
                return Err(damaged(&self.home, "its checksum differs"));
            }
            self.expected.pop_front();
            self.seen = 0;
            self.hasher.reset();
        }
        Ok(())
    }
}
