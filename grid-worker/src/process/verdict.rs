//! What the end of a command means for its item.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use grid_core::reason::{Failure, Reason};
use grid_core::units::ByteSize;

use super::supervise::{Ended, EndedBy};
use super::{fault, want_of_memory};

/// EX_TEMPFAIL of sysexits.h: the command asks for another attempt.
pub(super) const EX_TEMPFAIL: i32 = 75;

/// What a shell exits with when its command could not be executed, and when it was not found.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What a shell adds to the signal that ended its command.
const SHELL_SIGNAL_BASE: i32 = 128;

const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

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

/// Adds what a command said last to its failure. Under a memory limit the kernel refuses rather than kills, and nearly
/// every program then says so and fails by itself: what it says decides whether it was for want of memory.
pub(super) fn with_last_words(failure: Failure, stderr: String, memory: Option<ByteSize>) -> Failure {
    let failure = Failure { stderr, ..failure };
    match (memory, failure.reason) {
        (Some(limit), Reason::Exit | Reason::Signal) if want_of_memory::is_told_in(&failure) => Failure {
            message: format!(
                "{}: it ran out of memory under its limit of {limit}: raise `resources.memory`, or have it raised by a \
                 retry rule with `memory: x2`",
                failure.message
            ),
            reason: Reason::Oom,
            ..failure
        },
        // A guess would double the memory of every program with a bad pointer.
        (Some(limit), Reason::Exit | Reason::Signal) if was_ended_by(SIGSEGV, failure.exit, failure.signal) => {
            Failure {
                message: format!(
                    "{}; sh, node and java end so, too, when they get too little memory: `resources.memory` is {limit} here",
                    failure.message
                ),
                ..failure
            }
        }
        _ => failure,
    }
}

fn of_status(status: ExitStatus, out_of_memory: impl FnOnce() -> bool) -> Verdict {
    let killed = was_ended_by(SIGKILL, status.code(), status.signal());
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

/// Whether a signal ended the command, or what a shell ran in it.
fn was_ended_by(wanted: i32, exit: Option<i32>, signal: Option<i32>) -> bool {
    signal == Some(wanted) || exit == Some(SHELL_SIGNAL_BASE + wanted)
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
    fn last_words_count_only_under_a_limit_and_after_an_end_by_itself() {
        let limit = Some(ByteSize(64 << 20));
        let of = |reason, memory| with_last_words(Failure::new(reason, "it ended"), "MemoryError\n".into(), memory);
        let plain = |reason| Failure { stderr: "MemoryError\n".into(), ..Failure::new(reason, "it ended") };
        let message = "it ended: it ran out of memory under its limit of 64.0 MiB: raise `resources.memory`, or have it \
                       raised by a retry rule with `memory: x2`";
        for reason in Reason::ALL {
            assert_eq!(of(reason, None), plain(reason));
            let expected = match reason {
                Reason::Exit | Reason::Signal => Failure { message: message.into(), ..plain(Reason::Oom) },
                other => plain(other),
            };
            assert_eq!(of(reason, limit), expected);
        }
    }

    #[test]
    fn a_silent_crash_under_a_limit_stays_a_signal() {
        let crash = |signal| Failure { signal: Some(signal), ..Failure::new(Reason::Signal, "it crashed") };
        let limit = Some(ByteSize(64 << 20));
        let said = with_last_words(crash(SIGSEGV), String::new(), limit);
        assert_eq!(said.reason, Reason::Signal);
        assert!(said.message.ends_with("`resources.memory` is 64.0 MiB here"), "{}", said.message);
        for signal in [SIGKILL, 6] {
            assert_eq!(with_last_words(crash(signal), String::new(), limit), crash(signal));
        }
        assert_eq!(with_last_words(crash(SIGSEGV), String::new(), None), crash(SIGSEGV));
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
