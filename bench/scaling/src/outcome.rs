//! What came of a simulated run.

/// The balance of one run. Seconds, unless the name says hours.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Machine-seconds billed.
    pub billed: f64,
    /// Of them: until the first heartbeat.
    pub booting: f64,
    /// Slot-seconds of executions that counted.
    pub worked: f64,
    /// Slot-seconds of executions that did not: reclaimed machines, poison.
    pub lost: f64,
    /// From arrival to the end of the last task, of every job that ended.
    pub completion: Vec<f64>,
    /// Jobs that ended too late.
    pub late: usize,
    /// By how much.
    pub late_secs: Vec<f64>,
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
