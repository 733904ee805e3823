//! The proof that a plan takes every record of every file exactly once.

use std::collections::VecDeque;

use crate::split::Slice;

/// Where the records of a file lie, in uncompressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The file's place in the input's list of files.
    pub file: u32,
    /// The first byte of the first record.
    pub start: u64,
    /// The end of the file.
    pub end: u64,
}

/// What a plan adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proved {
    /// Slices.
    pub items: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Records, where all slices know theirs.
    pub records: Option<u64>,
}

/// Follows a plan while it is made, in memory that does not grow with it: every slice must begin where the one before
/// it ended, and together they must fill the files' areas.
#[derive(Clone, Debug, Default)]
pub struct Prover {
    /// Areas that are not filled yet; the first one from its `start` on.
    ahead: VecDeque<Area>,
    /// Bytes in the areas that have ended.
    announced: u64,
    begun_at: u64,
    last_part: Option<(u32, u32)>,
    proved: Option<Proved>,
}

impl Prover {
    /// The next file, in order.
    pub fn area(&mut self, area: Area) -> Result<(), String> {
        self.begin(area.file, area.start);
        self.end(area.end)
    }

    /// The records of the next file, in order, start here; where they end is told later, by [`end`](Self::end).
    pub fn begin(&mut self, file: u32, start: u64) {
        self.ahead.push_back(Area { file, start, end: u64::MAX });
        self.begun_at = start;
    }

    /// The records of the file begun last end here.
    pub fn end(&mut self, end: u64) -> Result<(), String> {
        let area = self.ahead.back_mut().ok_or("a file ends that did not begin")?;
        if area.start > end {
            return Err(format!("a slice of file {} reaches to byte {}, the file to {end}", area.file, area.start));
        }
        area.end = end;
        self.announced += end - self.begun_at;
        if area.start == end {
            self.ahead.pop_back();
        }
        Ok(())
    }

    /// The next slice, in order; its files have begun.
    pub fn slice(&mut self, slice: &Slice) -> Result<(), String> {
        let first = slice.segments.first().ok_or("a slice without bytes")?;
        let name = (first.file, slice.part);
        if self.last_part.is_some_and(|last| last >= name) {
            return Err(format!("part {} of file {} comes twice or out of order", slice.part, first.file));
        }
        self.last_part = Some(name);
        for segment in &slice.segments {
            let area = self.ahead.front_mut().ok_or_else(|| format!("{segment:?} lies behind the last file"))?;
            if segment.len == 0 || (segment.file, segment.start) != (area.file, area.start) {
                return Err(format!("{segment:?} does not follow: byte {} of file {} is due", area.start, area.file));
            }
            area.start += segment.len;
            if area.start > area.end {
                return Err(format!("{segment:?} reaches beyond byte {}", area.end));
            }
            if area.start == area.end {
                self.ahead.pop_front();
            }
        }
        let sum = self.proved.get_or_insert(Proved { records: Some(0), ..Proved::default() });
        sum.items += 1;
        sum.bytes += slice.bytes();
        sum.records = sum.records.zip(slice.records).map(|(sum, more)| sum + more);
        Ok(())
    }

    /// What the plan adds up to so far.
    pub fn so_far(&self) -> Proved {
        self.proved.unwrap_or(Proved { records: Some(0), ..Proved::default() })
    }

    /// There are no more files and slices.
    pub fn finish(self) -> Result<Proved, String> {
        if let Some(area) = self.ahead.front() {
            return Err(format!("bytes {} to {} of file {} are in no slice", area.start, area.end, area.file));
        }
        let proved = self.so_far();
        if proved.bytes != self.announced {
            return Err(format!("the slices hold {} bytes, the files {}", proved.bytes, self.announced));
        }
        Ok(proved)
    }
}

/// Proves a whole plan: that `slices`, in order, take every byte of `areas`, in order, exactly once.
pub fn prove<'a>(
    slices: impl IntoIterator<Item = &'a Slice>,
    areas: impl IntoIterator<Item = Area>,
) -> Result<Proved, String> {
    let mut prover = Prover::default();
    areas.into_iter().try_for_each(|area| prover.area(area))?;
    slices.into_iter().try_for_each(|slice| prover.slice(slice))?;
    prover.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Segment;

    fn slice(part: u32, pieces: &[(u32, u64, u64)]) -> Slice {
        let segments = pieces.iter().map(|&(file, start, len)| Segment { file, start, len }).collect();
        Slice { segments, header: None, part, records: Some(2), whole_records: true }
    }

    const AREAS: [Area; 3] =
        [Area { file: 0, start: 3, end: 10 }, Area { file: 1, start: 0, end: 0 }, Area { file: 2, start: 0, end: 5 }];

    #[test]
    fn a_plan_without_gap_and_overlap_adds_up() {
        let plan = [slice(0, &[(0, 3, 4)]), slice(1, &[(0, 7, 3), (2, 0, 1)]), slice(2, &[(2, 1, 4)])];
        assert_eq!(prove(&plan, AREAS), Ok(Proved { items: 3, bytes: 12, records: Some(6) }));
        assert_eq!(prove(&[], []), Ok(Proved { items: 0, bytes: 0, records: Some(0) }));
    }

    #[test]
    fn a_faulty_plan_is_refused() {
        let faulty: [&[Slice]; 7] = [
            &[],
            &[slice(0, &[(0, 3, 7)])],
            &[slice(0, &[(0, 4, 6)]), slice(0, &[(2, 0, 5)])],
            &[slice(0, &[(0, 3, 4)]), slice(1, &[(0, 6, 4)]), slice(0, &[(2, 0, 5)])],
            &[slice(0, &[(0, 3, 8)]), slice(0, &[(2, 0, 5)])],
            &[slice(0, &[(0, 3, 4)]), slice(0, &[(0, 7, 3)]), slice(0, &[(2, 0, 5)])],
            &[slice(0, &[(0, 3, 7), (2, 0, 5)]), slice(1, &[(2, 5, 1)])],
        ];
        for plan in faulty {
            assert!(prove(plan, AREAS).is_err(), "{plan:?}");
        }
    }
}
