//! Long items that are cut short: killed, or drained. They go on where they were, and no step is done twice.

#![allow(clippy::unwrap_used, reason = "clippy takes only what stands in a function with `#[test]` for a test")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Two items of five steps, each noted in `steps`; the third step of an item says who waits, and waits for the file `go`.
const PIPELINE: &str = r#"
name: train
stages:
  train:
    range: 1..2
    checkpoint: {interval: 1s}
    run: |
      at="$GRIDMILL_CHECKPOINT_DIR"
      done=$(cat "$at/step" 2>/dev/null || echo 0)
      while [ "$done" -lt 5 ]; do
        step=$((done + 1))
        if [ $step = 3 ]; then
          echo $$ > pid.$GRIDMILL_INDEX; mv pid.$GRIDMILL_INDEX waits.$GRIDMILL_INDEX
          while [ ! -e go ]; do sleep 0.01; done
        fi
        echo "$GRIDMILL_INDEX:$step" >> steps
        echo $step > "$at/new"; mv "$at/new" "$at/step"
        done=$step
      done
      echo "$GRIDMILL_INDEX is done"
"#;

struct Yard(tempfile::TempDir);

impl Yard {
    fn new() -> Self {
        let yard = Self(tempfile::tempdir().unwrap());
        fs::write(yard.path().join("p.yaml"), PIPELINE).unwrap();
        yard
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridmill"));
        command.args(["run", "p.yaml", "--workers", "2"]).current_dir(self.path());
        command.env_remove("GRIDMILL_STATE").env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts a run, and waits until both items are in their third step.
    fn starts(&self) -> Child {
        let child = self.command().stderr(Stdio::null()).spawn().unwrap();
        while !["waits.0", "waits.1"].iter().all(|name| self.path().join(name).exists()) {
            std::thread::yield_now();
        }
        child
    }

    /// Waits until nothing of the items is left: who waits for `go` would make its step when it comes.
    fn ends(&self) {
        let runs = |name: &str| {
            let pid = fs::read_to_string(self.path().join(name)).unwrap();
            // A zombie has no command line any more.
            fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty())
        };
        while ["waits.0", "waits.1"].into_iter().any(runs) {
            std::thread::yield_now();
        }
    }

    /// The checkpoints in the store.
    fn kept(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.path().join(".gridmill")]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path.display().to_string();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name.contains("/objects/") && name.contains("/checkpoints/") => found.push(name),
                    false => {}
                }
            }
        }
        found
    }

    fn goes_on(&self) {
        self.ends();
        fs::write(self.path().join("go"), "").unwrap();
        let output: Output = self.command().stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut steps: Vec<String> =
            fs::read_to_string(self.path().join("steps")).unwrap().lines().map(str::to_owned).collect();
        steps.sort();
        let once: Vec<String> = (0..2).flat_map(|item| (1..=5).map(move |step| format!("{item}:{step}"))).collect();
        assert_eq!(steps, once, "every step is done once");
        assert_eq!(self.kept(), [] as [&str; 0], "what is committed needs no checkpoint");
    }
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn a_run_that_is_killed_goes_on_from_its_checkpoints() {
    let yard = Yard::new();
    let mut child = yard.starts();
    while yard.kept().len() < 2 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    yard.goes_on();
}

#[test]
fn a_run_that_is_told_to_end_keeps_what_its_items_have_done() {
    let yard = Yard::new();
    let mut child = yard.starts();
    interrupt(&child);
    // The drain has begun when the folders were kept; the second signal then ends the items.
    while yard.kept().len() < 2 {
        std::thread::yield_now();
    }
    while child.try_wait().unwrap().is_none() {
        interrupt(&child);
        std::thread::yield_now();
    }
    yard.goes_on();
}
