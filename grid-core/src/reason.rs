//! Why an item failed: a closed list, because every reason has its own rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The closed list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The command ended with a status other than 0.
    Exit,
    /// The command was ended by a signal that gridmill did not send.
    Signal,
    /// The command ran longer than its `timeout`.
    Timeout,
    /// The command got too little memory, and was killed or said so and failed.
    Oom,
    /// The scratch disk is full.
    DiskFull,
    /// The item's input is missing, changed since it was planned, or damaged.
    Input,
    /// The command said success but its output is not what was promised.
    Output,
    /// The stage's `setup` failed.
    Setup,
    /// Its worker died or fell silent, again and again.
    LeaseLost,
    /// The machine was taken away by the spot market.
    Spot,
    /// The worker was told to finish.
    Drain,
    /// The job was cancelled.
    Cancelled,
    /// A fault of gridmill's own.
    Internal,
}

/// Whose budget a failure is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The command or its data: counts against `retry.attempts`.
    User,
    /// The machine, in a way that may be the task's doing: counts against the crash limit.
    Machine,
    /// Nobody: the grid itself asked for it. Never counted.
    Grid,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Exit,
        Self::Signal,
        Self::Timeout,
        Self::Oom,
        Self::DiskFull,
        Self::Input,
        Self::Output,
        Self::Setup,
        Self::LeaseLost,
        Self::Spot,
        Self::Drain,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The word used in files, tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::DiskFull => "disk_full",
            Self::Input => "input",
            Self::Output => "output",
            Self::Setup => "setup",
            Self::LeaseLost => "lease_lost",
            Self::Spot => "spot",
            Self::Drain => "drain",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Whose budget pays.
    pub fn blame(self) -> Blame {
        match self {
            Self::Exit | Self::Signal | Self::Timeout | Self::Oom | Self::Input | Self::Output | Self::Setup => {
                Blame::User
            }
            Self::DiskFull | Self::LeaseLost | Self::Internal => Blame::Machine,
            Self::Spot | Self::Drain | Self::Cancelled => Blame::Grid,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One failure, as the worker saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// The exit status, when the command ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The signal, when one ended the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// One sentence for people.
    pub message: String,
    /// The end of stderr, as text with replacement characters; at most
    /// [`STDERR_IN_MANIFEST_BYTES`](crate::limits::STDERR_IN_MANIFEST_BYTES).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

impl Failure {
    /// A failure that carries nothing but its reason and a sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, exit: None, signal: None, message: message.into(), stderr: String::new() }
    }
}
