//! What the end of a command means for its item.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use grid_core::reason::{Failure, Reason};

use super::fault;
use super::supervise::{Ended, EndedBy};

/// EX_TEMPFAIL of sysexits.h: the command asks for another attempt.
pub(super) const EX_TEMPFAIL: i32 = 75;

/// What a shell exits with when its command could not be executed, and when it was not found.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What a shell adds to the signal that ended its command.
const SHELL_SIGNAL_BASE: i32 = 128;

const SIGKILL: i32 = 9;

/// What the end of a command means.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It succeeded.
    Success,
    /// It was told to stop: nothing is known of the item.
    Stopped,
    /// It failed; the failure has no stderr yet.
    Failed(Failure),
}

/// Judges. `out_of_memory` tells whether the kernel has killed for want of memory of late; it is asked only after a
/// SIGKILL that was not ours.
pub(super) fn judge(ended: Ended, timeout: Duration, out_of_memory: impl FnOnce() -> bool) -> Verdict {
    match ended.by {
        EndedBy::Itself => of_status(ended.status, out_of_memory),
        EndedBy::Stop => Verdict::Stopped,
        EndedBy::Timeout => Verdict::Failed(Failure {
            exit: ended.status.code(),
            signal: ended.status.signal(),
            ..Failure::new(
                Reason::Timeout,
                format!(
                    "the command ran longer than its timeout of {timeout:?}: raise `timeout`, or make the items smaller"
                ),
            )
        }),
        EndedBy::Input(failure) => Verdict::Failed(failure),
        EndedBy::Output(error) => Verdict::Failed(fault::own("keep the command's output", &error)),
    }
}

fn of_status(status: ExitStatus, out_of_memory: impl FnOnce() -> bool) -> Verdict {
    let killed = status.signal() == Some(SIGKILL) || status.code() == Some(SHELL_SIGNAL_BASE + SIGKILL);
    let (reason, message) = match (status.code(), status.signal()) {
        (Some(0), _) => return Verdict::Success,
        _ if killed && out_of_memory() => (
            Reason::Oom,
            "the machine ran out of memory and the kernel killed the command: set `resources.memory`, or make the items \
             smaller"
                .to_owned(),
        ),
        (Some(EX_TEMPFAIL), _) => {
            (Reason::Exit, "the command asked for another attempt (exit status 75, EX_TEMPFAIL)".to_owned())
        }
        (Some(NOT_FOUND), _) => (
            Reason::Exit,
            "exit status 127: a command in `run` was not found; stderr names it; install it where the worker runs, or name \
             it by its path"
                .to_owned(),
        ),
        (Some(NOT_EXECUTABLE), _) => (
            Reason::Exit,
            "exit status 126: a command in `run` may not be executed; stderr names it; try `chmod +x`".to_owned(),
        ),
        (Some(code), _) => (Reason::Exit, format!("the command ended with exit status {code}")),
        (None, Some(signal)) => (Reason::Signal, format!("the command was ended by signal {}", name_of(signal))),
        (None, None) => (Reason::Internal, format!("the command ended in an unknown way: {status}")),
    };
    Verdict::Failed(Failure { exit: status.code(), signal: status.signal(), ..Failure::new(reason, message) })
}

/// `SIGSEGV (11)`, or the number alone where numbers differ between machines.
fn name_of(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        other => return other.to_string(),
    };
    format!("{name} ({signal})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn by_itself(raw: i32) -> Ended {
        Ended { status: ExitStatus::from_raw(raw), by: EndedBy::Itself }
    }

    fn reason(verdict: Verdict) -> (Reason, Option<i32>, Option<i32>) {
        match verdict {
            Verdict::Failed(failure) => (failure.reason, failure.exit, failure.signal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_status_0_is_success() {
        assert_eq!(judge(by_itself(0), MINUTE, || true), Verdict::Success);
        assert_eq!(reason(judge(by_itself(3 << 8), MINUTE, || true)), (Reason::Exit, Some(3), None));
        assert_eq!(reason(judge(by_itself(75 << 8), MINUTE, || true)), (Reason::Exit, Some(75), None));
        assert_eq!(reason(judge(by_itself(11), MINUTE, || true)), (Reason::Signal, None, Some(11)));
    }

    #[test]
    fn a_kill_counts_as_out_of_memory_only_with_evidence() {
        assert_eq!(reason(judge(by_itself(9), MINUTE, || false)), (Reason::Signal, None, Some(9)));
        assert_eq!(reason(judge(by_itself(9), MINUTE, || true)), (Reason::Oom, None, Some(9)));
        assert_eq!(reason(judge(by_itself(137 << 8), MINUTE, || true)), (Reason::Oom, Some(137), None));
    }

    #[test]
    fn what_we_ended_is_not_judged_by_its_status() {
        let ended = |by| Ended { status: ExitStatus::from_raw(0), by };
        assert_eq!(judge(ended(EndedBy::Stop), MINUTE, || true), Verdict::Stopped);
        assert_eq!(reason(judge(ended(EndedBy::Timeout), MINUTE, || true)), (Reason::Timeout, Some(0), None));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(reason(judge(ended(EndedBy::Output(full)), MINUTE, || true)).0, Reason::DiskFull);
    }
}
