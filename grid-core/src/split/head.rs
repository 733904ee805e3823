//! How a file begins: byte order mark, header, and where its records start.

use crate::pipeline::Format;
use crate::split::scan::{LongRecord, Scanner};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Start and length of the header record.
    pub header: Option<(u64, u64)>,
    /// Where the records start. What lies before and is no header (a byte order mark, empty lines of a CSV) belongs
    /// to no item. The end of the file when it has no record.
    pub start: u64,
}

/// Finds the [`Head`] of a file that is fed from its first byte on in pieces of any size.
#[derive(Clone, Debug)]
pub struct HeadFinder {
    format: Format,
    max_record: u64,
    wants_header: bool,
    header: Option<(u64, u64)>,
    position: u64,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Mark,
    /// Empty lines; the flag says that a carriage return was the last byte.
    Blank(bool),
    Header {
        start: u64,
        scanner: Box<Scanner>,
    },
    Found,
}

impl HeadFinder {
    /// A finder; `header` says that the first record is a header. Binary files have neither mark nor header.
    pub fn new(format: Format, header: bool, max_record: u64) -> Self {
        let is_binary = format == Format::Binary;
        let step = if is_binary { Step::Found } else { Step::Mark };
        Self { format, max_record, wants_header: header && !is_binary, header: None, position: 0, step }
    }

    /// Whether the head is known without reading any byte.
    pub fn needs_nothing(&self) -> bool {
        matches!(self.step, Step::Found)
    }

    /// Reads a chunk; returns the head as soon as it is known.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Option<Head>, LongRecord> {
        let mut rest = chunk;
        while !rest.is_empty() {
            match &mut self.step {
                Step::Mark => {
                    let place = self.position as usize;
                    if BYTE_ORDER_MARK.get(place) == Some(&rest[0]) {
                        self.position += 1;
                        rest = &rest[1..];
                    } else {
                        return self.after_mark(place, rest);
                    }
                    if self.position as usize == BYTE_ORDER_MARK.len() {
                        self.step = Step::Blank(false);
                    }
                }
                Step::Blank(after_return) => match rest[0] {
                    b'\n' if self.format == Format::Csv => {
                        *after_return = false;
                        self.position += 1;
                        rest = &rest[1..];
                    }
                    b'\r' if self.format == Format::Csv && !*after_return => {
                        *after_return = true;
                        self.position += 1;
                        rest = &rest[1..];
                    }
                    _ => {
                        let held = u64::from(*after_return);
                        self.begin_records(self.position - held, &b"\r"[..held as usize])?;
                    }
                },
                Step::Header { start, scanner } => match scanner.next_end(rest)? {
                    None => return Ok(None),
                    Some(used) => {
                        rest = &rest[used..];
                        self.position = scanner.position();
                        self.header = Some((*start, self.position - *start));
                        self.step = Step::Blank(false);
                    }
                },
                Step::Found => return Ok(Some(self.found())),
            }
        }
        Ok(matches!(self.step, Step::Found).then(|| self.found()))
    }

    /// The file ended before the head was known: it has no records.
    pub fn finish(mut self, size: u64) -> Head {
        match self.step {
            // One or two bytes that only looked like the beginning of a mark are a record.
            Step::Mark if self.position > 0 && self.wants_header => self.header = Some((0, size)),
            Step::Mark if self.position > 0 => {
                return Head { header: None, start: 0 };
            }
            Step::Header { start, .. } => self.header = Some((start, size - start)),
            Step::Mark | Step::Blank(_) => {}
            Step::Found => return self.found(),
        }
        Head { header: self.header, start: size }
    }

    /// What looked like a mark was none: reads those bytes again as content.
    fn after_mark(&mut self, matched: usize, rest: &[u8]) -> Result<Option<Head>, LongRecord> {
        self.position = 0;
        self.step = Step::Blank(false);
        if matched > 0 {
            self.push(&BYTE_ORDER_MARK[..matched])?;
        }
        self.push(rest)
    }

    /// The first byte that is not blank has come; `held` was taken for blank and is content.
    fn begin_records(&mut self, start: u64, held: &[u8]) -> Result<(), LongRecord> {
        self.position = start;
        if !self.wants_header || self.header.is_some() {
            self.step = Step::Found;
            return Ok(());
        }
        let mut scanner = Scanner::new(self.format, start, self.max_record);
        scanner.next_end(held)?;
        self.step = Step::Header { start, scanner: Box::new(scanner) };
        Ok(())
    }

    fn found(&self) -> Head {
        Head { header: self.header, start: self.position }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(format: Format, header: bool, bytes: &[u8]) -> Head {
        let heads: Vec<Head> = (1..=bytes.len().max(1))
            .map(|chunk| {
                let mut finder = HeadFinder::new(format, header, 1 << 20);
                for piece in bytes.chunks(chunk) {
                    if let Some(head) = finder.push(piece).expect("records are short") {
                        return head;
                    }
                }
                finder.finish(bytes.len() as u64)
            })
            .collect();
        assert!(heads.iter().all(|head| *head == heads[0]), "depends on the chunks: {heads:?}");
        heads[0]
    }

    fn at(header: Option<(u64, u64)>, start: u64) -> Head {
        Head { header, start }
    }

    #[test]
    fn a_byte_order_mark_belongs_neither_to_header_nor_records() {
        assert_eq!(head(Format::Csv, true, b"\xef\xbb\xbfa,b\r\n1,2\n"), at(Some((3, 5)), 8));
        assert_eq!(head(Format::Text, false, b"\xef\xbb\xbfx\n"), at(None, 3));
        assert_eq!(head(Format::Text, false, b"\xef\xbb\xbf"), at(None, 3));
    }

    #[test]
    fn half_a_byte_order_mark_is_content() {
        assert_eq!(head(Format::Text, false, b"\xef\xbbx\n"), at(None, 0));
        assert_eq!(head(Format::Text, false, b"\xef\xbb"), at(None, 0));
        assert_eq!(head(Format::Text, true, b"\xef\xbb"), at(Some((0, 2)), 2));
        assert_eq!(head(Format::Csv, true, b"\xef\n1\n"), at(Some((0, 2)), 2));
        assert_eq!(head(Format::Binary, false, b"\xef\xbb\xbfx"), at(None, 0));
    }

    #[test]
    fn a_file_of_nothing_but_a_header_has_no_records() {
        assert_eq!(head(Format::Csv, true, b"a,b"), at(Some((0, 3)), 3));
        assert_eq!(head(Format::Csv, true, b"a,b\r\n\r\n\n\r"), at(Some((0, 5)), 9));
        assert_eq!(head(Format::Csv, true, b""), at(None, 0));
        assert_eq!(head(Format::Csv, false, b"\n\r\n"), at(None, 3));
    }

    #[test]
    fn a_header_may_hold_quoted_newlines() {
        assert_eq!(head(Format::Csv, true, b"\n\"a\nb\",c\n\n1,2"), at(Some((1, 8)), 10));
        assert_eq!(head(Format::Text, true, b"\n1\n"), at(Some((0, 1)), 1));
    }

    #[test]
    fn a_lone_carriage_return_is_content() {
        assert_eq!(head(Format::Csv, false, b"\r\n\rx\n"), at(None, 2));
        assert_eq!(head(Format::Csv, true, b"\rx\ny\n"), at(Some((0, 3)), 3));
    }
}
