//! How the process ends: the exit codes of the public contract, and errors that know theirs.

use std::fmt;
use std::process::ExitCode;

use grid_api::{JobState, JobStatus};
use grid_worker::WorkerError;
use infra::{ErrorKind, NotOpen};
use job_manager::ManagerError;
use job_manager::view::outputs::{NameFault, WalkError};

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything is done.
    Done,
    /// The job failed.
    Failed,
    /// The command line or the pipeline file is wrong.
    Usage,
    /// Done, but some items were given up on.
    DeadLetters,
    /// The job was cancelled.
    Cancelled,
    /// A back end could not be used: not reached, full, or held by another process.
    BackEnd,
    /// Interrupted; the state is kept.
    Interrupted,
    /// The code of a command that was run on behalf of the user (`replay`).
    Command(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::DeadLetters => 3,
            Self::Cancelled => 4,
            Self::BackEnd => 5,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }

    /// What a job's state means for the command that waited for it.
    pub fn of_job(status: &JobStatus) -> Self {
        match status.state {
            JobState::Succeeded if status.stages.iter().any(|stage| stage.dead > 0) => Self::DeadLetters,
            JobState::Succeeded => Self::Done,
            JobState::Failed | JobState::Quarantined => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
            // Nobody waits for it any longer, and it goes on when it is run again.
            JobState::Running | JobState::Paused | JobState::Committing => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what it was asked, what to do about it, and the exit code that says so.
#[derive(Debug)]
pub struct Fault {
    /// The code.
    pub exit: Exit,
    error: anyhow::Error,
    help: Option<String>,
}

/// How a command ends.
pub type Outcome<T = Exit> = Result<T, Fault>;

impl Fault {
    /// The command line or the pipeline file is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{message}"), help: None }
    }

    /// Something that gridmill stands on does not work.
    pub fn back_end(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::BackEnd, error: error.into(), help: None }
    }

    /// Something that was promised did not come about.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into(), help: None }
    }

    /// The end of a command that needs no word.
    pub fn quiet(exit: Exit) -> Self {
        Self { exit, error: anyhow::Error::msg(""), help: None }
    }

    /// Says what was being done, before the cause.
    pub fn while_doing(mut self, what: impl fmt::Display) -> Self {
        self.error = self.error.context(what.to_string());
        self
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Fault {
    /// The whole chain in one line, causes that repeat their parent left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if said.is_empty() {
                said = cause;
            } else if !said.contains(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        f.write_str(&said)
    }
}

impl From<infra::Error> for Fault {
    fn from(error: infra::Error) -> Self {
        let help = match error.kind {
            ErrorKind::Full => Some("free some space and run the same command again: it goes on where it stopped"),
            ErrorKind::Denied => Some("check who owns the folder and its permissions"),
            ErrorKind::Throttled | ErrorKind::Unavailable => Some("run the same command again: it resumes"),
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid => None,
        };
        let fault = Self::back_end(error);
        match help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

impl From<NotOpen> for Fault {
    fn from(error: NotOpen) -> Self {
        infra::Error::from(error).into()
    }
}

impl From<ManagerError> for Fault {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::Store(error) => error.into(),
            ManagerError::Fenced | ManagerError::Damaged { .. } => Self::back_end(error),
        }
    }
}

impl From<WalkError> for Fault {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Name(fault) => Self::usage(fault).help(NameFault::REMEDY),
            WalkError::Store(error) => error.into(),
        }
    }
}

impl From<WorkerError> for Fault {
    fn from(error: WorkerError) -> Self {
        Self::back_end(error)
    }
}

#[cfg(test)]
mod tests {
    use grid_api::StageStatus;
    use grid_core::ids::{JobId, StageName};

    use super::*;

    fn job(state: JobState, dead: u64) -> JobStatus {
        let stage = StageStatus {
            name: StageName::new("a"),
            items: 3,
            planned: true,
            ok: 3 - dead,
            reused: 0,
            skipped: 0,
            dead,
            failed: false,
            running: 0,
            attempts: 3,
            failures: Default::default(),
            bytes_planned: 0,
            bytes_in: 0,
            bytes_out: 0,
            busy_secs: 0.0,
        };
        JobStatus {
            job: JobId::new("0190"),
            pipeline: "p".into(),
            state,
            message: None,
            submitted: String::new(),
            finished: None,
            stages: vec![stage],
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            (JobState::Succeeded, 0, 0),
            (JobState::Succeeded, 1, 3),
            (JobState::Failed, 1, 1),
            (JobState::Quarantined, 0, 1),
            (JobState::Cancelled, 0, 4),
            (JobState::Running, 0, 130),
        ];
        for (state, dead, code) in codes {
            assert_eq!(Exit::of_job(&job(state, dead)).code(), code, "{state:?} with {dead} dead letters");
        }
        assert_eq!([Exit::Usage.code(), Exit::BackEnd.code(), Exit::Command(77).code()], [2, 5, 77]);
    }

    #[test]
    fn a_full_disk_ends_with_five_and_a_remedy() {
        let fault = Fault::from(infra::Error::caused(
            ErrorKind::Full,
            "failed to write object x",
            std::io::Error::from_raw_os_error(28),
        ));
        assert_eq!(fault.exit, Exit::BackEnd);
        assert!(fault.remedy().is_some());
        assert!(fault.to_string().starts_with("failed to write object x: No space left"), "{fault}");
    }

    #[test]
    fn a_cause_that_its_parent_already_says_is_not_repeated() {
        let fault = Fault::usage("no such file").while_doing("failed to read a: no such file");
        assert_eq!(fault.to_string(), "failed to read a: no such file");
    }
}
