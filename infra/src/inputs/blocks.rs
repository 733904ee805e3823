//! The digests of files' blocks: written when a file is pinned, read when slices of files are told apart.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use grid_core::blocks::{DIGEST_BYTES, digest_of, touched};
use grid_core::identity::{ItemIdentity, SliceIdentity};
use grid_core::items::Key;
use grid_core::layout;
use grid_core::limits::MAX_CACHED_DIGEST_BYTES;
use grid_core::split::{Segment, Slice};
use grid_core::submission::PinnedFile;

use crate::lru::Lru;
use crate::objects::ObjectStore;
use crate::{ErrorKind, Result};

/// Digests that are read at once: those of 64 MiB.
const PAGE_DIGESTS: u64 = 1_024;

/// What a page weighs beside its digests.
const PAGE_WEIGHT: u64 = 256;

/// A page of a file's digests: none when they were not kept.
type Page = Option<Bytes>;

/// Keeps the digests of a pinned file's blocks, unless they are kept already.
pub(super) async fn keep(objects: &dyn ObjectStore, file: &PinnedFile, digests: Vec<u8>) -> Result<()> {
    match digest_of(file) {
        Some(digest) => keep_blocks(objects, digest, digests).await,
        None => Ok(()),
    }
}

/// Keeps the digests of a file's blocks, as a [`BlockHasher`](grid_core::blocks::BlockHasher) told them, under the hex digits
/// of the file's own; unless they are kept already, or there are none.
pub async fn keep_blocks(objects: &dyn ObjectStore, digest: &str, digests: Vec<u8>) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    match objects.create(&layout::blocks(digest), digests.into()).await {
        Err(error) if error.kind != ErrorKind::Conflict => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Tells what slices of pinned files are, in bounded memory.
///
/// Where digests of the file's blocks are kept, a slice is told by those that it touches; where not (an earlier version has
/// pinned it), by the digest of the file. The two never give the same identity.
#[derive(Debug)]
pub struct SliceReader {
    objects: Arc<dyn ObjectStore>,
    /// By the digest of the file, and the page's number.
    pages: Mutex<Lru<(String, u64), Page>>,
}

impl SliceReader {
    /// A reader of what was kept among the grid's objects.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, pages: Mutex::new(Lru::new(MAX_CACHED_DIGEST_BYTES)) }
    }

    /// The identity of the item that is a slice of an input of these files.
    pub async fn identity(&self, key: &Key, slice: &Slice, files: &[PinnedFile]) -> Result<ItemIdentity> {
        let mut identity = SliceIdentity::new(key);
        for piece in slice.header.iter().chain(&slice.segments) {
            let file = super::slices::file_of(files, *piece)?;
            match self.blocks(file, *piece).await? {
                Some(digests) => identity.blocks(digests, *piece),
                None => identity.file(&file.digest, *piece),
            }
        }
        Ok(identity.finish())
    }

    /// The digests of the blocks that a piece touches. `None` where the file's own is all that is known, or all that is
    /// needed.
    async fn blocks(&self, file: &PinnedFile, piece: Segment) -> Result<Option<Vec<Bytes>>> {
        let Some(digest) = digest_of(file).filter(|_| piece.len < file.size) else { return Ok(None) };
        let wanted = touched(piece.start, piece.len);
        let in_file = touched(0, file.size).end;
        let mut found = Vec::new();
        for number in wanted.start / PAGE_DIGESTS..wanted.end.div_ceil(PAGE_DIGESTS) {
            let first = number * PAGE_DIGESTS;
            let Some(page) = self.page(digest, number, (first + PAGE_DIGESTS).min(in_file)).await? else {
                return Ok(None);
            };
            let place = |digest: u64| (digest.saturating_sub(first).min(PAGE_DIGESTS) * DIGEST_BYTES) as usize;
            found.push(page.slice(place(wanted.start)..place(wanted.end)));
        }
        Ok(Some(found))
    }

    /// The page of that number, which ends before the digest `end`.
    async fn page(&self, digest: &str, number: u64, end: u64) -> Result<Page> {
        let name = (digest.to_owned(), number);
        let known = self.pages.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&name);
        if let Some(page) = known {
            return Ok(page);
        }
        let page = self.read(digest, number * PAGE_DIGESTS * DIGEST_BYTES..end * DIGEST_BYTES).await?;
        let weight = PAGE_WEIGHT + page.as_ref().map_or(0, |page| page.len() as u64);
        self.pages.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name, page.clone(), weight);
        Ok(page)
    }

    async fn read(&self, digest: &str, range: std::ops::Range<u64>) -> Result<Page> {
        let (key, expected) = (layout::blocks(digest), range.end - range.start);
        match self.objects.get(&key, Some(range)).await {
            Ok(page) if page.len() as u64 == expected => Ok(Some(page)),
            Ok(_) => {
                tracing::warn!(%key, "the object is too short and not used: fewer results are reused; delete it");
                Ok(None)
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
