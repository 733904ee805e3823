//! Sees every call where it takes effect, and knows what must never be. It has a memory of its own, and asks nobody.

mod messages;
mod objects;
mod rows;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use grid_core::ids::{AttemptKey, ItemIndex, JobId, StageName};
use grid_core::job::Job;
use grid_core::submission::Submission;
use grid_core::wire::{Manifest, TaskMessage};
use infra::queue::{Depth, Receipt};
use infra::state::RowKey;
use infra::{Error, ErrorKind};

pub use self::trace::Trace;
use crate::net::{ActorId, QueueName};
use crate::tally::{Event, Tally};
use crate::weather::Weather;

/// What was seen so far.
#[derive(Debug)]
pub struct Watch {
    /// What happened.
    pub trace: Trace,
    /// How often what happened.
    pub tally: Tally,
    violations: Vec<String>,
    names: Vec<String>,
    objects: BTreeMap<String, Bytes>,
    /// Data and logs that manifests name.
    named: BTreeMap<String, String>,
    rows: BTreeMap<RowKey, Seen>,
    jobs: BTreeMap<JobId, SeenJob>,
    submissions: BTreeMap<String, BTreeSet<JobId>>,
    receipts: BTreeMap<(QueueName, Receipt), String>,
    depths: BTreeMap<QueueName, Depth>,
    sent: BTreeSet<(JobId, StageName, AttemptKey)>,
    /// Executions of an attempt that began.
    executions: BTreeMap<(JobId, StageName, AttemptKey), u64>,
}

/// A row as it is now.
#[derive(Clone, Debug)]
struct Seen {
    version: u64,
    epoch: u64,
    body: Vec<u8>,
}

/// A job, by what was written of it.
#[derive(Debug)]
struct SeenJob {
    submission: Arc<Submission>,
    /// As its rows had it after the last write; none before the first.
    job: Option<Job>,
    stages: BTreeMap<StageName, SeenStage>,
    was_redriven: bool,
}

/// A stage, by its manifests and what its rows once said.
#[derive(Debug, Default)]
struct SeenStage {
    manifests: BTreeMap<AttemptKey, Manifest>,
    /// Which attempt committed an item: there is never another.
    committed: BTreeMap<ItemIndex, AttemptKey>,
    failed: BTreeSet<ItemIndex>,
    /// Attempts that were once recorded as out.
    recorded: BTreeSet<AttemptKey>,
}

impl Watch {
    /// One that has seen nothing; `readable` keeps a trace for people.
    pub fn new(readable: bool) -> Self {
        Self {
            trace: Trace::new(readable),
            tally: Tally::default(),
            violations: Vec::new(),
            names: Vec::new(),
            objects: BTreeMap::new(),
            named: BTreeMap::new(),
            rows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            submissions: BTreeMap::new(),
            receipts: BTreeMap::new(),
            depths: BTreeMap::new(),
            sent: BTreeSet::new(),
            executions: BTreeMap::new(),
        }
    }

    /// What was seen that must never be, the first first.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The name of an actor in traces.
    pub fn name(&mut self, actor: ActorId, name: &str) {
        self.names.resize(self.names.len().max(actor.0 + 1), String::new());
        name.clone_into(&mut self.names[actor.0]);
    }

    /// Something must never be, by the invariant `rule`.
    pub fn violated(&mut self, rule: &str, what: impl Into<String>) {
        let what = format!("{rule}: {}", what.into());
        self.trace.note("watch", "VIOLATION", &what, b"", &"");
        self.violations.push(what);
    }

    /// Something that happened beside the calls.
    pub fn happened(&mut self, event: Event, actor: ActorId) {
        self.tally.note(event);
        self.note(actor, "!", &format!("{event:?}"), b"", &"");
    }

    /// An execution began.
    pub fn saw_execution(&mut self, actor: ActorId, message: &TaskMessage) {
        self.tally.note(Event::Execution);
        let attempt = (message.job.clone(), message.stage.clone(), message.key());
        self.note(actor, "executes", &format!("{} {}", message.stage, message.key()), b"", &message.count);
        *self.executions.entry(attempt).or_default() += 1;
    }

    /// Good repair hides faults: where nothing went wrong, nothing is done twice (E1), and where nothing was lost without
    /// its sender being told, nothing is sent again for want of news (E2).
    pub fn check_thrift(&mut self, weather: &Weather) {
        if self.tally.of(Event::Poison) > 0 || !weather.is_gentle() {
            return;
        }
        if let Some(((_, stage, key), times)) = self.executions.iter().find(|(_, times)| **times > 1)
            && weather.is_calm()
        {
            let what = format!("{stage} {key} was executed {times} times, and nothing went wrong");
            self.violated("E1", what);
        }
        if self.tally.of(Event::SentAgain) > 0 {
            self.violated("E2", "a task was sent again, and nothing was lost");
        }
    }

    /// A read took effect.
    pub fn saw_read(&mut self, actor: ActorId, what: &str, key: &str, done: Result<(), &Error>) {
        self.note(actor, what, key, b"", &ended(&done));
    }

    fn note(&mut self, actor: ActorId, what: &str, to: &str, body: &[u8], end: &dyn std::fmt::Display) {
        let Self { trace, names, .. } = self;
        let name = names.get(actor.0).map_or("somebody", String::as_str);
        trace.note(name, what, to, body, end);
    }
}

/// A word for how a call ended.
fn ended<T, E: std::borrow::Borrow<Error>>(done: &Result<T, E>) -> String {
    match done {
        Ok(_) => "ok".to_owned(),
        Err(error) => kind_of(error.borrow()).to_string(),
    }
}

fn kind_of(error: &Error) -> ErrorKind {
    error.kind
}
