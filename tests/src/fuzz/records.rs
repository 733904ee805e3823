//! Where records end, against the `csv` crate and against plain lines.

use std::io::Read;

use grid_core::pipeline::Format;
use grid_core::split::{HeadFinder, Scanner};

use super::Choices;

const MAX_RECORD: u64 = 1 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let format = [Format::Text, Format::Csv, Format::Ndjson][choices.below(3)];
    let seed = choices.below(256) as u64;
    let is_cut = choices.below(2) == 1;
    let file = choices.rest;
    let pieces = if is_cut { choices.pieces(seed) } else { vec![file] };
    head(&pieces, file, format);
    let ends = ends(&pieces, format);
    assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
    assert!(ends.last().is_none_or(|last| *last <= file.len() as u64));
    match format {
        Format::Csv if has_bare_return(file) => {}
        Format::Csv => {
            let rows = rows(file);
            assert_eq!(ends.len(), rows.len(), "rows of {}", file.escape_ascii());
            let starts = std::iter::once(0).chain(ends.iter().copied());
            for ((start, end), row) in starts.zip(&ends).zip(rows) {
                assert_eq!(self::rows(&file[start as usize..*end as usize]), [row], "bytes {start}..{end}");
            }
        }
        _ => {
            let lines = file.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
                *at += line.len() as u64;
                Some(*at)
            });
            assert_eq!(ends, lines.collect::<Vec<_>>());
        }
    }
}

/// The head is the same however the file is read, and nothing of it is a record of the rest.
fn head(pieces: &[&[u8]], file: &[u8], format: Format) {
    let find = |pieces: &[&[u8]]| {
        let mut finder = HeadFinder::new(format, true, MAX_RECORD);
        let found = pieces.iter().find_map(|piece| finder.push(piece).expect("records are short"));
        found.unwrap_or_else(|| finder.finish(file.len() as u64))
    };
    let head = find(pieces);
    assert_eq!(head, find(&[file]));
    assert!(head.start <= file.len() as u64);
    if let Some((start, len)) = head.header {
        assert!(start + len <= head.start && len > 0, "{head:?}");
    }
}

fn ends(pieces: &[&[u8]], format: Format) -> Vec<u64> {
    let mut scanner = Scanner::new(format, 0, MAX_RECORD);
    let mut ends = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while let Some(used) = scanner.next_end(rest).expect("records are short") {
            rest = &rest[used..];
            ends.push(scanner.position());
        }
    }
    ends.extend(scanner.finish().then_some(scanner.position()));
    ends
}

/// A carriage return alone is data to us, and a line end to the csv crate.
pub(super) fn has_bare_return(file: &[u8]) -> bool {
    let is_bare = |at: usize| file[at] == b'\r' && file.get(at + 1) != Some(&b'\n');
    (0..file.len()).any(is_bare)
}

/// The rows of a file, or of a part of one. A byte order mark is data here: whoever finds the head of a file has taken its own
/// away, and an empty line before it keeps the csv crate from doing so.
pub(super) fn rows(file: &[u8]) -> Vec<csv::ByteRecord> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).from_reader(b"\n".chain(file));
    reader.byte_records().collect::<Result<_, _>>().expect("any bytes are a CSV")
}
