//! Ctrl-C: once finishes what runs, twice kills it; the same command goes on.

use std::fs;
use std::thread;

use rustix::process::Signal;

use crate::place::{Going, Place};

/// Every item says that it has begun, and waits until a file appears.
const PIPELINE: &str = r#"
name: interrupted
stages:
  slow:
    range: 1..12
    run: |
      echo "start $GRIDMILL_ITEM" >> log
      until test -e go; do sleep 0.02; done
      echo "end $GRIDMILL_ITEM" >> log
      echo $((GRIDMILL_ITEM * 10))
  sum: {all: slow, run: "awk '{n += $1} END {print n}'"}
"#;

/// Starts it and waits until both slots are busy.
fn started() -> (Place, Going) {
    let place = Place::with(PIPELINE);
    let mut going = place.start(&["--workers", "2"]);
    while place.lines("log").len() < 2 {
        assert!(going.is_running(), "it ended by itself");
        thread::yield_now();
    }
    (place, going)
}

fn logged(place: &Place, what: &str) -> usize {
    place.lines("log").iter().filter(|line| line.starts_with(what)).count()
}

/// Waits until gridmill has said that it saw the signal, which is when it hands out nothing more.
fn wait_until_said(going: &mut Going, words: &str) {
    while !going.said(words) {
        assert!(going.is_running(), "it ended by itself");
        thread::yield_now();
    }
}

#[test]
fn an_interrupted_run_finishes_what_runs_and_the_same_command_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let (place, mut going) = started();
        going.signal(signal);
        wait_until_said(&mut going, "finishing what runs");
        place.write("go", "");
        let ended = going.end().expect(130).says(&["run the same command again"]);
        assert!(ended.answer.is_null(), "{}", ended.answer);
        let (begun, finished) = (logged(&place, "start"), logged(&place, "end"));
        assert_eq!(begun, finished, "what ran was finished");
        assert!(finished < 12, "everything ran");
        assert_eq!(place.committed().len(), finished, "what ran was committed");
        assert!(!place.path("out/sum.txt").exists());
        place.assert_nothing_left_over();
        place.run(&[]).expect(0).balances();
        assert_eq!((logged(&place, "start"), logged(&place, "end")), (12, 12), "nothing ran twice");
        assert_eq!(place.read("out/sum.txt"), "780\n");
    }
}

#[test]
fn a_second_interrupt_kills_what_runs_and_costs_no_attempt() {
    let (place, mut going) = started();
    going.signal(Signal::INT);
    wait_until_said(&mut going, "finishing what runs");
    // One that comes at once is taken for the first: it is sent until it is heard.
    while !going.said("killing what still runs") && going.is_running() {
        going.signal(Signal::INT);
        thread::yield_now();
    }
    going.end().expect(130).says(&["killing what still runs"]);
    assert_eq!((logged(&place, "end"), place.committed().len()), (0, 0));
    place.assert_nothing_left_over();
    place.write("go", "");
    let ended = place.run(&[]).expect(0).balances();
    assert_eq!(ended.stage("slow")["failures"].get("exit"), None, "{}", ended.stage("slow"));
    assert_eq!(place.read("out/sum.txt"), "780\n");
}

#[test]
fn two_signals_at_once_are_one_interrupt() {
    let (place, mut going) = started();
    // They wait together while it is stopped. `timeout` sends SIGINT twice, but a stopped process would get it once.
    for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
        going.signal(signal);
    }
    wait_until_said(&mut going, "finishing what runs");
    place.write("go", "");
    let ended = going.end().expect(130);
    assert!(!ended.stderr.contains("killing"), "{}", ended.stderr);
    assert_eq!(logged(&place, "start"), logged(&place, "end"), "what ran was finished");
    assert_eq!(place.committed().len(), logged(&place, "end"));
    place.assert_nothing_left_over();
    place.run(&[]).expect(0).balances();
    assert_eq!(place.read("out/sum.txt"), "780\n");
}

#[test]
fn an_interrupt_before_the_job_is_accepted_leaves_nothing_behind() {
    let place = Place::with(
        "
name: early
inputs: {lines: {default: lines.txt}}
stages: {cut: {split: {input: lines, by: files}, run: cat}}
",
    );
    let fifo = place.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = place.gridmill(&["run", "pipeline.yaml", "--json", "--input", "lines=-"]);
    command.stdin(fs::File::options().read(true).write(true).open(&fifo).unwrap());
    let going = Going::start(command);
    while !going.catches(Signal::INT) {
        thread::yield_now();
    }
    going.signal(Signal::INT);
    going.end().expect(130).says(&["interrupted before the job was accepted"]);
}
