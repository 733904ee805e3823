//! Workers of this machine as a fleet: processes, or tasks of this process. They go when this process goes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use grid_core::ids::{GroupName, MachineId};
use grid_core::scale::Refused;
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Fleet, SeenMachine, Sight, Then};
use crate::clock::Clock;
use crate::{Error, ErrorKind, Result};

/// Ends that are remembered as refusals.
const REFUSALS_KEPT: usize = 20;

/// One life of one worker.
pub trait Life: Send + 'static {
    /// Whether it is over, and how it ended.
    fn over(&mut self) -> Option<Over>;

    /// Asks it to finish or hand back what it has in hand, and to go. May be asked again.
    fn drain(&mut self);
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// As it should.
    Well,
    /// It could not work.
    Badly,
}

/// Starts the worker of a machine.
type Start<L> = Box<dyn Fn(&MachineId) -> io::Result<L> + Send + Sync>;

/// Workers that are started and ended here, all in one group.
pub struct LocalFleet<L> {
    group: GroupName,
    start: Start<L>,
    clock: Arc<dyn Clock>,
    book: Mutex<Book<L>>,
}

struct Book<L> {
    lives: BTreeMap<MachineId, Kept<L>>,
    refused: Vec<Refused>,
    words: Option<String>,
}

struct Kept<L> {
    life: L,
    requested_ms: u64,
    is_leaving: bool,
}

impl<L> fmt::Debug for LocalFleet<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalFleet").field("group", &self.group).finish_non_exhaustive()
    }
}

impl<L: Life> LocalFleet<L> {
    /// A fleet without machines.
    pub fn new(
        group: GroupName,
        clock: Arc<dyn Clock>,
        start: impl Fn(&MachineId) -> io::Result<L> + Send + Sync + 'static,
    ) -> Self {
        let book = Book { lives: BTreeMap::new(), refused: Vec::new(), words: None };
        Self { group, start: Box::new(start), clock, book: Mutex::new(book) }
    }

    fn book(&self) -> MutexGuard<'_, Book<L>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the lives that are over. One that ended badly without being asked to go counts as a launch that failed.
    fn bury(&self, book: &mut Book<L>) {
        let now_ms = self.clock.now_ms();
        let over: Vec<(MachineId, Over)> =
            book.lives.iter_mut().filter_map(|(id, kept)| Some((id.clone(), kept.life.over()?))).collect();
        for (id, over) in over {
            let was_leaving = book.lives.remove(&id).is_some_and(|kept| kept.is_leaving);
            if over == Over::Badly && !was_leaving {
                self.refuse(book, now_ms, format!("worker {id} ended by itself, and not well; its log says why"));
            }
        }
    }

    fn refuse(&self, book: &mut Book<L>, now_ms: u64, words: String) {
        // Refusals are told apart by their time.
        let at_ms = book.refused.last().map_or(now_ms, |last| now_ms.max(last.at_ms + 1));
        book.refused.push(Refused { group: self.group.clone(), at_ms });
        book.words = Some(words);
        let old = book.refused.len().saturating_sub(REFUSALS_KEPT);
        book.refused.drain(..old);
    }

    fn start_one(&self, book: &mut Book<L>) {
        let (id, now_ms) = (MachineId::new(format!("local-{}", self.clock.new_id())), self.clock.now_ms());
        match (self.start)(&id) {
            Ok(life) => {
                book.words = None;
                _ = book.lives.insert(id, Kept { life, requested_ms: now_ms, is_leaving: false });
            }
            Err(error) => self.refuse(book, now_ms, format!("a worker cannot be started: {error}")),
        }
    }
}

#[async_trait]
impl<L: Life> Fleet for LocalFleet<L> {
    async fn look(&self) -> Result<Sight> {
        let mut book = self.book();
        self.bury(&mut book);
        let machine = |(id, kept): (&MachineId, &Kept<L>)| SeenMachine {
            id: id.clone(),
            group: self.group.clone(),
            requested_ms: kept.requested_ms,
            is_leaving: kept.is_leaving,
        };
        Ok(Sight {
            machines: book.lives.iter().map(machine).collect(),
            unfilled: Vec::new(),
            refused: book.refused.clone(),
            words: book.words.iter().map(|words| (self.group.clone(), words.clone())).collect(),
        })
    }

    async fn launch(&self, group: &GroupName, machines: u32) -> Result<()> {
        if *group != self.group {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no group {group} on this machine")));
        }
        let mut book = self.book();
        (0..machines).for_each(|_| self.start_one(&mut book));
        Ok(())
    }

    async fn terminate(&self, machine: &MachineId, then: Then) -> Result<()> {
        let mut book = self.book();
        self.bury(&mut book);
        let gone = || Error::new(ErrorKind::NotFound, format!("there is no worker {machine} on this machine"));
        let kept = book.lives.get_mut(machine).filter(|kept| !kept.is_leaving).ok_or_else(gone)?;
        kept.is_leaving = true;
        kept.life.drain();
        if then == Then::Replace {
            self.start_one(&mut book);
        }
        Ok(())
    }
}

/// A worker in a process of its own. It is told that this process has gone by the end of its standard input.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).spawn().map(Self)
    }
}

impl Life for Process {
    fn over(&mut self) -> Option<Over> {
        match self.0.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) if status.success() => Some(Over::Well),
            Ok(Some(_)) | Err(_) => Some(Over::Badly),
        }
    }

    fn drain(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // It is a child that was not waited for: the number is its own, even when it has ended.
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            tracing::warn!(%error, "a worker cannot be told to drain");
        }
    }
}

/// A worker in a task of this process; it dies with this.
#[derive(Debug)]
pub struct Task {
    /// Its end; `Badly` where it could not work.
    pub ended: AbortOnDropHandle<Over>,
    /// Asks it to go.
    pub drain: CancellationToken,
}

impl Life for Task {
    fn over(&mut self) -> Option<Over> {
        use futures::FutureExt;
        if !self.ended.is_finished() {
            return None;
        }
        // It is finished, so that its answer is there.
        Some((&mut self.ended).now_or_never().and_then(std::result::Result::ok).unwrap_or(Over::Badly))
    }

    fn drain(&mut self) {
        self.drain.cancel();
    }
}
