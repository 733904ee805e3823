//! The program `grid-worker`, as a process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program with no settings but these.
fn grid_worker(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grid-worker"));
    command.env_clear().envs(settings.iter().copied()).stderr(Stdio::piped());
    command
}

#[test]
fn it_names_every_setting_that_is_missing_and_ends_with_status_2() {
    let ended = grid_worker(&[("GRIDMILL_BUCKET", "b")]).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("missing settings GRIDMILL_TASK_QUEUE, GRIDMILL_REPORT_QUEUE"), "{said}");
    let wrong = grid_worker(&[("GRIDMILL_SLOTS", "many")]).output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{said}");
    assert!(said.contains("--slots"), "{said}");
}

#[test]
fn it_waits_for_a_grid_that_cannot_be_reached_until_it_is_told_to_stop() {
    let scratch = tempfile::tempdir().unwrap();
    let mut worker = grid_worker(&[
        ("GRIDMILL_BUCKET", "b"),
        ("GRIDMILL_TASK_QUEUE", "tasks"),
        ("GRIDMILL_REPORT_QUEUE", "reports"),
        ("GRIDMILL_SCRATCH", scratch.path().to_str().unwrap()),
        ("GRIDMILL_LOG_FORMAT", "json"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        // Nobody listens there.
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ])
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let complaint = lines.next().unwrap().unwrap();
    let complaint: serde_json::Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(complaint["fields"]["message"], "the grid cannot be reached; goes on trying");
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
