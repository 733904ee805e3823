//! Small outputs that ride inside a manifest, and which items of a manifest are committed by it.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ids::ItemIndex;
use crate::wire::{Manifest, Outputs, Pack};

impl Pack {
    /// Packs bytes into the manifest itself; for at most
    /// [`MAX_INLINE_OUTPUT_BYTES`](crate::limits::MAX_INLINE_OUTPUT_BYTES).
    pub fn inline(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(STANDARD.encode(error.as_bytes())),
        }
    }

    /// The bytes that ride in the manifest; `None` when they lie in an object of their own.
    pub fn inline_bytes(&self) -> Result<Option<Cow<'_, [u8]>>, base64::DecodeError> {
        match self {
            Self::Empty => Ok(Some(Cow::Borrowed(&[]))),
            Self::Text(text) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
            Self::Base64(text) => STANDARD.decode(text).map(|bytes| Some(Cow::Owned(bytes))),
            Self::Object { .. } => Ok(None),
        }
    }

    /// Some of the bytes; `None` where there are no such bytes.
    fn part(&self, start: u64, len: u64) -> Option<Self> {
        if len == 0 {
            return Some(Self::Empty);
        }
        if let Self::Object { key, start: begin, len: all } = self {
            let is_inside = start.checked_add(len)? <= *all;
            return is_inside.then(|| Self::Object { key: key.clone(), start: begin + start, len });
        }
        let bytes = self.inline_bytes().ok()??;
        let range = usize::try_from(start).ok()?..usize::try_from(start.checked_add(len)?).ok()?;
        bytes.get(range).map(|bytes| Self::inline(bytes.to_vec()))
    }
}

impl Manifest {
    /// What items `first .. first + count` wrote, as the outputs of a manifest of their own. `None` unless all of them
    /// are committed here, or where outputs cannot be told apart (`bundled`) unless they are all that are.
    pub fn outputs_of(&self, first: ItemIndex, count: u32) -> Option<Outputs> {
        let range = first..first.checked_add(count)?;
        let is_held = |(start, len): &(ItemIndex, u32)| *start <= range.start && start + len >= range.end;
        let committed = self.committed();
        if self.outputs.bundled {
            return (committed == [(first, count)]).then(|| self.outputs.clone());
        }
        if !committed.iter().any(is_held) {
            return None;
        }
        let (before, inside) = (self.len_of(self.first..range.start), self.len_of(range.clone()));
        let stdout = (self.first..).zip(&self.outputs.stdout).filter(|(item, _)| range.contains(item));
        let files = self.outputs.files.iter().filter(|file| range.contains(&file.item));
        Some(Outputs {
            pack: self.outputs.pack.part(before, inside)?,
            stdout: stdout.map(|(_, stdout)| *stdout).collect(),
            files: files.cloned().collect(),
            bundled: false,
        })
    }

    /// Bytes that some items wrote.
    fn len_of(&self, items: Range<ItemIndex>) -> u64 {
        let stdout = (self.first..).zip(&self.outputs.stdout).filter(|(item, _)| items.contains(item));
        let files = self.outputs.files.iter().filter(|file| items.contains(&file.item));
        stdout.map(|(_, (len, _))| len).sum::<u64>() + files.map(|file| file.len).sum::<u64>()
    }

    /// The runs of items that are hereby committed, `(first, count)` ascending: those that neither failed nor were
    /// given back.
    pub fn committed(&self) -> Vec<(ItemIndex, u32)> {
        let failed = self.failed.iter().map(|failure| (failure.first, failure.count));
        let mut gaps: Vec<(ItemIndex, u32)> = failed.chain(self.unrun.iter().copied()).collect();
        gaps.sort_unstable();
        let end = self.first.saturating_add(self.count);
        let mut runs = Vec::new();
        let mut next = self.first;
        for (first, count) in gaps.into_iter().chain([(end, 0)]) {
            if next < first.min(end) {
                runs.push((next, first.min(end) - next));
            }
            next = next.max(first.saturating_add(count));
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, StageName, WorkerId};
    use crate::reason::{Failure, Reason};
    use crate::wire::{ItemFailure, OutputFile};

    fn manifest(failed: &[(u32, u32)], unrun: &[(u32, u32)]) -> Manifest {
        let failure = |&(first, count)| ItemFailure {
            first,
            count,
            bytes_in: 0,
            failure: Failure::new(Reason::Exit, "exit status 1"),
        };
        Manifest {
            v: 1,
            job: JobId::new("j"),
            stage: StageName::new("s"),
            first: 10,
            count: 5,
            attempt: 1,
            worker: WorkerId::new("w"),
            copy: 0,
            started_ms: 0,
            busy_us: 0,
            bytes_in: 0,
            outputs: Outputs::default(),
            failed: failed.iter().map(failure).collect(),
            unrun: unrun.to_vec(),
            log: None,
            params: Default::default(),
            reused_from: None,
        }
    }

    #[test]
    fn bytes_come_out_of_a_pack_as_they_went_in() {
        for bytes in [&b""[..], b"text\n", b"\xff\x00\xfe"] {
            let pack = Pack::inline(bytes.to_vec());
            assert_eq!(pack.inline_bytes().unwrap().unwrap().as_ref(), bytes);
        }
        assert_eq!(Pack::Object { key: "k".into(), start: 0, len: 1 }.inline_bytes(), Ok(None));
        assert!(Pack::Base64("*".into()).inline_bytes().is_err());
    }

    #[test]
    fn the_outputs_of_some_items_are_a_part_of_the_pack() {
        let file = |item, name: &str, len| OutputFile { item, name: name.into(), len, crc32: 7 };
        let mut whole = manifest(&[], &[]);
        whole.outputs.stdout = vec![(1, 1), (2, 2), (0, 0), (1, 3), (0, 0)];
        whole.outputs.files = vec![file(11, "f", 2), file(13, "g", 1)];
        whole.outputs.pack = Pack::Text("abbFFcG".into());
        let part = whole.outputs_of(11, 2).unwrap();
        assert_eq!(
            (part.pack, part.stdout, part.files),
            (Pack::Text("bbFF".into()), vec![(2, 2), (0, 0)], vec![file(11, "f", 2)])
        );
        whole.outputs.pack = Pack::Object { key: "k".into(), start: 5, len: 7 };
        assert_eq!(whole.outputs_of(13, 2).unwrap().pack, Pack::Object { key: "k".into(), start: 10, len: 2 });
        assert_eq!(whole.outputs_of(14, 1).unwrap().pack, Pack::Empty);
        assert_eq!(whole.outputs_of(14, 2), None);
    }

    #[test]
    fn the_output_of_a_bundle_has_no_borders() {
        let mut whole = manifest(&[], &[(13, 2)]);
        whole.outputs =
            Outputs { pack: Pack::Text("text".into()), stdout: vec![(4, 1)], files: Vec::new(), bundled: true };
        assert_eq!((whole.outputs_of(10, 2), whole.outputs_of(11, 2), whole.outputs_of(10, 5)), (None, None, None));
        assert_eq!(whole.outputs_of(10, 3).as_ref(), Some(&whole.outputs));
    }

    #[test]
    fn one_output_alone_does_not_make_a_bundle() {
        let mut whole = manifest(&[], &[(11, 4)]);
        whole.outputs.pack = Pack::Text("text".into());
        whole.outputs.stdout = vec![(4, 1)];
        assert_eq!(whole.outputs_of(10, 1).as_ref(), Some(&whole.outputs));
        whole.unrun.clear();
        assert_eq!(whole.outputs_of(10, 2).as_ref(), Some(&whole.outputs));
        assert_eq!(whole.outputs_of(11, 2), Some(Outputs::default()), "the others wrote nothing");
    }

    #[test]
    fn what_neither_failed_nor_was_given_back_is_committed() {
        assert_eq!(manifest(&[], &[]).committed(), [(10, 5)]);
        assert_eq!(manifest(&[(11, 1)], &[(13, 2)]).committed(), [(10, 1), (12, 1)]);
        assert_eq!(manifest(&[(13, 2)], &[(10, 1)]).committed(), [(11, 2)]);
        assert_eq!(manifest(&[(10, 5)], &[]).committed(), []);
        assert_eq!(manifest(&[(0, u32::MAX)], &[]).committed(), [], "a manifest may be nonsense");
    }
}
