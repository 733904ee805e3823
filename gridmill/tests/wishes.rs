//! What is wished of jobs in a state folder: the real binary, and what becomes of the job.

#![allow(clippy::unwrap_used, reason = "clippy takes only what stands in a function with `#[test]` for a test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use infra::embedded::StateDir;
use serde_json::Value;

/// Its one item fails until there is a file `mended`.
const MENDED: &str = "\
name: mended
stages:
  work:
    list: [a]
    run: test -e mended && echo done
    retry: {attempts: 1}
";

struct Yard(tempfile::TempDir);

impl Yard {
    /// With a job that has failed.
    fn with_failed_job() -> Self {
        let yard = Self(tempfile::tempdir().unwrap());
        fs::write(yard.path().join("p.yaml"), MENDED).unwrap();
        assert_eq!(yard.code("run p.yaml"), 1);
        yard
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn gridmill(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridmill"));
        command.args(line.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("GRIDMILL_STATE").env_remove("GRIDMILL_MANAGER").output().unwrap()
    }

    fn code(&self, line: &str) -> i32 {
        self.gridmill(line).status.code().unwrap()
    }

    fn said(&self, line: &str) -> (String, i32) {
        let output = self.gridmill(line);
        (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    }

    fn state(&self) -> Value {
        let output = self.gridmill("status --json");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["state"].take()
    }
}

#[test]
fn what_was_redriven_and_paused_is_done_when_it_is_run_again() {
    let yard = Yard::with_failed_job();
    let (said, code) = yard.said("redrive --where reason=exit");
    assert!(code == 0 && said.contains("1 item runs when the same pipeline is run again"), "{said}");
    assert_eq!((yard.code("pause"), yard.state()), (0, "paused".into()));
    assert_eq!((yard.code("resume"), yard.state()), (0, "running".into()));
    assert_eq!((yard.code("pause"), yard.state()), (0, "paused".into()));
    fs::write(yard.path().join("mended"), "").unwrap();
    let (said, code) = yard.said("run p.yaml");
    assert_eq!(code, 0, "{said}");
    assert_eq!(fs::read_to_string(yard.path().join("out/work.txt")).unwrap(), "done\n");
}

#[test]
fn a_cancelled_job_stays_cancelled() {
    let yard = Yard::with_failed_job();
    assert_eq!(yard.code("redrive"), 0);
    let answer: Value = serde_json::from_slice(&yard.gridmill("cancel --json").stdout).unwrap();
    assert_eq!((answer["state"].clone(), yard.state()), ("cancelled".into(), "cancelled".into()));
    let (said, code) = yard.said("resume");
    assert!(code == 1 && said.contains("is cancelled: it cannot be resumed"), "{said}");
    let (said, code) = yard.said("status --watch");
    assert_eq!(code, 4, "{said}");
}

#[test]
fn a_wish_that_cannot_be_right_is_explained() {
    let yard = Yard::with_failed_job();
    for (line, words) in [
        ("redrive --where colour=red", "colour"),
        ("redrive --set year=2025", "year"),
        ("redrive --set resources.memory=2", "such as `x2`"),
        ("pause nosuchjob", "no job has an id"),
    ] {
        let (said, code) = yard.said(line);
        assert!(code == 2 && said.contains(words), "{line}: {code} {said}");
    }
    assert_eq!(yard.state(), "failed");
}

#[test]
fn while_a_process_is_at_work_it_is_said_what_to_do() {
    let yard = Yard::with_failed_job();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let held = runtime.block_on(async { StateDir::open(&yard.path().join(".gridmill")) }).unwrap();
    let (said, code) = yard.said("cancel");
    assert!(code == 2 && said.contains(&std::process::id().to_string()) && said.contains("Ctrl-C"), "{said}");
    drop(held);
    assert_eq!(yard.state(), "failed");
}

#[test]
fn what_needs_a_manager_says_so() {
    let yard = Yard(tempfile::tempdir().unwrap());
    for line in ["workers", "pools"] {
        let (said, code) = yard.said(line);
        assert!(code == 2 && said.contains("GRIDMILL_MANAGER"), "{line}: {said}");
    }
    let (said, code) = yard.said("status --manager grid:8080");
    assert!(code == 2 && said.contains("no address of a job manager"), "{said}");
    // Nobody listens on port 1 of this machine.
    let (said, code) = yard.said("list --manager http://127.0.0.1:1");
    assert!(code == 5 && said.contains("http://127.0.0.1:1 cannot be reached"), "{said}");
}
