//! From the start of a command to its end: one loop over its pipes, its deadline and the switch, in one thread.

use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use grid_core::reason::Failure;
use rustix::process::Signal;

use super::running::{Output, Ready, Running, Wrote, drain, read_some};
use super::stderr::Stderr;
use super::switch::Switch;

/// How much is read at once: what a pipe holds by default.
pub(super) const READ_BYTES: usize = 64 << 10;

/// What a command is given and what becomes of what it writes.
pub(super) struct Session<'a> {
    /// Written to its standard input, one after the other.
    pub(super) input: VecDeque<Bytes>,
    /// Takes its standard output; an error ends the command.
    pub(super) stdout: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    /// Takes its standard error.
    pub(super) stderr: &'a mut Stderr,
    /// Longest time it may run.
    pub(super) timeout: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Interrupts it.
    pub(super) switch: &'a Switch,
    /// At least [`READ_BYTES`].
    pub(super) buffer: &'a mut [u8],
}

/// How a command came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its own status.
    pub(super) status: ExitStatus,
    /// Who ended it.
    pub(super) by: EndedBy,
}

/// Who ended a command.
#[derive(Debug)]
pub(super) enum EndedBy {
    /// Itself, or somebody else's signal.
    Itself,
    /// We, since it ran longer than its timeout.
    Timeout,
    /// We, since the switch said so.
    Stop,
    /// We, since its input could not be had.
    Input(Failure),
    /// We, since its output could not be kept.
    Output(io::Error),
}

/// How far the end of a command is.
enum Phase {
    Running { until: Instant },
    Terminated { by: EndedBy, until: Instant },
    Killed { by: EndedBy },
}

impl Phase {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Running { until } | Self::Terminated { until, .. } => Some(*until),
            Self::Killed { .. } => None,
        }
    }

    fn ended_by(self) -> EndedBy {
        match self {
            Self::Running { .. } => EndedBy::Itself,
            Self::Terminated { by, .. } | Self::Killed { by } => by,
        }
    }
}

/// Serves a command until it has ended; nothing of its process group is left when this returns. An error is one of the
/// system's own, and the command is gone then, too.
pub(super) fn supervise(mut running: Running, mut session: Session<'_>) -> io::Result<Ended> {
    let mut phase = Phase::Running { until: Instant::now() + session.timeout };
    serve(&mut running, &mut session, &mut phase)?;
    running.kill();
    if let Err(error) = take_rest(&mut running, &mut session)
        && matches!(phase, Phase::Running { .. })
    {
        phase = Phase::Killed { by: EndedBy::Output(error) };
    }
    let status = running.reap()?;
    Ok(Ended { status, by: phase.ended_by() })
}

fn serve(running: &mut Running, session: &mut Session<'_>, phase: &mut Phase) -> io::Result<()> {
    loop {
        if session.input.is_empty() {
            running.stdin = None;
        }
        let ready = running.wait(session.switch, phase.until(), session.input.len())?;
        if let Err(error) = transfer(running, session, ready)
            && matches!(phase, Phase::Running { .. })
        {
            running.kill();
            *phase = Phase::Killed { by: EndedBy::Output(error) };
        }
        if ready.exited {
            return Ok(());
        }
        if ready.switch {
            session.switch.acknowledge();
        }
        escalate(running, session, phase);
    }
}

/// Moves the command on towards its end when it is time, or when the switch was touched.
fn escalate(running: &mut Running, session: &Session<'_>, phase: &mut Phase) {
    let now = Instant::now();
    match phase {
        Phase::Running { until } => {
            if let Some(fault) = session.switch.take_fault() {
                running.kill();
                *phase = Phase::Killed { by: EndedBy::Input(fault) };
                return;
            }
            let by = if session.switch.is_stopped() {
                EndedBy::Stop
            } else if now >= *until {
                EndedBy::Timeout
            } else {
                return;
            };
            running.signal(Signal::TERM);
            *phase = Phase::Terminated { by, until: now + session.grace };
        }
        Phase::Terminated { by, until } if now >= *until => {
            running.kill();
            *phase = Phase::Killed { by: std::mem::replace(by, EndedBy::Itself) };
        }
        Phase::Terminated { .. } | Phase::Killed { .. } => {}
    }
}

fn transfer(running: &mut Running, session: &mut Session<'_>, ready: Ready) -> io::Result<()> {
    if ready.stdin {
        give(running, &mut session.input)?;
    }
    match (ready.stderr, &mut running.stderr) {
        (Output::Bytes, Some(pipe)) => match read_some(pipe, session.buffer)? {
            Some(count) => session.stderr.take(&session.buffer[..count]),
            None => running.stderr = None,
        },
        (Output::Ended, _) => running.stderr = None,
        (Output::Bytes | Output::Quiet, _) => {}
    }
    match (ready.stdout, &mut running.stdout) {
        (Output::Bytes, Some(pipe)) => match read_some(pipe, session.buffer)? {
            Some(count) => (session.stdout)(&session.buffer[..count])?,
            None => running.stdout = None,
        },
        (Output::Ended, _) => running.stdout = None,
        (Output::Bytes | Output::Quiet, _) => {}
    }
    Ok(())
}

fn give(running: &mut Running, input: &mut VecDeque<Bytes>) -> io::Result<()> {
    while let Some(front) = input.front_mut() {
        match running.write(front)? {
            Wrote::Bytes(count) => front.advance(count),
            Wrote::Full => return Ok(()),
            Wrote::Closed => input.clear(),
        }
        if input.front().is_some_and(Bytes::is_empty) {
            input.pop_front();
        }
    }
    Ok(())
}

fn take_rest(running: &mut Running, session: &mut Session<'_>) -> io::Result<()> {
    if let Some(pipe) = &mut running.stderr {
        drain(pipe, session.buffer, |bytes| {
            session.stderr.take(bytes);
            Ok(())
        })?;
    }
    match &mut running.stdout {
        Some(pipe) => drain(pipe, session.buffer, &mut *session.stdout),
        None => Ok(()),
    }
}
