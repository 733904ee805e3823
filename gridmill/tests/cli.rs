//! The command as a user has it: the real binary on real pipelines, with its exit codes and what lies there afterwards.

#![allow(clippy::unwrap_used, reason = "clippy takes only what stands in a function with `#[test]` for a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A folder to run in, with its state and outputs.
struct Yard(tempfile::TempDir);

impl Yard {
    fn new(pipeline: &str) -> Self {
        let yard = Self(tempfile::tempdir().unwrap());
        yard.write("p.yaml", pipeline);
        yard
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridmill"));
        command.args(line.split_whitespace()).current_dir(self.path());
        command.env_remove("GRIDMILL_STATE").env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    fn gridmill(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a command answered, and its exit code.
    fn answer(&self, line: &str) -> (String, i32) {
        let output = self.gridmill(line);
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_slice(&self.gridmill(line).stdout).unwrap()
    }

    fn starts(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The content of every file below a folder, by relative path.
    fn tree(&self, folder: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path().join(folder)];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(self.path().join(folder)).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
        found
    }
}

fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SQUARES: &str = "\
name: squares
params:
  offset: {type: integer, default: 0}
inputs:
  numbers: {format: text, default: [numbers.txt]}
stages:
  square:
    split: {input: numbers, by: lines, count: 2}
    run: while read n; do echo $((n * n + ${{ params.offset }})); done
  copy:
    each: square
    run: cat > $GRIDMILL_OUTPUT_DIR/copy.dat
  sum:
    all: square
    run: awk '{n += $1} END {print n}'
outputs: [square, copy, sum]
";

fn squares() -> Yard {
    let yard = Yard::new(SQUARES);
    yard.write("numbers.txt", "1\n2\n3\n");
    yard
}

const SQUARED: [(&str, &str); 5] = [
    ("copy/numbers.txt,0/copy.dat", "1\n4\n"),
    ("copy/numbers.txt,1/copy.dat", "9\n"),
    ("square/numbers.txt,0.txt", "1\n4\n"),
    ("square/numbers.txt,1.txt", "9\n"),
    ("sum.txt", "14\n"),
];

#[test]
fn a_run_delivers_its_outputs_and_a_receipt() {
    let yard = squares();
    let output = yard.gridmill("run p.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, b"");
    assert_eq!(yard.tree("out"), tree(&SQUARED));
    assert!(stderr(&output).contains("succeeded"), "{}", stderr(&output));
    assert!(!stderr(&output).contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn the_same_command_again_does_nothing_but_bring_back_what_is_missing() {
    let yard = squares();
    yard.gridmill("run p.yaml");
    fs::remove_file(yard.path().join("out/sum.txt")).unwrap();
    fs::remove_file(yard.path().join("out/square/numbers.txt,1.txt")).unwrap();
    let output = yard.gridmill("run p.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("already"), "{}", stderr(&output));
    assert_eq!(yard.tree("out"), tree(&SQUARED));
    assert_eq!(yard.answer("list --json").0.lines().count(), 1);
}

#[test]
fn outputs_of_another_run_take_the_place_of_stale_ones() {
    let yard = squares();
    yard.gridmill("run p.yaml");
    yard.write("numbers.txt", "5\n");
    assert_eq!(yard.answer("run p.yaml --param offset=1").1, 0);
    let expected = tree(&[("copy/numbers.txt,0/copy.dat", "26\n"), ("square.txt", "26\n"), ("sum.txt", "26\n")]);
    assert_eq!(yard.tree("out"), expected);
}

#[test]
fn the_receipt_is_one_json_document() {
    let yard = squares();
    let receipt = yard.json("run p.yaml --json");
    assert_eq!(receipt["exit_code"], 0);
    assert_eq!(receipt["state"], "succeeded");
    assert_eq!(receipt["stages"][0]["ok"], 2);
    assert_eq!(receipt["outputs"][2]["files"], 1);
}

#[test]
fn of_items_that_print_nothing_only_their_files_are_delivered() {
    let yard = Yard::new(
        "\
name: silent
stages:
  nothing: {range: 1..3, run: 'true'}
  some: {range: 1..3, run: 'if [ $GRIDMILL_ITEM = 2 ]; then echo two; fi'}
  marks: {range: 1..2, run: 'touch $GRIDMILL_OUTPUT_DIR/done'}
  one: {list: [a], run: 'true'}
",
    );
    assert_eq!(yard.answer("run p.yaml").1, 0);
    let expected = [
        ("marks/1/done", ""),
        ("marks/2/done", ""),
        ("one.txt", ""),
        ("some/1.txt", ""),
        ("some/2.txt", "two\n"),
        ("some/3.txt", ""),
    ];
    assert_eq!(yard.tree("out"), tree(&expected));
}

#[test]
fn outputs_are_listed_and_delivered_elsewhere() {
    let yard = squares();
    yard.gridmill("run p.yaml");
    let (listed, code) = yard.answer("outputs --json");
    let paths: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((paths.len(), code), (5, 0));
    assert_eq!(yard.answer("outputs --out elsewhere").1, 0);
    assert_eq!(yard.tree("elsewhere"), tree(&SQUARED));
}

const POISONED: &str = "\
name: poisoned
inputs:
  rows: {format: text, default: [rows.txt]}
stages:
  check:
    split: {input: rows, by: lines, count: 1}
    run: 'read row; echo \"looks at $row\" >&2; test \"$row\" != poison; echo $row'
    retry: {attempts: 2, backoff: {initial: 1ms}}
    skip: {limit: LIMIT}
outputs: [check]
";

fn poisoned(limit: &str) -> Yard {
    let yard = Yard::new(&POISONED.replace("LIMIT", limit));
    yard.write("rows.txt", "a\nb\npoison\nc\n");
    yard
}

#[test]
fn a_poison_item_is_a_dead_letter_and_the_rest_is_delivered() {
    let yard = poisoned("1");
    let output = yard.gridmill("run p.yaml");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("gridmill why 'check/#2'"), "{}", stderr(&output));
    let expected = [("check/rows.txt,0.txt", "a\n"), ("check/rows.txt,1.txt", "b\n"), ("check/rows.txt,3.txt", "c\n")];
    assert_eq!(yard.tree("out"), tree(&expected));
    let letter = yard.json("dead --json");
    assert_eq!((&letter["item"], &letter["exit"], &letter["attempt"]), (&"rows.txt,2".into(), &1.into(), &2.into()));
    assert_eq!(yard.answer("dead --input"), ("poison\n".to_owned(), 0));
    assert_eq!(yard.answer("run p.yaml").1, 3, "the same again ends the same");
}

#[test]
fn an_item_is_explained_and_run_again_by_name_and_by_number() {
    let yard = poisoned("1");
    yard.gridmill("run p.yaml");
    for item in ["check/#2", "check/rows.txt,2"] {
        let (story, code) = yard.answer(&format!("why {item}"));
        assert_eq!(code, 0);
        assert!(story.contains("dead") && story.contains("| looks at poison"), "{story}");
    }
    let replayed = yard.gridmill("replay check/#2");
    assert_eq!(replayed.status.code(), Some(1));
    assert!(stderr(&replayed).contains("looks at poison\n"), "{}", stderr(&replayed));
    assert_eq!(yard.answer("replay check/#3"), ("c\n".to_owned(), 0));
    assert!(yard.answer("logs check/#2").0.contains("looks at poison\n"));
    assert_eq!(yard.answer("why check/#9").1, 2);
    for (words, said) in
        [("logs chek", "has no stage `chek`; it has check"), ("logs check/#9", "has no item #9: it has 4")]
    {
        let output = yard.gridmill(words);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(said), "{}", stderr(&output));
    }
}

#[test]
fn a_job_that_failed_delivers_nothing_and_goes_on_once_its_command_is_mended() {
    let yard = poisoned("0");
    yard.write("p.yaml", &POISONED.replace("test \"$row\" != poison", "./test.sh").replace("LIMIT", "0"));
    yard.write(
        "p.yaml",
        &fs::read_to_string(yard.path().join("p.yaml")).unwrap().replace("./test.sh", "./ok \"$row\""),
    );
    let script = |body: &str| {
        let path = yard.path().join("ok");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    script("test \"$1\" != poison");
    let failed = yard.gridmill("run p.yaml");
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert_eq!(yard.tree("out"), tree(&[]));
    script("true");
    let mended = yard.gridmill("run p.yaml");
    assert_eq!(mended.status.code(), Some(0), "{}", stderr(&mended));
    assert!(stderr(&mended).contains("resuming"), "{}", stderr(&mended));
    assert_eq!(yard.tree("out").len(), 4);
}

#[test]
fn an_empty_input_succeeds_and_says_so() {
    let yard = squares();
    yard.write("numbers.txt", "");
    let output = yard.gridmill("run p.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn standard_input_can_be_an_input() {
    let yard = squares();
    let mut command = yard.command("run p.yaml --input numbers=-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"3\n4\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(yard.tree("out")["sum.txt"], "25\n");
}

#[test]
fn bad_usage_ends_with_two_before_anything_is_written() {
    let yard = squares();
    for line in [
        "run nowhere.yaml",
        "run p.yaml --param year=1",
        "run p.yaml --input numbers=nowhere.txt --out out2",
        "run p.yaml --input rows=numbers.txt",
        "run p.yaml --out numbers.txt",
        "status",
        "frobnicate",
    ] {
        let output = yard.gridmill(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(!output.stderr.is_empty());
    }
    yard.write("bad.yaml", "name: bad\nstages:\n  a: {rnage: 1..2, run: 'true'}\n");
    let faults = yard.json("validate bad.yaml --json");
    assert_eq!(faults["valid"], false);
    assert_eq!(yard.answer("validate bad.yaml").1, 2);
    assert_eq!(yard.answer("validate p.yaml").1, 0);
    assert_eq!(yard.tree("out"), tree(&[]));
}

#[test]
fn what_belongs_to_somebody_else_is_not_overwritten_and_nothing_is_lost() {
    let yard = squares();
    fs::create_dir_all(yard.path().join("out/square")).unwrap();
    yard.write("out/square/precious", "mine");
    let refused = yard.gridmill("run p.yaml");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert_eq!(yard.tree("out"), tree(&[("square/precious", "mine")]));
    assert_eq!(yard.answer("run p.yaml --out free").1, 0);
    assert_eq!(yard.tree("free"), tree(&SQUARED));
}

#[test]
fn an_input_that_cannot_be_planned_fails_the_job_and_is_named() {
    let yard = Yard::new(&SQUARES.replace("format: text", "format: text, max_record: 1KiB"));
    yard.write("numbers.txt", &format!("1\n{}\n", "2".repeat(2000)));
    let output = yard.gridmill("run p.yaml --json");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["state"], "failed");
    let why = receipt["message"].as_str().unwrap();
    assert!(why.contains("numbers.txt") && why.contains("max_record"), "{why}");
}

#[test]
fn an_empty_input_is_no_fault_but_is_said() {
    let yard = squares();
    yard.write("numbers.txt", "");
    let output = yard.gridmill("run p.yaml");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("square has no items: input `numbers` is empty"), "{}", stderr(&output));
}

#[test]
fn an_item_is_found_by_its_values_and_by_the_name_of_its_file() {
    let yard = Yard::new(
        "name: twins\nstages:\n  a: {list: [x y, z], run: cat}\n  b: {list: [x y], run: cat}\n  c: {each: [a, b], run: echo $GRIDMILL_ITEM}\n",
    );
    yard.gridmill("run p.yaml");
    assert!(yard.path().join("out/c/x%20y~2.txt").exists(), "{:?}", yard.tree("out"));
    let index = |item: &str| {
        let output = yard.command("why --json").arg(item).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["index"].clone()
    };
    assert_eq!(["c/x y", "c/x%20y", "c/x%20y~2", "c/#1"].map(index), [0, 0, 2, 1].map(Value::from));
}

#[test]
fn a_plan_quotes_what_earlier_jobs_took() {
    let yard = Yard::new(
        "name: slow\nparams: {n: {default: a}}\nstages:\n  work: {range: 1..4, run: 'sleep 0.1; echo ${{ params.n }}'}\n",
    );
    let (first, code) = yard.answer("plan p.yaml");
    assert!(code == 0 && first.contains("no quote: no job of this pipeline"), "{first}");
    assert_eq!(yard.gridmill("run p.yaml --workers 2").status.code(), Some(0));
    yard.write("p.yaml", &fs::read_to_string(yard.path().join("p.yaml")).unwrap().replace("1..4", "1..40"));
    let plan = yard.json("plan p.yaml --workers 4 --usd-per-slot-hour 3.6 --json");
    let quote = &plan["quote"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!((&quote["jobs"], &quote["unknown"], &quote["slots"]), (&1.into(), &Value::Array(vec![]), &4.into()));
    let slot_secs = number(&quote["slot_secs"]["likely"]);
    // Forty items of at least a tenth of a second.
    assert!(slot_secs >= 4.0, "{quote}");
    assert!((number(&quote["usd"]["likely"]) * 1_000.0 - slot_secs).abs() < 1e-6, "{quote}");
    assert!((number(&quote["elapsed_secs"]["likely"]) * 4.0 - slot_secs).abs() < 1e-6, "{quote}");
    let (words, _) = yard.answer("plan p.yaml --workers 4 --usd-per-slot-hour 3.6");
    assert!(words.contains("by 1 earlier job: ") && words.contains(" on 4 slots, $"), "{words}");
}

#[test]
fn a_pilot_tells_what_no_earlier_job_does_and_is_gone_on_with() {
    let yard = squares();
    let plan = yard.json("plan p.yaml --pilot 1h --json");
    let quote = &plan["quote"];
    assert_eq!((&quote["jobs"], &quote["unknown"]), (&1.into(), &Value::Array(vec![])), "{quote}");
    assert!(!yard.path().join("out").exists());
    let output = yard.gridmill("run p.yaml");
    assert!(stderr(&output).contains("is the same submission and has succeeded already"), "{}", stderr(&output));
    assert!(yard.path().join("out").exists());
}

#[test]
fn a_pilot_ends_when_its_time_is_over_and_the_job_is_kept_as_it_is() {
    let yard = Yard::new("name: long\nstages:\n  work: {range: 1..1000000, run: sleep 0.01}\n");
    let (words, code) = yard.answer("plan p.yaml --pilot 1ms");
    assert!(code == 0 && words.contains("1,000,000"), "{words}");
    assert_eq!(yard.json("status --json")["state"], "running");
    let refused = yard.gridmill("plan p.yaml --pilot 1ms --manager http://127.0.0.1:9");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("a pilot runs on this machine"), "{}", stderr(&refused));
}

#[test]
fn a_plan_writes_nothing() {
    let yard = squares();
    let plan = yard.json("plan p.yaml --json");
    assert_eq!((&plan["stages"][0]["items"], &plan["stages"][0]["bytes"]), (&2.into(), &6.into()));
    assert!(!yard.path().join(".gridmill").exists() && !yard.path().join("out").exists());
}

/// One item waits for a file, the others are done at once.
const GATED: &str = "\
name: gated
stages:
  wait:
    range: 1..4
    run: 'echo started >&2; while [ $GRIDMILL_ITEM = 4 ] && ! [ -e gate ]; do sleep 0.02; done; echo $GRIDMILL_ITEM'
";

/// Reads what a run says until it has said `words`.
fn until(child: &mut Child, words: &str) -> String {
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    while !said.contains(words) {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it ended without saying {words}: {said}");
    }
    said
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// Interrupts until it ends: a signal shortly after another one is the same wish.
fn insist(child: &mut Child) -> Option<i32> {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        interrupt(child);
        std::thread::yield_now();
    }
}

#[test]
fn two_runs_on_one_state_folder_are_refused_and_an_interrupted_one_resumes() {
    let yard = Yard::new(GATED);
    let mut first = yard.starts("run p.yaml --workers 2");
    until(&mut first, "job ");
    let second = yard.gridmill("run p.yaml");
    assert_eq!(second.status.code(), Some(5), "{}", stderr(&second));
    assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
    interrupt(&first);
    until(&mut first, "finishing what runs");
    assert_eq!(insist(&mut first), Some(130));
    let (standing, _) = yard.answer("status");
    assert!(standing.contains("interrupted; run the same command again"), "{standing}");
    yard.write("gate", "");
    let resumed = yard.gridmill("run p.yaml");
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let expected = [("wait/1.txt", "1\n"), ("wait/2.txt", "2\n"), ("wait/3.txt", "3\n"), ("wait/4.txt", "4\n")];
    assert_eq!(yard.tree("out"), tree(&expected));
}

/// Three items that only end once all of them run at once; then one that only ends once workers have been taken away.
const TIDE: &str = "\
name: tide
stages:
  flood:
    range: 1..3
    run: 'touch here.$GRIDMILL_ITEM; while [ $(ls here.* | wc -l) -lt 3 ]; do sleep 0.02; done; echo $GRIDMILL_ITEM'
  ebb:
    all: flood
    run: 'cat; until grep -q \"ending a machine\" .gridmill/gridmill.log; do sleep 0.02; done'
outputs: [ebb]
";

#[test]
fn workers_come_with_the_work_and_go_when_they_are_idle() {
    let yard = Yard::new(TIDE);
    let output = yard.gridmill("run p.yaml --workers 0..3");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(yard.tree("out"), tree(&[("ebb.txt", "1\n2\n3\n")]));
}

#[test]
fn workers_that_come_and_go_are_interrupted_like_others() {
    let yard = Yard::new(GATED);
    let mut first = yard.starts("run p.yaml --workers 0..2");
    while !fs::read_to_string(yard.path().join(".gridmill/gridmill.log"))
        .is_ok_and(|log| log.contains("starting a task"))
    {
        std::thread::yield_now();
    }
    interrupt(&first);
    until(&mut first, "finishing what runs");
    assert_eq!(insist(&mut first), Some(130));
    yard.write("gate", "");
    assert_eq!(yard.gridmill("run p.yaml --workers 1..2").status.code(), Some(0));
    let expected = [("wait/1.txt", "1\n"), ("wait/2.txt", "2\n"), ("wait/3.txt", "3\n"), ("wait/4.txt", "4\n")];
    assert_eq!(yard.tree("out"), tree(&expected));
}

#[test]
fn an_unfinished_job_is_not_gone_on_with_beside_another_one() {
    let yard = Yard::new(GATED);
    let mut first = yard.starts("run p.yaml --workers 2");
    until(&mut first, "job ");
    interrupt(&first);
    until(&mut first, "finishing what runs");
    assert_eq!(insist(&mut first), Some(130));
    yard.write("gate", "");
    yard.write("other.yaml", "name: other\nstages:\n  say: {range: 1..3, run: echo $GRIDMILL_ITEM}\n");
    let other = yard.gridmill("run other.yaml");
    assert_eq!(other.status.code(), Some(0), "{}", stderr(&other));
    let (jobs, _) = yard.answer("list --json");
    let jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<(&Value, &Value)> = jobs.iter().map(|job| (&job["pipeline"], &job["state"])).collect();
    assert_eq!(states, [(&"other".into(), &"succeeded".into()), (&"gated".into(), &"running".into())]);
    assert_eq!(yard.gridmill("run p.yaml").status.code(), Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let yard = squares();
    yard.gridmill("run p.yaml");
    let mut child = yard.command("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}
