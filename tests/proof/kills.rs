//! `kill -9` at many moments, each followed by the same command: the outputs are those of a calm run, what was
//! committed is not run again, every start is in the log, and no process is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::is_big;
use crate::place::{Going, Place, run_words};
use crate::random::Random;
use crate::state::Item;

/// Every way in which a stage can come by its items and run them.
const PIPELINE: &str = r#"
name: kills
inputs:
  rows: {format: csv, header: true, default: rows}
  lines: {format: text, default: lines.txt}
stages:
  cut:
    split: {input: rows, by: records, count: 4}
    run: ./logged tail -n +2
  mark:
    each: cut
    per: worker
    run: ./marker
  per_file:
    group: [cut, mark]
    by: [file]
    run: ./logged sort
  tree:
    all: cut
    fan_in: 4
    run: ./logged sort
  bulk:
    split: {input: lines, by: lines, count: 3}
    per: bundle
    run: ./logged sed 's/^/bulk /'
  total:
    all: [per_file, bulk]
    run: ./logged cksum
outputs: [cut, mark, per_file, tree, bulk, total]
"#;

/// Logs its start and its end, and in between, at the line of the log that the file `strike-at` names, kills gridmill.
const LOGGED: &str = r#"#!/bin/sh -e
note() { echo "$1 $GRIDMILL_STAGE $GRIDMILL_TASK ${GRIDMILL_ITEM_FIRST:-$GRIDMILL_INDEX} ${GRIDMILL_ITEM_COUNT:-1}" >> log; }
note start
./strike
"$@"
note end
./strike
"#;

const STRIKE: &str = r#"#!/bin/sh
[ ! -f strike-at ] || [ "$(wc -l < log)" -lt "$(cat strike-at)" ] || kill -9 "$(cat pid)"
"#;

/// A co-process that does the same for every item that it serves.
const MARKER: &str = r#"#!/bin/sh
while IFS= read -r request; do
    index=${request#*\"index\":} index=${index%%,*} index=${index# }
    item=${request#*\"item\":\"} item=${item%%\"*}
    echo "start $GRIDMILL_STAGE - $index 1" >> log
    ./strike
    printf '{"item": "%s", "output": "marked %s\\n"}\n' "$item" "$index"
    echo "end $GRIDMILL_STAGE - $index 1" >> log
done
"#;

/// Starts gridmill and leaves its id.
const WITH_PID: &[&str] = &["/bin/sh", "-c", r#"echo $$ > pid; exec "$@""#, "sh"];

fn place() -> Place {
    let place = Place::with(PIPELINE);
    for (name, script) in [("logged", LOGGED), ("strike", STRIKE), ("marker", MARKER)] {
        place.write(name, script);
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (files, rows) = if is_big() { (12, 50) } else { (5, 24) };
    for file in 0..files {
        let line = |row: u64| format!("{file},{row},\"a\nnote\"\n");
        let rows: String = (0..rows).map(line).collect();
        place.write(&format!("rows/{file}.csv"), format!("file,row,note\n{rows}"));
    }
    place.write("lines.txt", (0..90).map(|line| format!("{line}\n")).collect::<String>());
    place
}

/// A line of the log of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    stage: String,
    task: String,
    first: u32,
    count: u32,
}

fn starts(lines: &[String]) -> Vec<Start> {
    let start = |line: &String| -> Option<Start> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["start", stage, task, first, count] = words[..] else { return None };
        let (first, count) = (first.parse().unwrap(), count.parse().unwrap());
        Some(Start { stage: stage.to_owned(), task: task.to_owned(), first, count })
    };
    lines.iter().filter_map(start).collect()
}

fn assert_none_again(starts: &[Start], committed: &BTreeSet<Item>) {
    for start in starts {
        for item in start.first..start.first + start.count {
            let is_committed = committed.contains(&(start.stage.clone(), item));
            assert!(!is_committed, "item {item} was committed and ran again: {start:?}");
        }
    }
}

/// Every start that a command logged is one of a task whose start gridmill logged.
fn assert_all_in_the_log(place: &Place) {
    let logged = place.logged_starts();
    for start in starts(&place.lines("log")) {
        let is_logged = match start.task.as_str() {
            "-" => logged.iter().any(|task| task.starts_with(&format!("{}/", start.stage))),
            task => logged.contains(&format!("{}/{task}", start.stage)),
        };
        assert!(is_logged, "gridmill.log does not tell of {start:?}");
    }
}

/// What a calm run delivers, and how long it takes.
fn calm() -> (BTreeMap<String, Vec<u8>>, Duration) {
    let place = place();
    let started = Instant::now();
    place.run(&[]).expect(0).balances();
    let took = started.elapsed();
    assert_all_in_the_log(&place);
    let outputs = place.tree("out");
    assert!(outputs.len() > 20, "{:?}", outputs.keys());
    (outputs, took)
}

/// When to kill.
enum Moment {
    /// When the log of commands has so many lines more.
    Lines(u64),
    /// After this time.
    Time(Duration),
}

/// Runs until it is killed; whether it was, rather than ending by itself.
fn run_and_kill(place: &Place, moment: Moment) -> bool {
    let _ = fs::remove_file(place.path("strike-at"));
    if let Moment::Lines(lines) = moment {
        let at = place.lines("log").len() as u64 + lines;
        place.write("strike-at", at.to_string());
    }
    let going = Going::start(place.through(WITH_PID, &run_words(&[])));
    match moment {
        Moment::Lines(_) => {
            let ended = going.end();
            assert!(ended.signal == Some(9) || ended.code == Some(0), "{ended:?}");
            ended.signal.is_some()
        }
        Moment::Time(time) => {
            thread::sleep(time);
            going.kill().code().is_none()
        }
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_delivers_what_a_calm_one_does() {
    let (expected, calm) = calm();
    let mut random = Random::new(11);
    let mut kills = 0;
    while kills < if is_big() { 100 } else { 20 } {
        kills += kill_one_job(&expected, calm, &mut random);
    }
}

/// Kills one job until it has ended all the same; how often.
fn kill_one_job(expected: &BTreeMap<String, Vec<u8>>, calm: Duration, random: &mut Random) -> u64 {
    let place = place();
    let mut kills = 0;
    loop {
        let moment = match random.below(3) {
            0 => Moment::Time(calm.mul_f64(random.below(1_000) as f64 / 1_000.0)),
            _ => Moment::Lines(1 + random.below(40)),
        };
        let (lines, committed) = (place.lines("log").len(), place.committed());
        let killed = run_and_kill(&place, moment);
        assert_none_again(&starts(&place.lines("log")[lines..]), &committed);
        if !killed {
            break;
        }
        kills += 1;
    }
    let _ = fs::remove_file(place.path("strike-at"));
    let starts_before = place.lines("log").len();
    place.run(&[]).expect(0).balances();
    assert_eq!(place.lines("log").len(), starts_before, "a job that has succeeded ran again");
    assert_all_in_the_log(&place);
    assert_same(&place.tree("out"), expected);
    place.assert_nothing_left_over();
    kills
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, bytes) in expected {
        assert_eq!(String::from_utf8_lossy(&found[path]), String::from_utf8_lossy(bytes), "{path}");
    }
}

#[test]
fn a_job_that_is_killed_while_it_is_planned_is_planned_again() {
    let place = Place::with(
        r#"
name: planning
inputs: {lines: {format: text, default: lines.txt}}
stages:
  cut: {split: {input: lines, by: lines, count: 8}, per: bundle, run: cat}
  sum: {all: cut, run: "awk '{n += $1} END {printf \"%d %.0f\", NR, n}'"}
"#,
    );
    let lines: u64 = 100_000;
    place.write("lines.txt", (1..=lines).map(|line| format!("{line}\n")).collect::<String>());
    let mut random = Random::new(12);
    let mut going = place.start(&[]);
    for _ in 0..if is_big() { 25 } else { 6 } {
        thread::sleep(Duration::from_millis(random.below(250)));
        if !going.is_running() {
            break;
        }
        going.kill();
        going = place.start(&[]);
    }
    going.end().expect(0).balances();
    assert_eq!(place.read("out/sum.txt"), format!("{lines} {}", lines * (lines + 1) / 2));
    place.assert_nothing_left_over();
}

#[test]
fn a_delivery_that_is_killed_is_made_again_and_never_seen_half_done() {
    let place = Place::with(
        "
name: delivery
stages:
  many:
    range: 1..2000
    per: worker
    run: |
      while IFS= read -r request; do
          item=${request#*\\\"item\\\":\\\"}; item=${item%%\\\"*}
          printf '{\"item\": \"%s\", \"output\": \"number %s\\\\n\"}\\n' \"$item\" \"$item\"
      done
",
    );
    let expected: BTreeMap<String, Vec<u8>> =
        (1..=2_000).map(|item| (format!("many/{item}.txt"), format!("number {item}\n").into_bytes())).collect();
    let mut random = Random::new(13);
    let mut going = place.start(&[]);
    for _ in 0..if is_big() { 20 } else { 5 } {
        while going.is_running() && !has_receipt(&place) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(random.below(120)));
        if !going.is_running() {
            break;
        }
        going.kill();
        let delivered: BTreeMap<String, Vec<u8>> =
            place.tree("out").into_iter().filter(|(path, _)| !path.starts_with(".gridmill-partial-")).collect();
        assert!(delivered.is_empty() || delivered == expected, "{} files", delivered.len());
        going = place.start(&[]);
    }
    going.end().expect(0).balances();
    assert_eq!(place.tree("out"), expected);
    place.assert_nothing_left_over();
}

fn has_receipt(place: &Place) -> bool {
    let jobs = fs::read_dir(place.path(".gridmill/objects/jobs")).into_iter().flatten().flatten();
    jobs.into_iter().any(|job| job.path().join("receipt.json").exists())
}
