//! Whole plans of files in memory, against independent readers.

use proptest::prelude::*;

use super::*;
use crate::pipeline::{Format, SplitBy};
use crate::submission::Compression;
use crate::units::ByteSize;

const MAX_RECORD: u64 = 1 << 20;

/// Plans `files` as the planner does, reading `chunk` bytes at a time.
fn plan(files: &[Vec<u8>], format: Format, header: bool, by: SplitBy, chunk: usize) -> (Vec<Slice>, Vec<Area>) {
    let heads: Vec<Head> = files.iter().map(|file| head(file, format, header, chunk)).collect();
    let areas: Vec<Area> = heads
        .iter()
        .zip(files)
        .enumerate()
        .map(|(at, (head, file))| Area { file: at as u32, start: head.start, end: file.len() as u64 })
        .collect();
    let total = areas.iter().map(|area| area.end - area.start).sum();
    let (rule, way) = (by.cut_rule(total), by.way(format, Compression::None).expect("records are known"));
    let (mut gatherer, mut slices, mut base) = (Gatherer::new(by, format), Vec::new(), 0);
    for (area, head) in areas.iter().zip(&heads) {
        let cutter = Cutter::new(rule, area.file, area.start, if rule.spans_files() { base } else { 0 });
        base += area.end - area.start;
        let header = head.header.map(|(start, len)| Segment { file: area.file, start, len });
        for piece in pieces(&files[area.file as usize], *area, cutter, way, format, chunk) {
            slices.extend(gatherer.push(piece, header));
        }
    }
    slices.extend(gatherer.finish());
    (slices, areas)
}

fn head(file: &[u8], format: Format, header: bool, chunk: usize) -> Head {
    let mut finder = HeadFinder::new(format, header, MAX_RECORD);
    if finder.needs_nothing() {
        return finder.finish(0);
    }
    for piece in file.chunks(chunk) {
        if let Some(head) = finder.push(piece).expect("records are short") {
            return head;
        }
    }
    finder.finish(file.len() as u64)
}

fn pieces(file: &[u8], area: Area, mut cutter: Cutter, way: Way, format: Format, chunk: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    match way {
        Way::Whole => {}
        Way::Exact => {
            while let Some(wanted) = cutter.wanted().filter(|wanted| *wanted < area.end) {
                pieces.push(cutter.cut(wanted));
            }
        }
        Way::Probe => {
            while let Some(wanted) = cutter.wanted().filter(|wanted| *wanted < area.end) {
                let mut probe = Probe::new(wanted - 1, MAX_RECORD);
                let mut reads = file[wanted as usize - 1..].chunks(chunk);
                match reads.find_map(|read| probe.push(read).expect("records are short")) {
                    Some(border) if border < area.end => pieces.push(cutter.cut(border)),
                    _ => break,
                }
            }
        }
        Way::Scan => {
            let mut scanner = Scanner::new(format, area.start, MAX_RECORD);
            for mut read in file[area.start as usize..].chunks(chunk) {
                while let Some(used) = scanner.next_end(read).expect("records are short") {
                    read = &read[used..];
                    pieces.extend(cutter.record(scanner.position()));
                }
            }
            if scanner.finish() {
                pieces.extend(cutter.record(area.end));
            }
        }
    }
    pieces.extend(cutter.finish(area.end, way == Way::Scan));
    pieces
}

fn content(files: &[Vec<u8>], slice: &Slice) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for segment in &slice.segments {
        if slice.whole_records && !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend(&files[segment.file as usize][range(segment)]);
    }
    bytes
}

fn range(segment: &Segment) -> std::ops::Range<usize> {
    segment.start as usize..(segment.start + segment.len) as usize
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
}

fn rows(bytes: &[u8]) -> Vec<csv::ByteRecord> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).from_reader(bytes);
    reader.byte_records().collect::<Result<_, _>>().expect("any bytes are a CSV")
}

fn any_rule() -> impl Strategy<Value = SplitBy> {
    prop_oneof![
        (1..40_u64).prop_map(|target| SplitBy::Bytes { target: ByteSize(target) }),
        (1..6_u64).prop_map(|count| SplitBy::Lines { count }),
        (1..6_u64).prop_map(|count| SplitBy::Records { count }),
        (1..4_u64).prop_map(|count| SplitBy::Files { count }),
        (1..9_u32).prop_map(|parts| SplitBy::Even { parts }),
    ]
}

/// Bytes in which what matters to a splitter is frequent. A carriage return comes only before a newline: alone it is
/// data to us, and a newline to the csv crate.
fn any_file(quotes: bool) -> impl Strategy<Value = Vec<u8>> {
    let quote: &[u8] = if quotes { b"\"" } else { b"'" };
    let word = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b",".to_vec()),
        Just(quote.to_vec()),
        Just([quote, quote].concat()),
        Just(b"\0".to_vec()),
        prop::collection::vec(128..=255_u8, 1..3),
        "[a-c]{1,6}".prop_map(String::into_bytes),
    ];
    (prop::bool::weighted(0.1), prop::collection::vec(word, 0..60)).prop_map(|(mark, words)| {
        let mark: &[u8] = if mark { b"\xef\xbb\xbf" } else { b"" };
        [mark, &words.concat()].concat()
    })
}

fn without_mark(file: &[u8]) -> &[u8] {
    file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_in_exactly_one_slice(
        files in prop::collection::vec(any_file(true), 1..5), by in any_rule(), chunk in 1..80_usize,
    ) {
        let (slices, areas) = plan(&files, Format::Text, false, by, chunk);
        let proved = prove(&slices, areas).expect("a sound plan");
        prop_assert_eq!(proved.items, slices.len() as u64);
        let found: Vec<Vec<u8>> = slices.iter().map(|slice| content(&files, slice)).collect();
        let found: Vec<&[u8]> = found.iter().flat_map(|bytes| lines(bytes)).collect();
        let expected: Vec<&[u8]> = files.iter().flat_map(|file| lines(without_mark(file))).collect();
        prop_assert_eq!(&found, &expected);
        if let Some(records) = proved.records {
            prop_assert_eq!(records, expected.len() as u64);
        }
    }

    #[test]
    fn every_row_of_a_csv_is_in_exactly_one_slice_behind_its_header(
        files in prop::collection::vec(any_file(true), 1..4), by in any_rule(), chunk in 1..80_usize,
    ) {
        let (slices, areas) = plan(&files, Format::Csv, true, by, chunk);
        let proved = prove(&slices, areas).expect("a sound plan");
        let found: Vec<_> = slices.iter().flat_map(|slice| rows(&content(&files, slice))).collect();
        let expected: Vec<_> = files.iter().flat_map(|file| rows(file).into_iter().skip(1)).collect();
        let is_open = |file: &Vec<u8>| rows(&[file, &b"\n\"\n"[..]].concat()).len() != rows(file).len() + 1;
        // A file that ends inside quotes cannot be told from the next one when both are read as one stream.
        prop_assume!(slices.iter().all(|slice| slice.segments.len() == 1) || !files.iter().any(is_open));
        prop_assert_eq!(&found, &expected);
        if let Some(records) = proved.records {
            prop_assert_eq!(records, expected.len() as u64);
        }
        for slice in &slices {
            let header = slice.header.expect("every file that has rows has a header");
            let file = &files[slice.segments[0].file as usize];
            prop_assert_eq!(rows(&file[range(&header)]), &rows(file)[..1]);
        }
    }

    #[test]
    fn a_slice_holds_as_many_records_as_it_says(
        file in any_file(true), count in 1..5_u64, chunk in 1..80_usize,
    ) {
        let files = [file];
        let (slices, _) = plan(&files, Format::Csv, false, SplitBy::Records { count }, chunk);
        for (at, slice) in slices.iter().enumerate() {
            let records = rows(&content(&files, slice)).len() as u64;
            prop_assert_eq!(slice.records, Some(records));
            prop_assert!(records == count || (at + 1 == slices.len() && records > 0 && records < count));
        }
    }

    #[test]
    fn a_plan_does_not_depend_on_how_the_files_are_read(
        files in prop::collection::vec(any_file(true), 1..4), by in any_rule(), header: bool, chunk in 1..80_usize,
    ) {
        for format in [Format::Text, Format::Csv, Format::Ndjson] {
            prop_assert_eq!(plan(&files, format, header, by, chunk), plan(&files, format, header, by, usize::MAX));
        }
    }

    #[test]
    fn probing_and_scanning_cut_at_the_same_places(file in any_file(false), target in 1..40_u64, chunk in 1..80_usize) {
        let area = Area { file: 0, start: 0, end: file.len() as u64 };
        let ends = |way| {
            let cutter = Cutter::new(CutRule::Every(target), 0, 0, 0);
            let pieces = pieces(&file, area, cutter, way, Format::Text, chunk);
            pieces.iter().map(|piece| (piece.start, piece.end)).collect::<Vec<_>>()
        };
        prop_assert_eq!(ends(Way::Probe), ends(Way::Scan));
    }

    #[test]
    fn slices_by_bytes_miss_their_target_by_at_most_a_record(file in any_file(false), target in 1..60_u64) {
        let longest = lines(&file).iter().map(|line| line.len() as u64 + 1).max().unwrap_or(0);
        let files = [file];
        let (slices, _) = plan(&files, Format::Text, false, SplitBy::Bytes { target: ByteSize(target) }, 7);
        prop_assert!(slices.iter().all(|slice| slice.bytes() < target + longest));
    }

    #[test]
    fn binary_files_are_cut_to_the_byte(
        files in prop::collection::vec(any_file(true), 1..4), target in 1..40_u64, parts in 1..9_u32,
    ) {
        let (slices, areas) = plan(&files, Format::Binary, false, SplitBy::Bytes { target: ByteSize(target) }, 1);
        prove(&slices, areas.iter().copied()).expect("a sound plan");
        let items: u64 = areas.iter().map(|area| area.end.div_ceil(target)).sum();
        prop_assert_eq!(slices.len() as u64, items);
        let (slices, areas) = plan(&files, Format::Binary, false, SplitBy::Even { parts }, 1);
        let total = prove(&slices, areas).expect("a sound plan").bytes;
        prop_assert_eq!(slices.len() as u64, u64::from(parts).min(total));
        prop_assert!(slices.iter().all(|slice| slice.bytes().abs_diff(total / u64::from(parts)) <= 1));
    }
}

#[test]
fn files_without_records_have_no_items() {
    let files = [b"".to_vec(), b"a,b\r\n".to_vec(), b"\xef\xbb\xbfa,b".to_vec(), b"a,b\n\r\n\n".to_vec()];
    for by in [SplitBy::Files { count: 2 }, SplitBy::Records { count: 1 }, SplitBy::Even { parts: 3 }] {
        let (slices, areas) = plan(&files, Format::Csv, true, by, 2);
        assert_eq!(slices, []);
        assert_eq!(prove(&[], areas), Ok(Proved { items: 0, bytes: 0, records: Some(0) }));
    }
}

#[test]
fn parts_are_counted_in_each_file_and_over_all_files_where_items_span_them() {
    let files = [b"1\n2\n3\n".to_vec(), b"".to_vec(), b"4\n5\n".to_vec(), b"6\n".to_vec()];
    let names = |by| {
        let (slices, _) = plan(&files, Format::Text, false, by, 100);
        let names = slices.iter().map(|slice| (slice.segments[0].file, slice.part, slice.segments.len()));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(SplitBy::Lines { count: 2 }), [(0, 0, 1), (0, 1, 1), (2, 0, 1), (3, 0, 1)]);
    assert_eq!(names(SplitBy::Files { count: 1 }), [(0, 0, 1), (2, 0, 1), (3, 0, 1)]);
    assert_eq!(names(SplitBy::Files { count: 2 }), [(0, 0, 2), (3, 1, 1)]);
    assert_eq!(names(SplitBy::Even { parts: 2 }), [(0, 0, 1), (2, 1, 2)]);
}

#[test]
fn the_key_of_a_slice_is_its_file_and_part() {
    let file = PinnedFile {
        uri: "file:///d/x.csv".into(),
        name: "x.csv".into(),
        size: 9,
        version: "1".into(),
        digest: "d".into(),
        compression: Compression::None,
    };
    let slice = Slice {
        segments: vec![Segment { file: 0, start: 0, len: 9 }],
        header: None,
        part: 3,
        records: None,
        whole_records: true,
    };
    assert_eq!(slice.key(&[file]).name(), "x.csv,3");
}
