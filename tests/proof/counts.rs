//! Every record exactly once, whatever the format, the compression and the rule: compared with what the csv crate and
//! plain Rust make of the same bytes.

use std::collections::BTreeMap;
use std::io::Write;

use crate::is_big;
use crate::place::{Ended, Place};
use crate::random::Random;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A format with its records, as bytes between which nothing but borders lie.
struct Sample {
    /// The words of the pipeline file.
    input: &'static str,
    extension: &'static str,
    header: Option<&'static str>,
    rules: &'static [&'static str],
    bytes: Vec<u8>,
    records: Vec<Vec<String>>,
}

const RULES: &[&str] = &[
    "by: bytes, target: 1",
    "by: bytes, target: 7",
    "by: bytes, target: 100",
    "by: bytes, target: 997",
    "by: bytes, target: 64KiB",
    "by: bytes, target: 1GiB",
    "by: records, count: 1",
    "by: records, count: 7",
    "by: records, count: 1000000",
    "by: files, count: 1",
    "by: files, count: 2",
    "by: even, parts: 1",
    "by: even, parts: 3",
    "by: even, parts: 16",
];

const LINE_RULES: &[&str] = &[
    "by: bytes, target: 1",
    "by: bytes, target: 13",
    "by: bytes, target: 4KiB",
    "by: lines, count: 1",
    "by: lines, count: 10",
    "by: lines, count: 1000000",
    "by: files, count: 1",
    "by: even, parts: 5",
    "by: even, parts: 64",
];

/// Rows with quoted newlines, quotes, commas and ends of both kinds; amounts in the second column.
fn csv(seed: u64, end: &str, bom: bool) -> Sample {
    let mut random = Random::new(seed);
    let mut text = format!("id,amount,note{end}");
    for id in 0..150 {
        let note = random.choose(&[
            "",
            "plain",
            "\"a\nb\"",
            "\"say \"\"hi\"\"\"",
            "\"x,\r\ny\"",
            "\"\"",
            "\"\n\n\"",
            "ümläut",
        ]);
        text.push_str(&format!("{id},{},{note}{end}", random.below(100_000)));
    }
    text.truncate(text.len() - end.len() * (seed % 2) as usize);
    let mut bytes = if bom { BOM.to_vec() } else { Vec::new() };
    bytes.extend_from_slice(text.as_bytes());
    let records = csv_records(text.as_bytes());
    let input = "format: csv, header: true";
    Sample { input, extension: "csv", header: Some("id,amount,note"), rules: RULES, bytes, records }
}

fn lines(
    seed: u64,
    end: &str,
    input: &'static str,
    extension: &'static str,
    line: fn(&mut Random) -> String,
) -> Sample {
    let mut random = Random::new(seed);
    let mut text: String = (0..200).map(|_| format!("{}{end}", line(&mut random))).collect();
    text.truncate(text.len() - end.len() * (seed % 2) as usize);
    let records = line_records(text.as_bytes());
    Sample { input, extension, header: None, rules: LINE_RULES, bytes: text.into_bytes(), records }
}

fn words(random: &mut Random) -> String {
    (0..random.below(9))
        .map(|_| *random.choose(&[&"one", &"two", &"thrée", &"\0", &"\"", &"four"]))
        .collect::<Vec<_>>()
        .join(" ")
}

fn object(random: &mut Random) -> String {
    format!("{{\"id\": {}, \"note\": \"a\\nb \\\" {}\"}}", random.next(), words(random).replace(['\0', '"'], ""))
}

fn csv_records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(bytes);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn line_records(bytes: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| vec![line.to_owned()]).collect()
}

type Compress = fn(&[u8]) -> Vec<u8>;

/// The same bytes in several members or frames.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(bytes.len() / 3 + 1)
        .flat_map(|chunk| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(chunk).unwrap();
            encoder.finish().unwrap()
        })
        .collect()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(bytes.len() / 2 + 1).flat_map(|chunk| zstd::encode_all(chunk, 1).unwrap()).collect()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(bytes.len() / 2 + 1)
        .flat_map(|chunk| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(chunk).unwrap();
            encoder.finish().unwrap()
        })
        .collect()
}

/// Runs every rule over two files of the sample in every compression, and compares what the items of each got.
fn check(sample: &Sample) {
    let compressions: [(&str, Compress); 4] = [("", <[u8]>::to_vec), (".gz", gzip), (".zst", zstd), (".bz2", bzip2)];
    let mut pipeline = String::from("name: counts\ninputs:\n");
    let mut stages = String::from("stages:\n");
    let place = Place::new();
    for (suffix, compress) in compressions {
        let name = format!("in{}", suffix.replace('.', "_"));
        for file in ["a", "b"] {
            place.write(&format!("{name}/{file}.{}{suffix}", sample.extension), compress(&sample.bytes));
        }
        pipeline.push_str(&format!("  {name}: {{{}, default: {name}}}\n", sample.input));
        for (number, rule) in sample.rules.iter().enumerate() {
            stages.push_str(&format!(
                "  {name}-{number}: {{split: {{input: {name}, {rule}}}, run: [cat], output: {{format: binary}}}}\n"
            ));
        }
    }
    place.write("pipeline.yaml", format!("{pipeline}{stages}"));
    let ended = place.run(&[]).expect(0).balances();
    let outputs = place.tree("out");
    for (suffix, _) in compressions {
        for (number, rule) in sample.rules.iter().enumerate() {
            let stage = format!("in{}-{number}", suffix.replace('.', "_"));
            check_rule(sample, &ended, &outputs, &stage, &format!("{rule} of {}{suffix}", sample.extension));
        }
    }
}

fn check_rule(sample: &Sample, ended: &Ended, outputs: &BTreeMap<String, Vec<u8>>, stage: &str, what: &str) {
    let mut slices: Vec<(Vec<u32>, &Vec<u8>)> = outputs
        .iter()
        .filter(|(path, _)| path.starts_with(&format!("{stage}/")) || **path == format!("{stage}.bin"))
        .map(|(path, bytes)| (place_of(path), bytes))
        .collect();
    slices.sort();
    assert_eq!(ended.stage(stage)["items"], slices.len() as u64, "{what}");
    let found: Vec<Vec<String>> = slices.iter().flat_map(|(_, bytes)| records_of(sample, bytes, what)).collect();
    let expected: Vec<Vec<String>> = sample.records.iter().chain(&sample.records).cloned().collect();
    assert_eq!(found, expected, "{what}");
    assert_eq!(sum(&found), sum(&expected), "{what}");
    if let Some(records) = ended.stage(stage)["records"].as_u64() {
        assert_eq!(records, expected.len() as u64, "{what}");
    }
    if let Some(count) = what.split("count: ").nth(1).filter(|_| !what.contains("files")) {
        let count: usize = count.split(' ').next().unwrap().parse().unwrap();
        let sizes = slices.iter().map(|(_, bytes)| records_of(sample, bytes, what).len());
        assert!(sizes.clone().all(|size| (1..=count).contains(&size)), "{what}: {:?}", sizes.collect::<Vec<_>>());
    }
}

/// The order of the items, which their names tell: `FILE,PART.bin`, where parts are numbers.
fn place_of(path: &str) -> Vec<u32> {
    let name = path.rsplit('/').next().unwrap().trim_end_matches(".bin");
    let file = name.bytes().next().map_or(0, u32::from);
    let part = name.rsplit(',').next().and_then(|part| part.parse().ok()).unwrap_or(0);
    vec![file, part]
}

fn records_of(sample: &Sample, bytes: &[u8], what: &str) -> Vec<Vec<String>> {
    let Some(header) = sample.header else { return line_records(bytes) };
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    assert!(
        text.starts_with(header.as_bytes()),
        "{what}: the header is missing in {:?}",
        String::from_utf8_lossy(bytes)
    );
    csv_records(text)
}

fn sum(records: &[Vec<String>]) -> u64 {
    records.iter().filter_map(|record| record.get(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn csv_rows_are_cut_exactly_once_by_every_rule() {
    check(&csv(1, "\n", false));
}

#[test]
fn csv_rows_that_end_in_crlf_after_a_byte_order_mark_are_cut_exactly_once_by_every_rule() {
    check(&csv(2, "\r\n", true));
}

#[test]
fn lines_are_cut_exactly_once_by_every_rule() {
    check(&lines(3, "\n", "format: text", "txt", words));
}

#[test]
fn lines_that_end_in_crlf_are_cut_exactly_once_by_every_rule() {
    check(&lines(4, "\r\n", "format: text", "txt", words));
}

#[test]
fn json_objects_are_cut_exactly_once_by_every_rule() {
    check(&lines(5, "\n", "format: ndjson", "ndjson", object));
}

#[test]
fn words_are_counted_as_plain_rust_counts_them() {
    let mut random = Random::new(6);
    let text: String = (0..3_000).map(|_| format!("{}\n", words(&mut random).replace('\0', "nul"))).collect();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    text.split_whitespace().for_each(|word| *expected.entry(word).or_default() += 1);
    let expected: String = expected.iter().map(|(word, count)| format!("{word} {count}\n")).collect();
    let place = Place::with(
        r#"
name: wordcount
inputs: {books: {default: books}}
stages:
  count:
    split: {input: books, by: bytes, target: 2KiB}
    run: tr -s ' ' '\n' | awk 'NF {n[$1]++} END {for (w in n) print w, n[w]}'
  total:
    all: count
    fan_in: 5
    run: awk '{n[$1] += $2} END {for (w in n) print w, n[w]}' | LC_ALL=C sort
"#,
    );
    let border = text[..text.len() / 3].rfind('\n').unwrap() + 1;
    place.write("books/one.txt", &text.as_bytes()[..border]);
    place.write("books/two.txt.gz", gzip(&text.as_bytes()[border..]));
    place.run(&[]).expect(0).balances();
    assert_eq!(place.read("out/total.txt"), expected);
}

/// Counts the rows of a CSV file with a header, and sums their second column.
const COUNT: &str = r#"
import csv, io, sys
rows = csv.reader(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline=""))
next(rows)
count = total = 0
for row in rows:
    count += 1
    total += int(row[1])
print(count, total)
"#;

#[test]
fn a_large_table_is_counted_and_summed_as_python_does() {
    let (bytes, parts) = if is_big() { (300 << 20, 64) } else { (2 << 20, 3) };
    let place = Place::new();
    write_table(&place, bytes);
    for (tool, suffix) in [("gzip -1c", "gz"), ("zstd -qc", "zst"), ("bzip2 -1c", "bz2")] {
        // Two members each, cut anywhere.
        let half = bytes / 2;
        let script = format!(
            "(head -c {half} table.csv | {tool}; tail -c +{} table.csv | {tool}) > table.csv.{suffix}",
            half + 1
        );
        assert!(shell(&place, &script).is_empty());
    }
    place.write("count.py", COUNT);
    let expected = shell(&place, "python3 count.py < table.csv");
    let mut pipeline = String::from("name: table\ninputs:\n");
    let mut stages = String::from("stages:\n");
    for suffix in ["", ".gz", ".zst", ".bz2"] {
        let name = format!("in{}", suffix.replace('.', "_"));
        pipeline.push_str(&format!("  {name}: {{format: csv, header: true, default: table.csv{suffix}}}\n"));
        // A compressed file is read from its beginning for every item: few of them are many bytes already.
        let rules = match suffix {
            "" => vec![
                format!("by: bytes, target: {}", bytes / 9),
                format!("by: even, parts: {parts}"),
                format!("by: records, count: {}", bytes / 100),
            ],
            _ => vec!["by: files".to_owned(), format!("by: records, count: {}", bytes / 60)],
        };
        for (number, rule) in rules.iter().enumerate() {
            stages.push_str(&format!(
                "  {name}-{number}: {{split: {{input: {name}, {rule}}}, run: [python3, count.py]}}
  {name}-{number}-sum: {{all: {name}-{number}, run: \"awk '{{a += $1; b += $2}} END {{printf \\\"%.0f %.0f\\\\n\\\", a, b}}'\"}}\n"
            ));
        }
    }
    place.write("pipeline.yaml", format!("{pipeline}{stages}"));
    let ended = place.run(&["--workers", "2"]).expect(0).balances();
    eprintln!("rows and their sum: {expected}{}", ended.stderr);
    let sums = place.tree("out");
    assert_eq!(sums.len(), 9, "{:?}", sums.keys());
    for (path, sum) in sums {
        assert_eq!(String::from_utf8(sum).unwrap(), expected, "{path}");
    }
}

/// Writes `table.csv`: rows with quoted newlines, quotes and ends of both kinds.
fn write_table(place: &Place, bytes: usize) {
    let mut random = Random::new(7);
    let mut out = std::io::BufWriter::new(std::fs::File::create(place.path("table.csv")).unwrap());
    let mut written = out.write(b"id,amount,note\n").unwrap();
    let mut id = 0;
    while written < bytes {
        let note = random.choose(&["", "plain", "\"a\nb\"", "\"say \"\"hi\"\"\"", "\"x,\r\ny\"", "\"\n\n\""]);
        let end = random.choose(&["\n", "\r\n"]);
        let row = format!("{id},{},{note}{end}", random.below(100_000));
        out.write_all(row.as_bytes()).unwrap();
        (written, id) = (written + row.len(), id + 1);
    }
    out.flush().unwrap();
}

fn shell(place: &Place, script: &str) -> String {
    let done = std::process::Command::new("sh").args(["-ec", script]).current_dir(place.path(".")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
