//! What came of a simulated run.

use crate::sim::Spent;

/// The balance of one run. Seconds, unless the name says hours.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Machine-seconds billed.
    pub billed: f64,
    /// Of them: of machines that are not reclaimed.
    pub billed_staying: f64,
    /// Dollars for all of them.
    pub usd: f64,
    /// Of them: until the first heartbeat.
    pub booting: f64,
    /// Of them: while slots were free.
    pub idle: Idle,
    /// Slot-seconds of executions that counted.
    pub worked: f64,
    /// Slot-seconds of executions that did not: reclaimed machines, poison.
    pub lost: f64,
    /// From arrival to the end of the last task, of every job that ended.
    pub completion: Vec<f64>,
    /// Jobs that ended too late.
    pub late: Vec<Late>,
    /// Jobs that were cancelled as poison.
    pub cancelled: usize,
    /// Tasks that ran on a machine which the law ended.
    pub killed: usize,
    /// Machines that came or were booting.
    pub launched: usize,
    /// Machines that never ran a task.
    pub unused: usize,
    /// Machines launched within a mean boot time after the law ended another one: flapping.
    pub bought_again: usize,
    /// Machines that were reclaimed.
    pub reclaimed: usize,
    /// Actions of the law, alarms left out.
    pub actions: usize,
    /// When the last job ended.
    pub end: f64,
    /// Capacity and demand over time.
    pub samples: Vec<Sample>,
}

/// Machine-seconds in which slots of a machine that was there were free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    /// All of them, before the first task.
    pub before_work: f64,
    /// All of them, between tasks.
    pub between: f64,
    /// Some of them, beside tasks in the others.
    pub beside: f64,
    /// All of them, from the last task to the end.
    pub after_work: f64,
}

impl Idle {
    /// Adds what a machine of so many slots has spent.
    pub fn add(&mut self, spent: &Spent, slots: f64) {
        let secs = |ms: u64| ms as f64 / 1e3;
        self.before_work += secs(spent.before_work);
        self.between += secs(spent.between);
        self.beside += secs(spent.beside) / slots;
        self.after_work += secs(spent.after_work);
    }
}

/// A job that ended too late. Seconds.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// Its place in the trace.
    pub job: usize,
    /// By how much.
    pub by: f64,
    /// From the arrival until it is due.
    pub within: f64,
    /// Its tasks.
    pub tasks: usize,
    /// Their mean.
    pub mean: f64,
    /// What its class was known for when it arrived.
    pub known: Option<f64>,
    /// The task that ended last: its length.
    pub last_secs: f64,
    /// From the arrival until that one started, for the last time.
    pub last_started: f64,
    /// How often it was handed back before.
    pub handed_back: u32,
    /// How long the fleet had no room for another machine meanwhile.
    pub full: f64,
}

impl Late {
    /// What made it late.
    pub fn why(&self) -> Why {
        let due_start = self.within - self.last_secs;
        if self.handed_back > 0 {
            Why::Reclaimed
        } else if self.full > self.last_started - due_start {
            Why::FleetFull
        } else if self.known.is_none_or(|known| known < 0.7 * self.mean) {
            Why::LongerThanKnown
        } else {
            Why::StartedLate
        }
    }
}

/// What made a job late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its last task ran twice, for its machine was reclaimed.
    Reclaimed,
    /// There were as many machines as there may be, for longer than it is late.
    FleetFull,
    /// Its tasks were a third longer than what its class was known for, or nothing was known.
    LongerThanKnown,
    /// Its last task started too late for no such reason.
    StartedLate,
}

/// What a tick saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// When.
    pub at: f64,
    /// Slots of machines that take tasks.
    pub ready: f64,
    /// Slots of machines on their way.
    pub booting: f64,
    /// Slots in use.
    pub busy: f64,
    /// Tasks that wait and that run.
    pub demand: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_late_for_one_reason() {
        let late = Late {
            job: 0,
            by: 50.0,
            within: 1_000.0,
            tasks: 4,
            mean: 100.0,
            known: Some(100.0),
            last_secs: 100.0,
            last_started: 950.0,
            handed_back: 0,
            full: 0.0,
        };
        assert_eq!(late.why(), Why::StartedLate);
        assert_eq!(Late { known: Some(60.0), ..late }.why(), Why::LongerThanKnown);
        assert_eq!(Late { full: 51.0, known: None, ..late }.why(), Why::FleetFull);
        assert_eq!(Late { full: 49.0, known: None, ..late }.why(), Why::LongerThanKnown);
        assert_eq!(Late { handed_back: 1, full: 51.0, ..late }.why(), Why::Reclaimed);
    }
}
