//! The place of one program: it is started here again and again, on a line of its own.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::proxy::Proxy;
use crate::fleet::{Fleet, LEASE_SECS};

/// How long a worker may finish what it has in hand.
const DRAIN_SECS: u64 = 5;

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `job-manager`.
    Manager,
    /// `grid-worker`, with its scratch on a disk that it shares.
    Worker,
    /// `grid-worker`, with its scratch on a small disk of its own, that can be filled.
    WorkerOnSmallDisk,
}

/// How a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or is starting.
    Up,
    /// It is stopped by SIGSTOP.
    Frozen,
    /// It was sent SIGTERM.
    Leaving,
    /// There is none.
    Down,
}

/// A place, and the program in it.
pub struct Seat {
    /// What it is called, in its log and in ours.
    pub name: String,
    /// What is started.
    pub role: Role,
    /// How it is.
    pub state: State,
    /// Its way to the server.
    pub proxy: Proxy,
    child: Option<Child>,
    /// Whether its disk has been full since it was started: then it may end by itself.
    was_full: bool,
}

impl Seat {
    /// An empty one.
    pub fn new(name: String, role: Role, proxy: Proxy) -> Self {
        Self { name, role, state: State::Down, proxy, child: None, was_full: false }
    }

    /// Starts the program; waits for nothing.
    pub fn start(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} is there already", self.name);
        let mut command = match self.role {
            Role::Manager => self.manager(fleet)?,
            Role::Worker => self.worker(fleet.command("grid-worker"), fleet.path("scratch")),
            Role::WorkerOnSmallDisk => {
                let scratch = self.small_disk(fleet);
                std::fs::create_dir_all(&scratch)?;
                self.worker(fleet.command_on_small_disk("grid-worker", &scratch), scratch)
            }
        };
        let log = File::options().append(true).create(true).open(self.log(fleet))?;
        command.env("AWS_ENDPOINT_URL", self.proxy.url());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("failed to start {}", self.name))?);
        self.state = State::Up;
        self.was_full = false;
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        self.state = State::Down;
        Ok(())
    }

    /// SIGSTOP.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        self.state = State::Frozen;
        Ok(())
    }

    /// SIGCONT.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)?;
        self.state = State::Up;
        Ok(())
    }

    /// SIGTERM.
    pub fn ask_to_leave(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        self.state = State::Leaving;
        Ok(())
    }

    /// Writes to its disk until nothing more fits, or nothing any more.
    pub fn fill(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        let zeros = vec![0; 64 << 10];
        // Nobody is there to be disturbed where this fails.
        let Ok(mut file) = File::create(self.filler(fleet)?) else { return Ok(()) };
        loop {
            match file.write(&zeros) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("failed to fill a disk"),
            }
        }
        self.was_full = true;
        Ok(())
    }

    /// Frees its disk again.
    pub fn free(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        if self.was_full && self.child.is_some() {
            // The disk is gone with the program where this fails.
            let _ = std::fs::remove_file(self.filler(fleet)?);
        }
        Ok(())
    }

    /// Looks whether it has ended; what of that is not as it should be.
    pub fn look(&mut self) -> anyhow::Result<Option<String>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let Some(status) = child.try_wait()? else { return Ok(None) };
        self.child = None;
        let was = std::mem::replace(&mut self.state, State::Down);
        let is_right = match was {
            State::Leaving => status.success() || self.was_full,
            State::Up | State::Frozen => self.was_full && status.code() == Some(1),
            State::Down => false,
        };
        Ok((!is_right).then(|| format!("{} ended by itself: {status}", self.name)))
    }

    /// Waits until it has left; how it ended.
    pub fn left(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let give_up = Instant::now() + within;
        let mut child = self.child.take().with_context(|| format!("{} is not there", self.name))?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.state = State::Down;
                return Ok(status);
            }
            if Instant::now() >= give_up {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{} was told to leave, and does not", self.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where a manager says on which address it listens.
    pub fn listen_file(&self, fleet: &Fleet) -> PathBuf {
        fleet.path(&format!("{}.address", self.name))
    }

    /// What it has said.
    pub fn log(&self, fleet: &Fleet) -> PathBuf {
        fleet.path(&format!("{}.log", self.name))
    }

    fn manager(&self, fleet: &Fleet) -> anyhow::Result<Command> {
        let address = self.listen_file(fleet);
        match std::fs::remove_file(&address) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = fleet.command("job-manager");
        command.args(["--listen", "127.0.0.1:0", "--name", &self.name]).arg("--listen-file").arg(address);
        Ok(command)
    }

    fn worker(&self, mut command: Command, scratch: PathBuf) -> Command {
        let (lease, drain) = (LEASE_SECS.to_string(), DRAIN_SECS.to_string());
        command.args(["--slots", "2", "--lease-secs", &lease, "--heartbeat-secs", "2", "--drain-secs", &drain]);
        command.arg("--scratch").arg(scratch);
        command
    }

    fn small_disk(&self, fleet: &Fleet) -> PathBuf {
        fleet.path(&format!("{}.disk", self.name))
    }

    /// A file on the worker's disk, as it is seen by way of the worker: nobody else has that disk.
    fn filler(&self, fleet: &Fleet) -> anyhow::Result<PathBuf> {
        let child = self.child.as_ref().with_context(|| format!("{} is not there", self.name))?;
        let disk = self.small_disk(fleet);
        Ok(PathBuf::from(format!("/proc/{}/root{}/filler", child.id(), disk.display())))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} is not there", self.name))?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // It has ended already where this fails.
        let _ = self.kill();
    }
}
