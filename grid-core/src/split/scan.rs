//! Where records end. Records are bytes: invalid UTF-8 and NUL are nothing special.

use memchr::{memchr, memchr2};

use crate::pipeline::Format;
use crate::units::ByteSize;

/// A record that is longer than the input allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record that lies at byte {at} is longer than {} bytes ({}){}; if it is meant to be, raise `max_record:` of the input",
    limit, ByteSize(*limit), if *in_quotes { ", perhaps because a quote was never closed" } else { "" }
)]
pub struct LongRecord {
    /// Where it begins, or a byte inside it where its beginning was not read.
    pub at: u64,
    /// The limit, in bytes.
    pub limit: u64,
    /// Whether the reading stopped inside quotes.
    pub in_quotes: bool,
}

/// Finds the ends of the records of one file, fed with its bytes in pieces of any size.
///
/// Text and NDJSON: a record is a line with its newline. CSV: RFC 4180 with commas; a newline inside quotes is data, a
/// quote elsewhere than at the beginning of a field is data, and empty lines are part of no record. The last record
/// need not have a newline.
#[derive(Clone, Debug)]
pub struct Scanner {
    rule: Rule,
    max_record: u64,
    position: u64,
    record_start: u64,
    /// The byte before `position`.
    last: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Lines,
    Csv(Quotes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Outside,
    Inside,
    /// A quote was seen inside quotes: the next byte tells whether it was the closing one.
    Closing,
}

impl Scanner {
    /// A scanner whose first byte is the file's byte `start`, the beginning of a record.
    ///
    /// The bytes of a binary input have no records; it is read here as if it were text.
    pub fn new(format: Format, start: u64, max_record: u64) -> Self {
        let rule = match format {
            Format::Text | Format::Ndjson | Format::Binary => Rule::Lines,
            Format::Csv => Rule::Csv(Quotes::Outside),
        };
        Self { rule, max_record, position: start, record_start: start, last: b'\n' }
    }

    /// Reads `chunk` up to the end of the next record and returns how many bytes those are; call again with the rest.
    /// `None` when the chunk was read to its end and no record ended in it.
    pub fn next_end(&mut self, chunk: &[u8]) -> Result<Option<usize>, LongRecord> {
        let end = match self.rule {
            Rule::Lines => memchr(b'\n', chunk).map(|newline| newline + 1),
            Rule::Csv(_) => self.next_csv_end(chunk),
        };
        let used = end.unwrap_or(chunk.len());
        self.position += used as u64;
        self.last = used.checked_sub(1).map_or(self.last, |last| chunk[last]);
        self.check_length()?;
        if end.is_some() {
            self.record_start = self.position;
        }
        Ok(end)
    }

    /// The file ends here: whether the bytes since the last end are a record.
    pub fn finish(&self) -> bool {
        let rest = self.position - self.record_start;
        match self.rule {
            Rule::Lines => rest > 0,
            Rule::Csv(_) => rest > 1 || (rest == 1 && self.last != b'\r'),
        }
    }

    /// How many bytes of the file lie before the next byte to be read.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn next_csv_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < chunk.len() {
            match self.rule {
                Rule::Csv(Quotes::Inside) => {
                    at += find_quote(&chunk[at..])? + 1;
                    self.rule = Rule::Csv(Quotes::Closing);
                }
                Rule::Csv(Quotes::Closing) if chunk[at] == b'"' => {
                    at += 1;
                    self.rule = Rule::Csv(Quotes::Inside);
                }
                // Not needed, but where every field is quoted it saves every other search.
                Rule::Csv(Quotes::Closing) if chunk[at..].starts_with(b",\"") => {
                    at += 2;
                    self.rule = Rule::Csv(Quotes::Inside);
                }
                Rule::Csv(Quotes::Closing) => self.rule = Rule::Csv(Quotes::Outside),
                // Commas need not be looked for: whether a quote opens a field shows in the byte before it.
                Rule::Csv(Quotes::Outside) | Rule::Lines => {
                    let found = at + memchr2(b'"', b'\n', &chunk[at..])?;
                    at = found + 1;
                    let before = if found == 0 { self.last } else { chunk[found - 1] };
                    let length = self.position + found as u64 - self.record_start;
                    if chunk[found] == b'"' {
                        if length == 0 || before == b',' {
                            self.rule = Rule::Csv(Quotes::Inside);
                        }
                    } else if length == 0 || (length == 1 && before == b'\r') {
                        self.record_start = self.position + at as u64;
                    } else {
                        return Some(at);
                    }
                }
            }
        }
        None
    }

    fn check_length(&self) -> Result<(), LongRecord> {
        if self.position - self.record_start <= self.max_record {
            return Ok(());
        }
        let in_quotes = self.rule == Rule::Csv(Quotes::Inside);
        Err(LongRecord { at: self.record_start, limit: self.max_record, in_quotes })
    }
}

/// The first quote. Most quoted fields end within a few bytes, which are looked at all at once here: calling
/// [`memchr`] for each would take longer than the search itself.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    const ONES: u128 = u128::MAX / 255;
    const QUOTES: u128 = ONES * b'"' as u128;
    const HIGH_BITS: u128 = ONES * 0x80;
    let Some((near, far)) = bytes.split_first_chunk() else {
        return memchr(b'"', bytes);
    };
    let zero_at_quotes = u128::from_le_bytes(*near) ^ QUOTES;
    // The lowest high bit that is set marks the lowest byte that is zero (Mycroft's test).
    let marks = zero_at_quotes.wrapping_sub(ONES) & !zero_at_quotes & HIGH_BITS;
    if marks != 0 {
        return Some(marks.trailing_zeros() as usize / 8);
    }
    memchr(b'"', far).map(|at| near.len() + at)
}

/// Finds the end of the line that a file's byte lies in, without knowing where the line begins.
#[derive(Clone, Debug)]
pub struct Probe {
    from: u64,
    read: u64,
    max_record: u64,
}

impl Probe {
    /// A probe that is fed with the file's bytes from `from` on.
    pub fn new(from: u64, max_record: u64) -> Self {
        Self { from, read: 0, max_record }
    }

    /// Where the line ends (after its newline), when it ends in this chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Option<u64>, LongRecord> {
        let end = memchr(b'\n', chunk).map(|newline| newline + 1);
        self.read += end.unwrap_or(chunk.len()) as u64;
        if self.read > self.max_record {
            return Err(LongRecord { at: self.from, limit: self.max_record, in_quotes: false });
        }
        Ok(end.map(|_| self.from + self.read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(format: Format, bytes: &[u8], chunk: usize) -> Vec<u64> {
        let mut scanner = Scanner::new(format, 0, 1 << 20);
        let mut ends = Vec::new();
        for piece in bytes.chunks(chunk) {
            let mut rest = piece;
            while let Some(used) = scanner.next_end(rest).expect("records are short") {
                rest = &rest[used..];
                ends.push(scanner.position());
            }
        }
        ends.extend(scanner.finish().then_some(scanner.position()));
        ends
    }

    #[test]
    fn a_newline_in_quotes_ends_nothing_however_the_file_is_read() {
        let csv = b"a,\"x\ny\"\r\n\"p\"\"\n\",q\nlast,\"\n";
        for chunk in 1..=csv.len() {
            assert_eq!(ends(Format::Csv, csv, chunk), [9, 18, 25], "in chunks of {chunk}");
        }
    }

    #[test]
    fn the_first_quote_is_found_wherever_it_is() {
        for len in 0..40 {
            let mut bytes = vec![b'#'; len];
            bytes[..len / 2].fill(0xa2);
            assert_eq!(find_quote(&bytes), None);
            for at in (0..len).rev() {
                bytes[at] = b'"';
                assert_eq!(find_quote(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn a_quote_inside_a_field_is_data() {
        assert_eq!(ends(Format::Csv, b"5\" pipe\nx\"y,z\n", 3), [8, 14]);
        assert_eq!(ends(Format::Csv, b"\"a\"b\"\nc\n", 2), [6, 8]);
    }

    #[test]
    fn empty_lines_of_a_csv_are_no_records() {
        assert_eq!(ends(Format::Csv, b"\r\n\na\n\r\n\nb\n\n\r", 1), [5, 10]);
        assert_eq!(ends(Format::Text, b"\n\na\n\n", 2), [1, 2, 4, 5]);
    }

    #[test]
    fn bytes_that_are_no_text_are_records_like_others() {
        assert_eq!(ends(Format::Text, b"\0\xff\n\xfe", 1), [3, 4]);
        assert_eq!(ends(Format::Csv, b"\0,\xff\n\xfe", 1), [4, 5]);
    }

    #[test]
    fn a_long_record_is_refused_with_its_place_before_it_is_read_to_its_end() {
        let mut scanner = Scanner::new(Format::Csv, 100, 8);
        assert_eq!(scanner.next_end(b"abc\n\"56"), Ok(Some(4)));
        assert_eq!(scanner.next_end(b"\"56"), Ok(None));
        let error = scanner.next_end(b"7890123").expect_err("ten bytes");
        assert_eq!(error, LongRecord { at: 104, limit: 8, in_quotes: true });
        assert!(error.to_string().contains("byte 104") && error.to_string().contains("max_record:"));
    }

    #[test]
    fn a_record_of_just_the_limit_is_accepted() {
        let mut scanner = Scanner::new(Format::Text, 0, 4);
        assert_eq!(scanner.next_end(b"abc\n"), Ok(Some(4)));
        assert!(scanner.next_end(b"abcd\n").is_err());
    }

    #[test]
    fn a_probe_gives_up_after_the_longest_record() {
        let mut probe = Probe::new(10, 6);
        assert_eq!(probe.push(b"abc"), Ok(None));
        assert_eq!(probe.push(b"de\nf"), Ok(Some(16)));
        let mut probe = Probe::new(10, 5);
        assert_eq!(probe.push(b"abcdef"), Err(LongRecord { at: 10, limit: 5, in_quotes: false }));
    }
}
