//! Programs that are measured, each in a process of its own: what it says of itself is one JSON object on its standard
//! output.

mod floor;
mod grid;
mod job;
mod spawn;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::cost::{Cost, cpu_of_this_process};

/// What an inner program says of itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Said {
    /// User and system microseconds of what was measured.
    pub cpu_us: f64,
    /// Microseconds until it was done.
    pub wall_us: f64,
    /// Peak memory before it, KiB.
    pub idle_kib: u64,
    /// Peak memory after it, KiB.
    pub peak_kib: u64,
    /// Microseconds that the submission took, where something was submitted.
    pub submit_us: f64,
}

/// Is one of the inner programs.
pub fn be(words: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = match words[..] {
        ["spawn", count] => spawn::run(count.parse()?)?,
        ["floor", count, folder] => floor::run(count.parse()?, folder.as_ref())?,
        ["noop", count, folder] => job::noop(count.parse()?, folder.as_ref())?,
        ["latency", jobs, folder] => job::latency(jobs.parse()?, folder.as_ref())?,
        _ => bail!("there is no inner program {words:?}"),
    };
    println!("{}", serde_json::to_string(&said)?);
    Ok(())
}

/// Runs an inner program in a process of its own.
pub fn ask(words: &[&str]) -> anyhow::Result<Said> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--inner").args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
    let ran = command.output()?;
    ensure!(ran.status.success(), "{command:?} ended with {}", ran.status);
    serde_json::from_slice(&ran.stdout).with_context(|| format!("{command:?} makes no sense"))
}

impl Said {
    /// What it cost.
    pub fn cost(&self) -> Cost {
        let duration = |us: f64| Duration::from_secs_f64(us / 1e6);
        Cost { cpu: duration(self.cpu_us), wall: duration(self.wall_us) }
    }
}

/// Notes what passes from now on.
struct Meter {
    cpu: Duration,
    began: std::time::Instant,
}

impl Meter {
    fn start() -> Self {
        Self { cpu: cpu_of_this_process(), began: std::time::Instant::now() }
    }

    fn read(&self) -> Said {
        let (cpu, wall) = (cpu_of_this_process() - self.cpu, self.began.elapsed());
        Said { cpu_us: cpu.as_secs_f64() * 1e6, wall_us: wall.as_secs_f64() * 1e6, ..Said::default() }
    }
}
