//! The simulated machines.

use std::collections::BTreeMap;

use grid_core::ids::MachineId;

/// The machines that exist, by number.
#[derive(Debug, Default)]
pub struct Fleet {
    machines: BTreeMap<usize, Machine>,
    next: usize,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// The place of its group.
    pub group: usize,
    pub requested_ms: u64,
    pub first_heard_ms: Option<u64>,
    pub idle_since_ms: Option<u64>,
    /// The order to close stands.
    pub is_closing: bool,
    /// The worker has heard of it.
    pub is_closed: bool,
    pub is_leaving: bool,
    pub runs: Vec<Run>,
    /// What its time has gone into until `accounted_ms`.
    pub spent: Spent,
    accounted_ms: u64,
}

/// What the time of a machine has gone into, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Machine time before the first task.
    pub before_work: u64,
    /// Machine time without a task, between others.
    pub between: u64,
    /// Slot time of free slots beside others in use.
    pub beside: u64,
    /// Machine time since the last task ended.
    pub after_work: u64,
    has_worked: bool,
}

/// A task in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: u64,
    pub job: usize,
    pub task: usize,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// Whether a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Booting,
    Here,
}

impl Fleet {
    /// The number in a machine's name.
    pub fn number(machine: &MachineId) -> usize {
        machine.as_str().parse().expect("machines are named by their numbers")
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &Machine)> {
        self.machines.iter().map(|(number, machine)| (*number, machine))
    }

    pub fn numbers(&self) -> Vec<usize> {
        self.machines.keys().copied().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    pub fn count(&self) -> u32 {
        self.machines.len() as u32
    }

    pub fn phase(&self, number: usize) -> Option<Phase> {
        let machine = self.machines.get(&number)?;
        Some(if machine.first_heard_ms.is_some() { Phase::Here } else { Phase::Booting })
    }

    pub fn group(&self, number: usize) -> Option<usize> {
        self.machines.get(&number).map(|machine| machine.group)
    }

    pub fn add(&mut self, group: usize, now_ms: u64) -> usize {
        self.next += 1;
        let machine = Machine {
            group,
            requested_ms: now_ms,
            first_heard_ms: None,
            idle_since_ms: None,
            is_closing: false,
            is_closed: false,
            is_leaving: false,
            runs: Vec::new(),
            spent: Spent::default(),
            accounted_ms: now_ms,
        };
        self.machines.insert(self.next, machine);
        self.next
    }

    /// It has booted. False if it is gone.
    pub fn ready(&mut self, number: usize, now_ms: u64) -> bool {
        let Some(machine) = self.machines.get_mut(&number) else { return false };
        machine.first_heard_ms = Some(now_ms);
        machine.idle_since_ms = Some(now_ms);
        machine.accounted_ms = now_ms;
        true
    }

    pub fn order(&mut self, number: usize, close: bool) {
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.is_closing = close;
        }
    }

    pub fn hear(&mut self, number: usize) {
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.is_closed = machine.is_closing;
        }
    }

    /// It goes. False if it does already.
    pub fn leave(&mut self, number: usize) -> bool {
        let Some(machine) = self.machines.get_mut(&number) else { return false };
        !std::mem::replace(&mut machine.is_leaving, true)
    }

    pub fn remove(&mut self, number: usize, slots: u32, now_ms: u64) -> Option<Machine> {
        let mut machine = self.machines.remove(&number)?;
        machine.account(slots, now_ms);
        Some(machine)
    }

    pub fn runs(&self, number: usize) -> &[Run] {
        self.machines.get(&number).map_or(&[], |machine| &machine.runs)
    }

    pub fn start(&mut self, number: usize, run: Run, slots: u32) {
        if let Some(machine) = self.machines.get_mut(&number) {
            machine.account(slots, run.start_ms);
            machine.spent.work();
            machine.idle_since_ms = None;
            machine.runs.push(run);
        }
    }

    pub fn end_run(&mut self, number: usize, run: u64, slots: u32, now_ms: u64) -> Option<Run> {
        let machine = self.machines.get_mut(&number)?;
        let place = machine.runs.iter().position(|other| other.id == run)?;
        machine.account(slots, now_ms);
        let run = machine.runs.swap_remove(place);
        if machine.runs.is_empty() {
            machine.idle_since_ms = Some(now_ms);
        }
        Some(run)
    }

    /// Takes away what would end after a time.
    pub fn drop_runs(&mut self, number: usize, last_ms: u64, slots: u32, now_ms: u64) -> Vec<Run> {
        let Some(machine) = self.machines.get_mut(&number) else { return Vec::new() };
        machine.account(slots, now_ms);
        let (kept, dropped) = machine.runs.iter().partition(|run| run.end_ms <= last_ms);
        machine.runs = kept;
        dropped
    }

    /// Machines that take tasks, each as often as it has free slots.
    pub fn free_slots(&self, slots: u32) -> Vec<usize> {
        let mut free = Vec::new();
        for (number, machine) in self.iter().filter(|(_, machine)| machine.takes_tasks()) {
            free.extend((machine.runs.len()..slots as usize).map(|_| number));
        }
        free
    }

    /// Machines that take tasks, machines on their way, slots in use.
    pub fn counts(&self) -> (usize, usize, usize) {
        let ready = self.machines.values().filter(|machine| machine.takes_tasks()).count();
        let booting = self.machines.values().filter(|machine| machine.first_heard_ms.is_none()).count();
        (ready, booting, self.machines.values().map(|machine| machine.runs.len()).sum())
    }
}

impl Spent {
    /// A task starts: the time without one was before it.
    fn work(&mut self) {
        if self.has_worked {
            self.between += std::mem::take(&mut self.after_work);
        }
        self.has_worked = true;
    }

    /// Whether it ever had a task.
    pub fn has_worked(&self) -> bool {
        self.has_worked
    }
}

impl Machine {
    /// Sums up the time since it was last done, in which nothing has started or ended.
    fn account(&mut self, slots: u32, now_ms: u64) {
        let ms = now_ms - self.accounted_ms;
        self.accounted_ms = now_ms;
        match self.runs.len() as u64 {
            _ if self.first_heard_ms.is_none() => {}
            0 if self.spent.has_worked => self.spent.after_work += ms,
            0 => self.spent.before_work += ms,
            busy => self.spent.beside += ms * u64::from(slots).saturating_sub(busy),
        }
    }

    fn takes_tasks(&self) -> bool {
        self.first_heard_ms.is_some() && !self.is_closed && !self.is_leaving
    }
}
