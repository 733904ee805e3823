//! Looks, asks `grid_core::scale`, and carries out what it says: in the order close, confirm, terminate.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::ids::{GroupName, JobId, MachineId};
use grid_core::layout;
use grid_core::limits::{MANAGER_SIGN_EVERY, WIRE_VERSION};
use grid_core::random::Random;
use grid_core::rows::{FLEET, POOLS};
use grid_core::scale::{self, Action, Because, Machine, Memory, Observed, Refused, Seen, Worker, decide};
use grid_core::wire::{MachineOrder, ManagerSign};
use infra::fleet::{SeenMachine, Sight, Then};
use infra::{ErrorKind, Grid};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::board::board;
use super::{Event, FleetConfig, Ledger};
use crate::note::Note;
use crate::submit::encode;

/// Looks after the fleet for as long as this manager leads; never ends by itself.
pub(crate) async fn run(
    grid: Grid,
    config: FleetConfig,
    epoch: u64,
    (ledger, mut events): (watch::Receiver<Option<Ledger>>, mpsc::Receiver<Event>),
    suspended: watch::Sender<BTreeSet<JobId>>,
    mut random: Random,
) {
    let mut scaler = Scaler::new(grid, config, epoch);
    loop {
        scaler.give_sign(Instant::now()).await;
        sleep(scaler.config.tick.mul_f64(0.75 + random.unit() / 2.0)).await;
        if !scaler.has_memory {
            scaler.remember().await;
        }
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Leaves(machine) | Event::Gone(machine) => _ = scaler.leaving.insert(machine),
            }
        }
        let Some(ledger) = ledger.borrow().clone() else { continue };
        if scaler.has_memory {
            scaler.tick(&ledger, &suspended).await;
        }
    }
}

/// What is kept in a row, so that the next leader goes on where this one was.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    memory: Memory,
    /// Machines that were ordered to close, by the number of the order.
    closing: BTreeMap<MachineId, u64>,
}

/// What is known of a worker by what it said.
#[derive(Clone, Debug)]
struct Known {
    first_ms: u64,
    last_ms: u64,
    slots: u32,
    busy: u32,
    idle_since_ms: Option<u64>,
    closed_by: Option<u64>,
}

struct Scaler {
    grid: Grid,
    config: FleetConfig,
    epoch: u64,
    kept: Kept,
    has_memory: bool,
    workers: BTreeMap<MachineId, Known>,
    /// The last good look.
    sight: Option<Seen<Sight>>,
    /// Machines that go, as was told beside the fleet's own word.
    leaving: BTreeSet<MachineId>,
    /// Launches that the fleet did not even take.
    refused: Vec<Refused>,
    /// Groups that may have no more machines.
    full: Vec<GroupName>,
    memory_note: Note,
    board_note: Note,
    /// When the workers are to see a sign again.
    sign_due: Instant,
}

impl Scaler {
    fn new(grid: Grid, config: FleetConfig, epoch: u64) -> Self {
        Self {
            memory_note: Note::new(FLEET, &config.pool),
            board_note: Note::new(POOLS, &config.pool),
            grid,
            config,
            epoch,
            kept: Kept::default(),
            has_memory: false,
            workers: BTreeMap::new(),
            sight: None,
            leaving: BTreeSet::new(),
            refused: Vec::new(),
            full: Vec::new(),
            sign_due: Instant::now(),
        }
    }

    /// Tells workers that somebody looks after them, where they would stay without a manager. One that is lost is made good by the next: they wait for several.
    async fn give_sign(&mut self, now: Instant) {
        if now < self.sign_due || !self.config.outlives_manager {
            return;
        }
        self.sign_due = now + MANAGER_SIGN_EVERY;
        let sign = ManagerSign { v: WIRE_VERSION, epoch: self.epoch, at_ms: self.grid.clock.now_ms() };
        if let Err(error) = self.grid.objects.put(&layout::manager_sign(), encode(&sign).into()).await {
            tracing::warn!(%error, "the workers cannot be told that somebody leads");
        }
    }

    /// Reads what the leader before has kept. What cannot be read is forgotten: the law is safe without it.
    async fn remember(&mut self) {
        match self.memory_note.read(&self.grid).await {
            Ok(None) => self.has_memory = true,
            Ok(Some(body)) => {
                self.has_memory = true;
                match serde_json::from_slice(&body) {
                    Ok(kept) => {
                        self.kept = kept;
                        if !self.config.outlives_manager {
                            self.kept.memory.forget_launches();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "what was known of the fleet cannot be read; learning it again")
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what was known of the fleet cannot be read yet"),
        }
    }

    async fn tick(&mut self, ledger: &Ledger, suspended: &watch::Sender<BTreeSet<JobId>>) {
        self.hear(ledger);
        match self.config.fleet.look().await {
            Ok(sight) => {
                let as_of_ms = self.grid.clock.now_ms();
                self.forget_gone(&sight).await;
                self.sight = Some(Seen { as_of_ms, value: sight });
            }
            Err(error) => tracing::warn!(%error, "the fleet cannot be looked at"),
        }
        let now_ms = self.grid.clock.now_ms();
        let fleet = self.sight.as_ref().map(|seen| Seen { as_of_ms: seen.as_of_ms, value: self.fleet(&seen.value) });
        let demand = Some(Seen { as_of_ms: ledger.as_of_ms, value: ledger.demand.clone() });
        let observed = Observed { now_ms, demand, fleet };
        self.refused.clear();
        for action in decide(&observed, &self.config.params, &mut self.kept.memory) {
            self.act(action, now_ms).await;
        }
        self.take_back_strays().await;
        let held = |job: &JobId| self.kept.memory.is_suspended(job);
        let held: BTreeSet<JobId> =
            ledger.demand.iter().map(|demand| &demand.job).filter(|job| held(job)).cloned().collect();
        suspended.send_if_modified(|now| {
            let is_news = *now != held;
            *now = held;
            is_news
        });
        let now = Instant::now();
        self.memory_note.keep(&self.grid, self.epoch, encode(&self.kept), now).await;
        if let (Some(seen), Some(fleet)) = (&self.sight, &observed.fleet) {
            let row = board(&seen.value, &fleet.value, &self.config.params, &self.kept.memory, &self.full, now_ms);
            self.board_note.keep(&self.grid, self.epoch, encode(&row), now).await;
        }
    }

    fn hear(&mut self, ledger: &Ledger) {
        for (machine, heard) in &ledger.workers {
            let first = Known {
                first_ms: ledger.as_of_ms,
                last_ms: 0,
                slots: 0,
                busy: 0,
                idle_since_ms: None,
                closed_by: None,
            };
            let known = self.workers.entry(machine.clone()).or_insert(first);
            let idle_since_ms = known.idle_since_ms.or(Some(ledger.as_of_ms)).filter(|_| heard.busy == 0);
            let (slots, busy, closed_by) = (heard.slots, heard.busy, heard.closed_by);
            *known = Known { last_ms: ledger.as_of_ms, slots, busy, idle_since_ms, closed_by, ..known.clone() };
        }
    }

    /// The machines with what their workers said.
    fn fleet(&self, sight: &Sight) -> scale::Fleet {
        let machine = |seen: &SeenMachine| {
            let order = self.kept.closing.get(&seen.id);
            let known = self.workers.get(&seen.id);
            let worker = known.map(|known| Worker {
                first_heard_ms: known.first_ms,
                heard_ms: known.last_ms,
                busy: known.busy,
                idle_since_ms: known.idle_since_ms,
                // Of one that is to close, only the word that answers this very order.
                is_closed: known.closed_by.is_some() && (order.is_none() || known.closed_by == order.copied()),
            });
            Machine {
                id: seen.id.clone(),
                group: seen.group.clone(),
                slots: known.map_or(self.config.params.slots, |known| known.slots),
                requested_ms: seen.requested_ms,
                worker,
                is_closing: order.is_some(),
                is_leaving: seen.is_leaving || self.leaving.contains(&seen.id),
            }
        };
        let refused = sight.refused.iter().chain(&self.refused).cloned().collect();
        scale::Fleet {
            machines: sight.machines.iter().map(machine).collect(),
            unfilled: sight.unfilled.clone(),
            refused,
        }
    }

    /// Forgets machines that have gone, and the orders about them.
    async fn forget_gone(&mut self, sight: &Sight) {
        let is_there = |id: &MachineId| sight.machines.iter().any(|machine| machine.id == *id);
        self.workers.retain(|id, _| is_there(id));
        // Those of others among them.
        self.leaving.retain(is_there);
        let gone: Vec<MachineId> = self.kept.closing.keys().filter(|id| !is_there(id)).cloned().collect();
        for machine in gone {
            if self.take_back(&machine).await {
                self.kept.closing.remove(&machine);
            }
        }
    }

    /// Takes back orders that nobody knows of any more, as after the death of a leader that had just given one.
    async fn take_back_strays(&self) {
        for (machine, known) in &self.workers {
            if known.closed_by.is_some() && !self.kept.closing.contains_key(machine) {
                self.take_back(machine).await;
            }
        }
    }

    async fn act(&mut self, action: Action, now_ms: u64) {
        match action {
            Action::Launch { group, machines } => self.launch(group, machines, now_ms).await,
            Action::Close { machine } => self.close(machine, now_ms).await,
            Action::Reopen { machine } => {
                tracing::info!(%machine, "a machine is needed after all");
                if self.take_back(&machine).await {
                    self.kept.closing.remove(&machine);
                }
            }
            Action::Terminate { machine, because, replace } => self.terminate(&machine, because, replace).await,
            Action::Suspend { job } => tracing::warn!(%job, "nearly everything that it runs fails: one task at a time"),
            Action::Resume { job } => tracing::info!(%job, "its tasks succeed again"),
            Action::Alarm(alarm) => tracing::warn!(?alarm, "the fleet"),
        }
    }

    async fn launch(&mut self, group: GroupName, machines: u32, now_ms: u64) {
        tracing::info!(%group, machines, "asking for machines");
        self.full.retain(|full| *full != group);
        match self.config.fleet.launch(&group, machines).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Full => {
                tracing::warn!(%error, "no more machines");
                self.full.push(group.clone());
                self.refused.push(Refused { group, at_ms: now_ms });
            }
            // Asked or not, nobody knows: it shows within seconds, or is asked for again.
            Err(error) if error.is_transient() => tracing::warn!(%error, %group, "no answer about machines"),
            Err(error) => {
                tracing::warn!(%error, %group, "machines cannot be had");
                self.refused.push(Refused { group, at_ms: now_ms });
            }
        }
    }

    async fn close(&mut self, machine: MachineId, now_ms: u64) {
        tracing::info!(%machine, "closing a machine");
        let body = encode(&MachineOrder { v: WIRE_VERSION, number: now_ms });
        match self.grid.objects.put(&layout::machine_order(&machine), body.into()).await {
            Ok(()) => _ = self.kept.closing.insert(machine, now_ms),
            Err(error) => tracing::warn!(%error, %machine, "a machine cannot be closed"),
        }
    }

    async fn take_back(&self, machine: &MachineId) -> bool {
        let taken = self.grid.objects.delete(&layout::machine_order(machine)).await;
        taken.inspect_err(|error| tracing::warn!(%error, %machine, "an order cannot be taken back")).is_ok()
    }

    async fn terminate(&mut self, machine: &MachineId, because: Because, replace: bool) {
        tracing::info!(%machine, ?because, replace, "ending a machine");
        let then = if replace { Then::Replace } else { Then::Shrink };
        match self.config.fleet.terminate(machine, then).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::NotFound => tracing::debug!(%error, "it has gone"),
            // It takes no tasks, and is opened again when there are some.
            Err(error) if error.kind == ErrorKind::Conflict => tracing::debug!(%error, "it stays"),
            Err(error) => tracing::warn!(%error, %machine, "a machine cannot be ended"),
        }
    }
}
