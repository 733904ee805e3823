//! Co-processes: commands that serve one item after the other, kept from task to task.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use grid_core::ids::{JobId, StageName};
use grid_core::units::ByteSize;
use rustix::process::Signal;

use super::orphans::Held;
use super::running::{Output, Running, Wrote, drain, read_some};
use super::stderr::Stderr;
use super::switch::Switch;

/// Longest reply: it is held in memory and parsed whole; larger outputs go by `output_file`.
pub(super) const MAX_REPLY_BYTES: usize = 64 << 20;

/// A co-process that has served nobody for so long is ended when another stage's needs one: its job may be over.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// What a co-process serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) job: JobId,
    pub(super) stage: StageName,
    /// The values of parameters that it was started with: a redrive may set others.
    pub(super) params: BTreeMap<String, String>,
    /// The limit that it was started under: an attempt that is given more must not meet one with less.
    pub(super) memory: Option<ByteSize>,
}

/// A co-process.
#[derive(Debug)]
pub(super) struct Coprocess {
    running: Running,
    /// Bytes of standard output that are not yet a line.
    partial: Vec<u8>,
    grace: Duration,
    _held: Held,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Exchanged {
    /// A line came back, without its newline.
    Reply(Vec<u8>),
    /// More than a line came back.
    Surplus,
    /// More than [`MAX_REPLY_BYTES`] came back and no end of it.
    TooLong,
    /// Nothing came back in time.
    Late,
    /// The switch said stop.
    Stopped,
    /// It ended, or closed its standard output.
    Gone,
}

/// The co-processes that nobody uses just now: at most one a slot and stage.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Served, Instant, Coprocess)>>,
}

impl Coprocess {
    /// Takes charge of a command that was started.
    pub(super) fn new(running: Running, grace: Duration) -> Self {
        let held = Held::new(running.pid());
        Self { running, partial: Vec::new(), grace, _held: held }
    }

    /// Sends a request, which ends with a newline, and waits for the line that answers it.
    pub(super) fn exchange(
        &mut self,
        mut request: &[u8],
        until: Instant,
        stderr: &mut Stderr,
        switch: &Switch,
        buffer: &mut [u8],
    ) -> io::Result<Exchanged> {
        loop {
            let ready = self.running.wait(switch, Some(until), request.len())?;
            if ready.stdin {
                match self.running.write(request)? {
                    Wrote::Bytes(count) => request = &request[count..],
                    Wrote::Full => {}
                    Wrote::Closed => request = &[],
                }
            }
            if ready.stderr != Output::Quiet {
                self.read_stderr(stderr, buffer)?;
            }
            if ready.stdout != Output::Quiet
                && let Some(exchanged) = self.read_reply(buffer)?
            {
                return Ok(exchanged);
            }
            if ready.switch {
                switch.acknowledge();
            }
            if switch.is_stopped() {
                return Ok(Exchanged::Stopped);
            }
            // Its last line may have come together with its end.
            if ready.exited && ready.stdout == Output::Quiet {
                return Ok(Exchanged::Gone);
            }
            if Instant::now() >= until {
                return Ok(Exchanged::Late);
            }
        }
    }

    /// Ends it at once, but for one that said it is about to end by itself: its status is worth a moment.
    pub(super) fn kill(mut self, patience: Duration, stderr: &mut Stderr, buffer: &mut [u8]) -> io::Result<ExitStatus> {
        let _ = self.running.has_ended(Instant::now() + patience);
        self.running.kill();
        if let Some(pipe) = &mut self.running.stderr {
            drain(pipe, buffer, |bytes| {
                stderr.take(bytes);
                Ok(())
            })?;
        }
        self.running.reap()
    }

    /// Ends it as a command is ended: SIGTERM, grace, SIGKILL.
    pub(super) fn terminate(self) -> io::Result<()> {
        self.running.signal(Signal::TERM);
        let _ = self.running.has_ended(Instant::now() + self.grace);
        self.running.reap().map(drop)
    }

    fn read_stderr(&mut self, stderr: &mut Stderr, buffer: &mut [u8]) -> io::Result<()> {
        let Some(pipe) = &mut self.running.stderr else {
            return Ok(());
        };
        match read_some(pipe, buffer)? {
            Some(count) => stderr.take(&buffer[..count]),
            None => self.running.stderr = None,
        }
        Ok(())
    }

    fn read_reply(&mut self, buffer: &mut [u8]) -> io::Result<Option<Exchanged>> {
        let Some(pipe) = &mut self.running.stdout else {
            return Ok(Some(Exchanged::Gone));
        };
        let Some(count) = read_some(pipe, buffer)? else {
            self.running.stdout = None;
            return Ok(Some(Exchanged::Gone));
        };
        let bytes = &buffer[..count];
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.partial.extend_from_slice(&bytes[..end]);
                let reply = std::mem::take(&mut self.partial);
                Ok(Some(if end + 1 == count { Exchanged::Reply(reply) } else { Exchanged::Surplus }))
            }
            None if self.partial.len() + count > MAX_REPLY_BYTES => Ok(Some(Exchanged::TooLong)),
            None => {
                self.partial.extend_from_slice(bytes);
                Ok(None)
            }
        }
    }
}

impl Pool {
    /// An idle co-process of a stage that still lives.
    pub(super) fn take(&self, served: &Served) -> Option<Coprocess> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(at) = idle.iter().rposition(|(other, ..)| other == served) {
            let (_, _, coprocess) = idle.swap_remove(at);
            if !coprocess.running.has_ended(Instant::now()) {
                return Some(coprocess);
            }
            end(coprocess, Instant::now());
        }
        None
    }

    /// Keeps a co-process for the next task, and ends those that have waited long.
    pub(super) fn put(&self, served: Served, coprocess: Coprocess) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *idle);
        let (stale, fresh) = all.into_iter().partition(|(_, since, _)| since.elapsed() >= MAX_IDLE);
        *idle = fresh;
        idle.push((served, Instant::now(), coprocess));
        drop(idle);
        end_gently(stale);
    }

    /// Ends all: closes their standard input, and kills those that are still there after their grace.
    pub(super) fn end_all(&self) {
        end_gently(std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

fn end_gently(mut coprocesses: Vec<(Served, Instant, Coprocess)>) {
    for (_, _, coprocess) in &mut coprocesses {
        coprocess.running.stdin = None;
        // Nobody reads what it still says: without this it might wait for a reader rather than end.
        coprocess.running.stdout = None;
        coprocess.running.stderr = None;
    }
    let now = Instant::now();
    for (_, _, coprocess) in coprocesses {
        let until = now + coprocess.grace;
        end(coprocess, until);
    }
}

fn end(coprocess: Coprocess, until: Instant) {
    let _ = coprocess.running.has_ended(until);
    if let Err(error) = coprocess.running.reap() {
        tracing::warn!(%error, "could not wait for a co-process");
    }
}
