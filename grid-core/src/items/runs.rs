//! Slices written compactly: runs of slices that follow each other in one file.

use crate::items::plan::{RecordCounts, SliceRun};
use crate::split::{Segment, Slice};

/// Writes slices as runs, in their order.
pub fn encode_slices(slices: &[Slice]) -> Vec<SliceRun> {
    let mut runs: Vec<SliceRun> = Vec::new();
    let mut previous: Option<&Slice> = None;
    for slice in slices {
        match (previous.filter(|previous| follows(previous, slice)), runs.last_mut()) {
            (Some(_), Some(SliceRun::Contiguous { lens, records, .. })) => {
                if let (Some(records), Some(more)) = (records, slice.records) {
                    records.push(lens.len(), more);
                }
                lens.push(slice.bytes());
            }
            _ => runs.push(first_of_run(slice)),
        }
        previous = Some(slice);
    }
    runs
}

/// Reads runs back; the error says what cannot be.
pub fn decode_slices(runs: &[SliceRun]) -> Result<Vec<Slice>, String> {
    let mut slices = Vec::new();
    for run in runs {
        match run {
            SliceRun::Spanning(slice) => slices.push(slice.clone()),
            SliceRun::Contiguous { file, start, part, header, lens, records, whole_records } => {
                let mut start = *start;
                for (at, len) in lens.iter().enumerate() {
                    let next = start.checked_add(*len);
                    let number = u32::try_from(at).ok().and_then(|at| part.checked_add(at));
                    let (Some(next), Some(part)) = (next, number) else {
                        return Err(format!("the plan has a slice beyond any file: byte {start} and {len} more"));
                    };
                    slices.push(Slice {
                        segments: vec![Segment { file: *file, start, len: *len }],
                        header: *header,
                        part,
                        records: records.as_ref().and_then(|records| records.get(at, lens.len())),
                        whole_records: *whole_records,
                    });
                    start = next;
                }
            }
        }
    }
    Ok(slices)
}

fn follows(previous: &Slice, slice: &Slice) -> bool {
    let ([before], [segment]) = (&previous.segments[..], &slice.segments[..]) else {
        return false;
    };
    before.file == segment.file
        && before.start.checked_add(before.len) == Some(segment.start)
        && previous.part.checked_add(1) == Some(slice.part)
        && previous.header == slice.header
        && previous.whole_records == slice.whole_records
        && previous.records.is_some() == slice.records.is_some()
}

fn first_of_run(slice: &Slice) -> SliceRun {
    match slice.segments[..] {
        [Segment { file, start, len }] => SliceRun::Contiguous {
            file,
            start,
            part: slice.part,
            header: slice.header,
            lens: vec![len],
            records: slice.records.map(|records| RecordCounts::Same(records, records)),
            whole_records: slice.whole_records,
        },
        _ => SliceRun::Spanning(slice.clone()),
    }
}

impl RecordCounts {
    /// Adds the count of one more slice to those of `len` slices.
    fn push(&mut self, len: usize, count: u64) {
        match self {
            Self::Same(each, last) if each == last || len == 1 => *last = count,
            Self::Same(each, last) => {
                let mut counts = vec![*each; len - 1];
                counts.extend([*last, count]);
                *self = Self::Each(counts);
            }
            Self::Each(counts) => counts.push(count),
        }
    }

    /// The count of slice `at` out of `len`.
    fn get(&self, at: usize, len: usize) -> Option<u64> {
        match self {
            Self::Same(_, last) if at + 1 == len => Some(*last),
            Self::Same(each, _) => Some(*each),
            Self::Each(counts) => counts.get(at).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice(file: u32, start: u64, len: u64, part: u32, records: Option<u64>) -> Slice {
        Slice { segments: vec![Segment { file, start, len }], header: None, part, records, whole_records: true }
    }

    #[test]
    fn slices_that_follow_each_other_are_one_run() {
        let slices: Vec<Slice> =
            (0..4).map(|part| slice(1, u64::from(part) * 10, 10, part, Some(if part < 3 { 5 } else { 2 }))).collect();
        let run = SliceRun::Contiguous {
            file: 1,
            start: 0,
            part: 0,
            header: None,
            lens: vec![10; 4],
            records: Some(RecordCounts::Same(5, 2)),
            whole_records: true,
        };
        assert_eq!(encode_slices(&slices), [run]);
    }

    #[test]
    fn a_run_that_cannot_be_is_refused() {
        let runs = encode_slices(&[slice(0, u64::MAX - 3, 3, 0, None), slice(0, 5, u64::MAX, 1, None)]);
        assert!(decode_slices(&runs).is_err());
    }

    proptest! {
        #[test]
        fn runs_are_read_back_as_they_were_written(
            pieces in prop::collection::vec((0..2_u32, 1..3_u64, 1..4_u64, prop::option::weighted(0.9, 1..3_u64)), 0..30),
        ) {
            let (mut slices, mut place, mut last_file): (Vec<Slice>, u64, u32) = (Vec::new(), 0, 0);
            for (number, (file, len, segments, records)) in pieces.into_iter().enumerate() {
                if file != last_file {
                    (place, last_file) = (7, file);
                }
                let mut next = slice(file, place, len, number as u32, records);
                place += len;
                if segments == 3 {
                    next.segments.push(Segment { file: file + 1, start: 0, len });
                }
                slices.push(next);
            }
            prop_assert_eq!(decode_slices(&encode_slices(&slices)), Ok(slices));
        }
    }
}
