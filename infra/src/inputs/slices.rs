//! Reading the input of items: slices of pinned files.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use grid_core::split::{Segment, Slice};
use grid_core::submission::PinnedFile;

use crate::grid::Sources;
use crate::inputs::{InputError, open};
use crate::objects::ByteStream;
use crate::{Error, Result};

/// The input of one item: its header, then its pieces, in bounded memory. Fails like [`open`], in the stream.
///
/// `files` are those of the slice's input, in order.
pub fn read_slice(sources: &Sources, files: &[PinnedFile], slice: &Slice) -> ByteStream {
    let pieces = slice.header.iter().chain(&slice.segments).copied();
    let pieces = pieces.map(|segment| Ok((file_of(files, segment)?.clone(), segment))).collect::<Result<_>>();
    let pieces = match pieces {
        Ok(pieces) => pieces,
        Err(error) => return futures::stream::iter([Err(error)]).boxed(),
    };
    let reading =
        Reading { sources: sources.clone(), pieces, now: None, last: b'\n', whole_records: slice.whole_records };
    try_unfold(reading, |mut reading| async {
        let piece = reading.next().await?;
        Ok::<_, Error>(piece.map(|piece| (piece, reading)))
    })
    .boxed()
}

/// The inputs of consecutive items, in memory: what lies side by side is read, and decompressed, once. The caller
/// bounds how much that is.
///
/// Fails as a whole: read the slices one by one with [`read_slice`] then, to learn which of them can be had.
pub async fn read_consecutive(sources: &Sources, files: &[PinnedFile], slices: &[Slice]) -> Result<Vec<Bytes>> {
    let mut headers: BTreeMap<(u32, u64), Bytes> = BTreeMap::new();
    for header in slices.iter().filter_map(|slice| slice.header) {
        if let Entry::Vacant(entry) = headers.entry((header.file, header.start)) {
            entry.insert(read_piece(sources, files, header).await?);
        }
    }
    let mut pieces = VecDeque::new();
    for run in runs(slices) {
        let mut content = read_piece(sources, files, run.whole).await?;
        pieces.extend(run.lens.iter().map(|len| content.split_to(*len as usize)));
    }
    let inputs = slices.iter().map(|slice| {
        let header = slice.header.and_then(|header| headers.get(&(header.file, header.start)).cloned());
        let count = slice.segments.len().min(pieces.len());
        join(header, pieces.drain(..count), slice.whole_records)
    });
    Ok(inputs.collect())
}

/// A slice that is being read.
struct Reading {
    sources: Sources,
    pieces: VecDeque<(PinnedFile, Segment)>,
    now: Option<ByteStream>,
    last: u8,
    whole_records: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(stream) = &mut self.now {
                if let Some(piece) = stream.try_next().await? {
                    self.last = piece.last().copied().unwrap_or(self.last);
                    return Ok(Some(piece));
                }
                self.now = None;
            }
            let Some((file, segment)) = self.pieces.pop_front() else {
                return Ok(None);
            };
            self.now = Some(open(&self.sources, &file, segment.start, segment.len).await?);
            if self.whole_records && self.last != b'\n' {
                return Ok(Some(Bytes::from_static(b"\n")));
            }
        }
    }
}

/// Segments that lie side by side in one file.
struct Run {
    whole: Segment,
    lens: Vec<u64>,
}

fn runs(slices: &[Slice]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for segment in slices.iter().flat_map(|slice| &slice.segments) {
        match runs.last_mut() {
            Some(run) if run.whole.file == segment.file && run.whole.start + run.whole.len == segment.start => {
                run.whole.len += segment.len;
                run.lens.push(segment.len);
            }
            _ => runs.push(Run { whole: *segment, lens: vec![segment.len] }),
        }
    }
    runs
}

/// All bytes of a segment: exactly as many as it says.
async fn read_piece(sources: &Sources, files: &[PinnedFile], segment: Segment) -> Result<Bytes> {
    let file = file_of(files, segment)?;
    let mut stream = open(sources, file, segment.start, segment.len).await?;
    let Some(first) = stream.try_next().await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = stream.try_next().await? else {
        return Ok(first);
    };
    let mut all = BytesMut::with_capacity(segment.len as usize);
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(piece) = stream.try_next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// One input out of its pieces; without copying when there is but one.
fn join(header: Option<Bytes>, pieces: impl Iterator<Item = Bytes>, whole_records: bool) -> Bytes {
    let mut pieces = header.into_iter().chain(pieces);
    let Some(first) = pieces.next() else {
        return Bytes::new();
    };
    let Some(second) = pieces.next() else {
        return first;
    };
    let mut all = BytesMut::from(&first[..]);
    for piece in [second].into_iter().chain(pieces) {
        if whole_records && all.last().is_some_and(|last| *last != b'\n') {
            all.extend_from_slice(b"\n");
        }
        all.extend_from_slice(&piece);
    }
    all.freeze()
}

pub(super) fn file_of(files: &[PinnedFile], segment: Segment) -> Result<&PinnedFile> {
    files.get(segment.file as usize).ok_or_else(|| {
        let message = format!("the plan names file {} of an input of {} files", segment.file, files.len());
        InputError::Invalid(message).into()
    })
}
