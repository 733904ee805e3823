//! Traces from files: the Standard Workload Format, and a JSON list of jobs.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::trace::{Job, Trace};

/// Reads a trace; the extension says how: `.swf`, `.json`.
pub fn read(path: &Path) -> anyhow::Result<Trace> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let jobs = match path.extension().and_then(|extension| extension.to_str()) {
        Some("swf") => swf(&text),
        Some("json") => json(&text),
        _ => bail!("{}: traces are called .swf or .json", path.display()),
    };
    Trace::new(name, jobs.with_context(|| format!("failed to read {}", path.display()))?)
}

/// The Standard Workload Format (Feitelson): 18 numbers a line, `;` begins a comment, -1 is unknown. A job of p
/// processors that ran for r seconds is p tasks of r seconds; jobs without either are left out. Its class is its user
/// and executable.
pub fn swf(text: &str) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split(';').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let fields: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("line {} has something that is no number", number + 1))?;
        ensure!(fields.len() >= 5, "line {} has {} fields, 18 are the format's", number + 1, fields.len());
        let field = |index: usize| fields.get(index).copied().unwrap_or(-1.0);
        let processors = if field(4) > 0.0 { field(4) } else { field(7) };
        if field(3) <= 0.0 || processors < 1.0 || field(1) < 0.0 {
            continue;
        }
        jobs.push(Job {
            arrival: field(1),
            tasks: vec![field(3); processors as usize],
            deadline: None,
            class: format!("{}/{}", field(11), field(13)),
            is_poison: false,
        });
    }
    let first = jobs.iter().map(|job| job.arrival).fold(f64::INFINITY, f64::min);
    jobs.iter_mut().for_each(|job| job.arrival -= first);
    Ok(jobs)
}

/// A job of a JSON list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonJob {
    /// Seconds.
    #[serde(alias = "arrival_secs")]
    arrival: f64,
    /// How many; may be left out when `seconds` is a list.
    tasks: Option<usize>,
    /// Of a task: one number for all of them, or one each.
    #[serde(alias = "task_secs", alias = "seconds_a_task", alias = "seconds_per_task")]
    seconds: Seconds,
    /// On the clock of `arrival`.
    #[serde(alias = "deadline_secs")]
    deadline: Option<f64>,
    /// The same, after the arrival.
    #[serde(alias = "within_secs")]
    within: Option<f64>,
    /// Jobs of one class have like task times. Without it a job is like no other.
    class: Option<String>,
    /// Every execution fails.
    #[serde(default)]
    poison: bool,
    /// For people.
    #[serde(rename = "name", alias = "id")]
    _name: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    All(f64),
    Each(Vec<f64>),
}

/// A JSON list of jobs: `[{"arrival": 0, "tasks": 5000, "seconds": 30, "deadline": 930}, ..]`.
pub fn json(text: &str) -> anyhow::Result<Vec<Job>> {
    let list: Vec<JsonJob> = serde_json::from_str(text)?;
    list.into_iter().enumerate().map(|(place, job)| job.read(place)).collect()
}

impl JsonJob {
    fn read(self, place: usize) -> anyhow::Result<Job> {
        let tasks = match (self.seconds, self.tasks) {
            (Seconds::All(secs), tasks) => vec![secs; tasks.unwrap_or(1)],
            (Seconds::Each(each), tasks) => {
                let count = tasks.unwrap_or(each.len());
                ensure!(count == each.len(), "job {place} has {count} tasks and {} `seconds`", each.len());
                each
            }
        };
        let deadline = match (self.deadline, self.within) {
            (Some(_), Some(_)) => bail!("job {place} has a `deadline` and a `within`: one of them"),
            (deadline, within) => deadline.or(within.map(|within| self.arrival + within)),
        };
        let class = self.class.unwrap_or_else(|| format!("job {place}"));
        Ok(Job { arrival: self.arrival, tasks, deadline, class, is_poison: self.poison })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_p_processors_is_p_tasks() {
        let text = "; UnixStartTime: 0\n1 100 5 30.5 4 -1 -1 4 60 -1 1 7 1 3 1 -1 -1 -1\n2 90 5 -1 4 -1 -1 4 60 -1 0 7 1 3 1 -1 -1 -1\n\
                    3 160 5 10 -1 -1 -1 2 60 -1 1 7 1 -1 1 -1 -1 -1 ; a comment\n";
        let jobs = swf(text).unwrap();
        assert_eq!(jobs.len(), 2, "the second one has no run time");
        assert_eq!((jobs[0].arrival, jobs[0].tasks.as_slice(), jobs[0].class.as_str()), (0.0, &[30.5; 4][..], "7/3"));
        assert_eq!((jobs[1].arrival, jobs[1].tasks.len()), (60.0, 2));
        assert!(swf("1 2 three 4 5").is_err() && swf("1 2").is_err());
    }

    #[test]
    fn deadlines_are_on_the_clock_of_the_trace_or_within_seconds_of_the_arrival() {
        let jobs = json(
            r#"[{"arrival": 10, "tasks": 2, "seconds": 30, "deadline": 500},
                            {"arrival": 10, "seconds": [1, 2, 3], "within": 100, "class": "c"}]"#,
        )
        .unwrap();
        assert_eq!((jobs[0].deadline, jobs[1].deadline), (Some(500.0), Some(110.0)));
        assert_eq!((jobs[0].tasks.as_slice(), jobs[1].tasks.as_slice()), (&[30.0; 2][..], &[1.0, 2.0, 3.0][..]));
        assert!(json(r#"[{"arrival": 0, "tasks": 2, "seconds": [1]}]"#).is_err());
        assert!(json(r#"[{"arrival": 0, "tasks": 2, "seconds": 1, "dead": 3}]"#).is_err());
    }
}
