//! Small outputs that ride inside a manifest, and which items of a manifest are committed by it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ids::ItemIndex;
use crate::wire::{Manifest, Pack};

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
}

impl Manifest {
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
    use crate::wire::{ItemFailure, Outputs};

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
            started_ms: 0,
            busy_us: 0,
            bytes_in: 0,
            outputs: Outputs::default(),
            failed: failed.iter().map(failure).collect(),
            unrun: unrun.to_vec(),
            log: None,
            reused_from: None,
        }
    }

    #[test]
    fn bytes_come_out_of_a_pack_as_they_went_in() {
        for bytes in [&b""[..], b"text\n", b"\xff\x00\xfe"] {
            let pack = Pack::inline(bytes.to_vec());
            assert_eq!(pack.inline_bytes().unwrap().unwrap().as_ref(), bytes);
        }
        assert_eq!(Pack::Object { key: "k".into(), len: 1 }.inline_bytes(), Ok(None));
        assert!(Pack::Base64("*".into()).inline_bytes().is_err());
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
