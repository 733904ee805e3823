//! `gridmill rebuild` with the real binary: the table is thrown away, and what was done stays done.

#![allow(clippy::unwrap_used, reason = "clippy takes only what stands in a function with `#[test]` for a test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PIPELINE: &str = "
name: counted
stages:
  work: {range: 1..6, run: 'echo ran >> runs; test ! -e stop || test $GRIDMILL_KEY_ITEM -lt 4; echo $GRIDMILL_KEY_ITEM', retry: {attempts: 1}}
  sum: {all: work, run: cat}
";

fn gridmill(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridmill"));
    command.args(line.split_whitespace()).current_dir(folder).env_remove("GRIDMILL_STATE").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).output().unwrap()
}

fn json(folder: &Path, line: &str) -> Value {
    serde_json::from_slice(&gridmill(folder, line).stdout).unwrap()
}

fn lose_table(folder: &Path) {
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(folder.join(".gridmill").join(file));
    }
}

#[test]
fn a_job_is_as_it_was_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("p.yaml"), PIPELINE).unwrap();
    fs::write(path.join("stop"), "").unwrap();
    assert_eq!(gridmill(path, "run p.yaml --workers 1").status.code(), Some(1));
    let before = json(path, "status --json");
    lose_table(path);
    let answer = json(path, "rebuild --json");
    assert_eq!((&answer["became"], &answer["state"]), (&"rebuilt".into(), &"failed".into()), "{answer}");
    assert_eq!(json(path, "status --json"), before);

    fs::remove_file(path.join("stop")).unwrap();
    let ran = || fs::read_to_string(path.join("runs")).unwrap().lines().count();
    let runs = ran();
    assert_eq!(gridmill(path, "run p.yaml --workers 1").status.code(), Some(0));
    assert_eq!(ran() - runs, 3, "only what failed runs again");
    assert_eq!(fs::read_to_string(path.join("out/sum.txt")).unwrap(), "1\n2\n3\n4\n5\n6\n");

    let refused = gridmill(path, "rebuild");
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("has jobs already") && words.contains("--missing"), "{words}");
    assert_eq!(json(path, "rebuild --missing --json")["became"], "kept");
    assert_eq!(json(path, "rebuild --replace --json")["state"], "succeeded");
    assert_eq!(gridmill(path, "run p.yaml --workers 1").status.code(), Some(0));
    assert_eq!(ran() - runs, 3, "it is the same job, and done");
}

#[test]
fn a_folder_without_objects_is_refused_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let refused = gridmill(folder.path(), "rebuild --state nowhere");
    assert_eq!(refused.status.code(), Some(2));
    assert!(!folder.path().join("nowhere").exists());
    let unset = gridmill(folder.path(), "rebuild --aws");
    assert!(String::from_utf8(unset.stderr).unwrap().contains("GRIDMILL_BUCKET"));
    assert_eq!(unset.status.code(), Some(2));
}
