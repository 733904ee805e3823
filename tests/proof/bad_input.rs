//! What is wrong is said with file, place and remedy, and nothing is lost.

use std::fs;
use std::process::Command;

use crate::place::{Going, Place};

const LINES: &str = "
name: lines
inputs: {lines: {default: lines.txt}}
stages: {copy: {split: {input: lines, by: lines, count: 2}, retry: {attempts: 1}, run: cat}}
";

#[test]
fn a_missing_input_is_named() {
    let place = Place::with(LINES);
    place.run(&[]).expect(2).says(&["lines.txt", "`lines`"]);
    place.run(&["--input", "lines=*.csv"]).expect(2).says(&["*.csv", "`lines`"]);
    assert!(!place.path("out/copy").exists());
}

#[test]
fn an_empty_input_is_a_success_that_says_so() {
    let place = Place::with(LINES);
    place.write("lines.txt", "");
    let ended = place.run(&[]).expect(0).balances().says(&["the inputs hold no items"]);
    assert_eq!(ended.items("copy"), [0, 0, 0, 0]);
}

#[test]
fn a_table_with_nothing_but_its_header_has_no_items() {
    let place = Place::with(
        "
name: header
inputs: {rows: {format: csv, header: true, default: rows.csv}}
stages:
  copy: {split: {input: rows, by: records, count: 2}, run: cat}
  count: {all: copy, run: wc -c}
",
    );
    place.write("rows.csv", "id,amount\n");
    place.run(&[]).expect(0).balances();
    assert_eq!(place.read("out/count.txt").trim(), "0");
}

#[test]
fn an_input_that_changes_while_the_job_runs_fails_its_items_and_no_other() {
    let place = Place::with(
        "
name: changing
inputs: {stable: {default: stable.txt}, changing: {default: changing.txt}}
stages:
  spoil:
    range: 1..1
    run: |
      until ls .gridmill/objects/jobs/*/read/plan/summary.json; do sleep 0.02; done
      echo more >> changing.txt
  read: {split: {input: changing, by: lines, count: 1}, after: [spoil], skip: {limit: 100%}, run: cat}
  other: {split: {input: stable, by: lines, count: 1}, after: [spoil], run: cat}
",
    );
    place.write("stable.txt", "1\n2\n");
    place.write("changing.txt", "1\n2\n3\n");
    let ended = place.run(&[]).expect(3).balances().says(&["changing.txt"]);
    assert_eq!((ended.items("read"), ended.items("other")), ([0, 0, 3, 0], [2, 0, 0, 0]));
    let dead = place.dead();
    assert!(dead.iter().all(|letter| letter["reason"] == "input" && letter["attempt"] == 1), "{dead:?}");
    assert!(dead[0]["message"].as_str().unwrap().contains("changing.txt"), "{}", dead[0]);
}

#[test]
fn an_input_that_goes_away_while_the_job_runs_fails_its_items_and_no_other() {
    let place = Place::with(
        "
name: going
inputs: {stable: {default: stable.txt}, going: {default: going.txt}}
stages:
  spoil:
    range: 1..1
    run: |
      until ls .gridmill/objects/jobs/*/read/plan/summary.json; do sleep 0.02; done
      rm going.txt
  read: {split: {input: going, by: lines, count: 1}, after: [spoil], skip: {limit: 1}, run: cat}
  other: {split: {input: stable, by: lines, count: 1}, after: [spoil], run: cat}
",
    );
    place.write("stable.txt", "1\n");
    place.write("going.txt", "1\n");
    place.run(&[]).expect(3).balances().says(&["going.txt"]);
    assert_eq!(place.dead()[0]["reason"], "input");
}

#[test]
fn a_line_over_the_limit_is_refused_with_its_place_unless_the_limit_is_raised() {
    let place = Place::with(LINES);
    let mut text = b"first\n".to_vec();
    text.resize(text.len() + (17 << 20), b'x');
    text.extend_from_slice(b"\nlast\n");
    place.write("lines.txt", &text);
    place.run(&[]).expect(1).says(&["lines.txt", "byte 6", "16777216 bytes", "max_record"]);
    place.write("pipeline.yaml", LINES.replace("default: lines.txt", "default: lines.txt, max_record: 20MiB"));
    place.run(&[]).expect(0).balances();
    assert_eq!(place.tree("out").into_values().collect::<Vec<_>>().concat(), text);
}

#[test]
fn bytes_that_are_not_utf_8_pass_through() {
    let bytes: Vec<u8> = (0..4_000_u32).flat_map(|n| [(n % 251) as u8, b'\xff', b'\xfe', b'\n']).collect();
    for (per, run) in [
        ("item", "cat"),
        ("bundle", "cat"),
        (
            "worker",
            r#"
      while IFS= read -r request; do
          item=${request#*\"item\":\"} item=${item%%\"*}
          file=${request#*\"input_file\":\"} file=${file%%\"*}
          printf '{"item": "%s", "output_file": "%s"}\n' "$item" "$file"
      done"#,
        ),
    ] {
        let place = Place::with(&format!(
            "
name: bytes
inputs: {{lines: {{default: lines.txt}}}}
stages:
  copy:
    split: {{input: lines, by: bytes, target: 3KiB}}
    per: {per}
    output: {{format: binary}}
    run: |{}
  all: {{all: copy, output: {{format: binary}}, run: cat}}
",
            if run.starts_with('\n') { run.to_owned() } else { format!("\n      {run}") }
        ));
        place.write("lines.txt", &bytes);
        place.run(&[]).expect(0).balances();
        assert!(fs::read(place.path("out/all.bin")).unwrap() == bytes, "per: {per}");
    }
}

#[test]
fn a_truncated_archive_is_named_before_any_work() {
    let archive = |tool: &str| {
        let made = Command::new("sh").args(["-c", &format!("seq 1 20000 | {tool} -c")]).output().unwrap();
        made.stdout
    };
    for (tool, rule) in [("gzip", "by: files"), ("gzip", "by: lines, count: 5000"), ("bzip2", "by: even, parts: 2")] {
        let place = Place::with(&format!(
            "
name: archive
inputs: {{lines: {{default: in}}}}
stages:
  copy: {{split: {{input: lines, {rule}}}, skip: {{limit: 100%}}, run: cat}}
  count: {{all: copy, run: wc -l}}
"
        ));
        let whole = archive(tool);
        place.write("in/bad.data", &whole[..whole.len() / 2]);
        place.write("in/good.data", &whole);
        place.run(&[]).expect(1).says(&["in/bad.data", "damaged", "replace the file"]);
        place.write("in/bad.data", &whole);
        place.run(&[]).expect(0).balances();
        assert_eq!(place.read("out/count.txt").trim(), "40000");
    }
}

/// In a file system of its own that is too small at first.
const SMALL_DISK: &str = r#"
set -e
mkdir small
mount -t tmpfs -o size=12m tmpfs small
head -c 8m /dev/zero > small/filler
set +e
"$@"; echo $? > first
rm small/filler
"$@"; echo $? > second
"#;

#[test]
fn a_full_disk_loses_nothing_and_the_same_command_goes_on() {
    let sandbox = Command::new("unshare").args(["-rm", "true"]).output();
    if !sandbox.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: unshare cannot make a file system of its own here");
        return;
    }
    let place = Place::with(
        r#"
name: full
stages:
  fill: {range: 1..20, retry: {attempts: 1}, run: "echo $GRIDMILL_ITEM >> log; head -c 300000 /dev/zero | tr '\\0' x"}
  count: {all: fill, run: wc -c}
"#,
    );
    let words = ["run", "pipeline.yaml", "--workers", "2", "--state", "small/state"];
    let ended = Going::start(place.through(&["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh"], &words)).end();
    assert_eq!(place.read("first").trim(), "5", "{}", ended.stderr);
    let ended = ended.says(&["small/state", "free some space"]);
    // Objects, rows and scratch share the disk: whichever meets its end first says so in the words of its own back end.
    let words = ["No space left on device", "database or disk is full"];
    assert!(words.iter().any(|words| ended.stderr.contains(words)), "{}", ended.stderr);
    assert_eq!(place.read("second").trim(), "0", "{}", ended.stderr);
    assert_eq!(place.read("out/count.txt").trim(), "6000000");
    place.assert_nothing_left_over();
}

#[test]
fn an_output_folder_that_cannot_be_written_is_named_before_any_work() {
    let place = Place::with("name: out\nstages: {one: {range: 1..3, run: 'echo ran >> log'}}\n");
    place.write("file", "precious");
    place.run(&["--out", "file/out"]).expect(2).says(&["file/out", "--out DIR"]);
    place.run(&["--out", "/proc/out"]).expect(2).says(&["/proc/out", "--out DIR"]);
    assert_eq!((place.lines("log").len(), place.read("file").as_str()), (0, "precious"));
}

#[test]
fn an_unknown_command_ends_with_127_and_is_named() {
    for run in ["no-such-command --flag", "[no-such-command, --flag]"] {
        let place = Place::with(
            &format!("name: unknown\nstages: {{one: {{range: 1..2, retry: {{attempts: 1}}, run: '{run}'}}}}\n")
                .replace("'[", "[")
                .replace("]'", "]"),
        );
        place.run(&[]).expect(1).says(&["no-such-command", "not found"]);
        let dead = place.dead();
        assert_eq!((dead.len(), &dead[0]["exit"], &dead[0]["reason"]), (2, &127.into(), &"exit".into()), "{dead:?}");
    }
}

#[test]
fn the_state_of_a_newer_version_is_left_alone() {
    let place = Place::with("name: newer\nstages: {one: {range: 1..3, run: 'echo ran >> log'}}\n");
    place.write(".gridmill/version", "99\n");
    place.run(&[]).expect(5).says(&[".gridmill", "newer gridmill", "upgrade"]);
    assert_eq!((place.lines("log").len(), place.tree(".gridmill").len()), (0, 1));
}

#[test]
fn a_second_run_on_the_same_state_is_refused_at_once_and_disturbs_nothing() {
    let place = Place::with(
        "name: two\nstages: {one: {range: 1..3, run: 'echo ran >> log; until test -e go; do sleep 0.02; done'}}\n",
    );
    let first = place.start(&[]);
    while place.lines("log").is_empty() {
        std::thread::yield_now();
    }
    place.run(&[]).expect(5).says(&[".gridmill"]);
    place.write("go", "");
    first.end().expect(0).balances();
    assert_eq!(place.lines("log").len(), 3);
}
