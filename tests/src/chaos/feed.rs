//! Somebody who submits jobs, looks at them, and submits the next.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::work::Kind;
use crate::fleet::{Fleet, get_within};

/// How often somebody looks, and how long he waits for an answer.
const LOOK: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(20);

/// A job that has ended.
#[derive(Debug)]
pub struct Done {
    /// What it was.
    pub kind: Kind,
    /// Its id.
    pub job: String,
    /// How it stood at the end.
    pub status: Value,
    /// From submission to end.
    pub took: Duration,
}

/// Jobs, for as long as they are wanted.
pub struct Feed<'a> {
    /// The grid.
    pub fleet: &'a Fleet,
    /// The files in which managers say where they are.
    pub managers: Vec<std::path::PathBuf>,
    /// Says that no further job is to be submitted.
    pub enough: AtomicBool,
    /// When waiting makes no sense any more.
    pub give_up: Mutex<Option<Instant>>,
}

impl Feed<'_> {
    /// Submits one job after the other until it is enough, and waits for the last.
    pub fn run(&self, kind: Kind) -> anyhow::Result<Vec<Done>> {
        let mut done = Vec::new();
        while !self.enough.load(Ordering::SeqCst) || done.is_empty() {
            let began = Instant::now();
            let job = self.submit(kind, done.len() as u32)?;
            let status = self.end_of(&job)?;
            ensure!(status["state"] == "succeeded", "job {job}, {kind:?}: {status}");
            done.push(Done { kind, job, status, took: began.elapsed() });
        }
        Ok(done)
    }

    /// Under one key, however often it takes.
    fn submit(&self, kind: Kind, round: u32) -> anyhow::Result<String> {
        let pipeline = kind.write(self.fleet, round)?;
        let key = format!("{pipeline}-key");
        loop {
            for manager in self.addresses() {
                let url = format!("http://{manager}");
                let words = ["submit", &pipeline, "--idempotency-key", &key, "--json", "--manager", &url];
                let output = self.fleet.gridmill(&words)?;
                match output.status.code() {
                    Some(0) => {
                        let accepted: Value = serde_json::from_slice(&output.stdout)?;
                        return Ok(accepted["job"].as_str().context("it has an id")?.to_owned());
                    }
                    Some(5) => {}
                    _ => bail!("{pipeline}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
                }
            }
            self.pause(&pipeline)?;
        }
    }

    /// Asks whoever answers; what is done never becomes less.
    fn end_of(&self, job: &str) -> anyhow::Result<Value> {
        let mut seen = Vec::new();
        loop {
            for manager in self.addresses() {
                let Ok(answer) = get_within(&manager, &format!("/v1/jobs/{job}"), PATIENCE) else { continue };
                if answer.status != 200 {
                    // 404 would mean that the job is gone.
                    ensure!(answer.status >= 500, "job {job}: {}", answer.status);
                    continue;
                }
                let status = answer.json()?;
                let now = ended(&status);
                ensure!(seen.iter().zip(&now).all(|(before, now)| before <= now), "it went back: {seen:?}, {status}");
                seen = now;
                if status["state"] != "running" && status["state"] != "committing" {
                    return Ok(status);
                }
            }
            self.pause(job)?;
        }
    }

    fn pause(&self, what: &str) -> anyhow::Result<()> {
        let give_up = *self.give_up.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            give_up.is_none_or(|at| Instant::now() < at),
            "{what} does not end, though nothing goes wrong any more"
        );
        thread::sleep(LOOK);
        Ok(())
    }

    /// Where managers are, as far as they have said.
    pub fn addresses(&self) -> Vec<String> {
        self.managers
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
            .map(|text| text.trim().to_owned())
            .collect()
    }
}

/// Items that have ended, by stage.
fn ended(status: &Value) -> Vec<u64> {
    let stages = status["stages"].as_array().map_or(&[][..], Vec::as_slice);
    let number = |stage: &Value, name: &str| stage[name].as_u64().unwrap_or_default();
    stages.iter().map(|stage| number(stage, "ok") + number(stage, "skipped") + number(stage, "dead")).collect()
}
