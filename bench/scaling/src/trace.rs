//! What arrives: jobs with the times that their tasks will take, which the law does not see.

use anyhow::ensure;

/// An arrival trace. Seconds from its begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// What it is called in the table.
    pub name: String,
    /// The jobs, ascending by arrival.
    pub jobs: Vec<Job>,
}

/// A job of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// When it arrives.
    pub arrival: f64,
    /// The slot time of each task, in the order in which they are handed out; never empty.
    pub tasks: Vec<f64>,
    /// When its last task shall have ended, if the user said so: the law is told.
    pub deadline: Option<f64>,
    /// Where its task times are kept.
    pub class: String,
    /// Every execution fails.
    pub is_poison: bool,
}

impl Trace {
    /// A trace of jobs in any order.
    pub fn new(name: impl Into<String>, mut jobs: Vec<Job>) -> anyhow::Result<Self> {
        let name = name.into();
        ensure!(!jobs.is_empty(), "trace {name} has no job");
        jobs.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
        for (place, job) in jobs.iter().enumerate() {
            let is_time = |secs: f64| secs.is_finite() && secs >= 0.0;
            ensure!(
                is_time(job.arrival),
                "job {place} of {name} arrives at {}: a time from 0 on is needed",
                job.arrival
            );
            ensure!(!job.tasks.is_empty(), "job {place} of {name} has no task");
            ensure!(
                job.tasks.iter().all(|secs| is_time(*secs)),
                "a task of job {place} of {name} has no time from 0 on"
            );
            if let Some(deadline) = job.deadline {
                let soonest = job.arrival + job.longest();
                ensure!(
                    deadline >= soonest,
                    "job {place} of {name} is due at {deadline} s and cannot end before {soonest} s; deadlines are told \
                     on the clock of the trace, as arrivals are (or `within` so many seconds of the arrival)"
                );
            }
        }
        Ok(Self { name, jobs })
    }
}

impl Job {
    /// Its longest task.
    pub fn longest(&self) -> f64 {
        self.tasks.iter().copied().fold(0.0, f64::max)
    }

    /// Slot-seconds.
    pub fn work(&self) -> f64 {
        self.tasks.iter().sum()
    }

    /// When it is late: what the user said, else the drain target after the arrival plus its longest task.
    pub fn due(&self, drain_target: f64) -> f64 {
        self.deadline.unwrap_or(self.arrival + drain_target + self.longest())
    }
}
