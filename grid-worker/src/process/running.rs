//! A running command as its parent holds it: the ends of its pipes, its pidfd, its process group.

use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use spawn::{Process, Streams};

use super::switch::Switch;

/// A pipe holds at most this much (`/proc/sys/fs/pipe-max-size` unless the administrator raised it): what is read
/// after the end of a command, so that a daemon that goes on writing cannot keep us.
const MAX_PIPE_BYTES: usize = 1 << 20;

/// A command that was started, in a process group of its own.
#[derive(Debug)]
pub(super) struct Running {
    pid: Pid,
    exit: OwnedFd,
    is_killed: bool,
    is_reaped: bool,
    /// The writing end of its standard input; non-blocking.
    pub(super) stdin: Option<PipeWriter>,
    /// The reading end of its standard output; non-blocking.
    pub(super) stdout: Option<PipeReader>,
    /// The reading end of its standard error; non-blocking.
    pub(super) stderr: Option<PipeReader>,
}

/// What can be done without blocking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// Standard input takes bytes, or nobody will read them.
    pub(super) stdin: bool,
    /// Of standard output.
    pub(super) stdout: Output,
    /// Of standard error.
    pub(super) stderr: Output,
    /// The command has ended (what it started may still run).
    pub(super) exited: bool,
    /// The switch was touched.
    pub(super) switch: bool,
}

/// What a stream that the command writes has for us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    /// Nothing, now.
    #[default]
    Quiet,
    /// Bytes.
    Bytes,
    /// Its end: nobody holds the other end any more, and nothing is left in between.
    Ended,
}

/// What a write to standard input came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// So many bytes were taken.
    Bytes(usize),
    /// The pipe is full.
    Full,
    /// Nobody reads it any more: no error, a command need not read its input.
    Closed,
}

impl Running {
    /// Starts a command with what `start` does; it leads a process group of its own. Its standard input is a pipe, or what
    /// is given.
    pub(super) fn start(
        given: Option<BorrowedFd<'_>>,
        start: impl FnOnce(Streams<'_>) -> io::Result<Process>,
    ) -> io::Result<Self> {
        let theirs;
        let (input, stdin) = match given {
            Some(given) => (given, None),
            None => {
                let (reader, writer) = pipe()?;
                theirs = reader;
                (theirs.as_fd(), Some(writer))
            }
        };
        let ((stdout, output), (stderr, errors)) = (pipe()?, pipe()?);
        for ours in [stdin.as_ref().map(AsFd::as_fd), Some(stdout.as_fd()), Some(stderr.as_fd())].into_iter().flatten()
        {
            rustix::io::ioctl_fionbio(ours, true)?;
        }
        let streams = Streams { stdin: input, stdout: output.as_fd(), stderr: errors.as_fd() };
        let Process { pid, exit } = start(streams)?;
        let pid = Pid::from_raw(pid.cast_signed()).ok_or_else(|| io::Error::other("no process has this id"))?;
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        Ok(Self { pid, exit, is_killed: false, is_reaped: false, stdin, stdout, stderr })
    }

    /// Its process id, which is also that of its process group.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until something can be done, the switch is touched, or it is `until`. Standard input counts only when there
    /// is something to write.
    pub(super) fn wait(&self, switch: &Switch, until: Option<Instant>, to_write: usize) -> io::Result<Ready> {
        // A stream that is closed is replaced by the pidfd with nothing asked of it.
        let asked = |open: bool, flags| if open { flags } else { PollFlags::empty() };
        let (stdin, stdout, stderr) = (self.stdin.as_ref(), self.stdout.as_ref(), self.stderr.as_ref());
        let mut fds = [
            PollFd::new(&self.exit, PollFlags::IN),
            PollFd::new(switch, PollFlags::IN),
            PollFd::from_borrowed_fd(
                stdout.map(AsFd::as_fd).unwrap_or(self.exit.as_fd()),
                asked(stdout.is_some(), PollFlags::IN),
            ),
            PollFd::from_borrowed_fd(
                stderr.map(AsFd::as_fd).unwrap_or(self.exit.as_fd()),
                asked(stderr.is_some(), PollFlags::IN),
            ),
            PollFd::from_borrowed_fd(
                stdin.filter(|_| to_write > 0).map(AsFd::as_fd).unwrap_or(self.exit.as_fd()),
                asked(stdin.is_some() && to_write > 0, PollFlags::OUT),
            ),
        ];
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let touched = |at: usize| !fds[at].revents().is_empty();
        let output = |at: usize, open: bool| match fds[at].revents() {
            _ if !open => Output::Quiet,
            events if events.contains(PollFlags::IN) => Output::Bytes,
            events if events.is_empty() => Output::Quiet,
            _ => Output::Ended,
        };
        Ok(Ready {
            exited: fds[0].revents().contains(PollFlags::IN),
            switch: touched(1),
            stdout: output(2, stdout.is_some()),
            stderr: output(3, stderr.is_some()),
            stdin: stdin.is_some() && to_write > 0 && touched(4),
        })
    }

    /// Writes to standard input what it takes now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Wrote> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(Wrote::Closed);
        };
        match stdin.write(bytes) {
            Ok(count) => Ok(Wrote::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdin = None;
                Ok(Wrote::Closed)
            }
            Err(error) if may_try_again(&error) => Ok(Wrote::Full),
            Err(error) => Err(error),
        }
    }

    /// Waits for its end until then; whether it has ended.
    pub(super) fn has_ended(&self, until: Instant) -> bool {
        loop {
            let timeout = timespec(until.saturating_duration_since(Instant::now()));
            match poll(&mut [PollFd::new(&self.exit, PollFlags::IN)], Some(&timeout)) {
                Ok(count) => return count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Sends a signal to the whole process group; that it is gone is no error.
    pub(super) fn signal(&self, signal: Signal) {
        signal_group(self.pid, signal);
    }

    /// Kills whatever is left of its process group, and of itself.
    pub(super) fn kill(&mut self) {
        if !std::mem::replace(&mut self.is_killed, true) {
            self.signal(Signal::KILL);
        }
    }

    /// Kills its process group and waits for its own end; its status is its own when it had ended before.
    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        // Before the wait: until then the process id, and with it the group's, cannot belong to anyone else.
        self.kill();
        drop((self.stdin.take(), self.stdout.take(), self.stderr.take()));
        self.is_reaped = true;
        wait(self.pid)
    }
}

/// However its owner goes, no process stays behind.
impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped
            && let Err(error) = self.end()
        {
            tracing::warn!(%error, "could not wait for a command");
        }
    }
}

/// Reads once from a non-blocking pipe; `None` at its end, 0 bytes when there is nothing now.
pub(super) fn read_some(pipe: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match pipe.read(buffer) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(error) if may_try_again(&error) => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// Reads what a pipe holds after its command has ended.
pub(super) fn drain(
    pipe: &mut impl Read,
    buffer: &mut [u8],
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = MAX_PIPE_BYTES;
    while left > 0 {
        match read_some(pipe, buffer)? {
            None | Some(0) => break,
            Some(count) => {
                sink(&buffer[..count])?;
                left = left.saturating_sub(count);
            }
        }
    }
    Ok(())
}

fn may_try_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits for the end of a process that nobody has waited for.
fn wait(pid: Pid) -> io::Result<ExitStatus> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn signal_group(pid: Pid, signal: Signal) {
    // Group 0 would be our own, and 1 everybody's: never, whatever a caller holds.
    if pid.as_raw_nonzero().get() > 1 {
        let _ = kill_process_group(pid, signal);
    }
}

fn timespec(duration: std::time::Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
