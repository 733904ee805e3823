//! What broken variants of the grid do to its calls.

use std::time::Duration;

use bytes::Bytes;
use infra::queue::{Depth, Received};
use infra::state::{Expect, RowKey, Write};
use infra::{Error, ErrorKind, Result};

use super::{Link, Net, QueueName};
use crate::mutant::{BEHIND, Mutant};

/// What becomes of a write of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// It is made.
    Well,
    /// It is made whatever is there.
    Over,
    /// It is said to be made, and is so later.
    Behind,
    /// It is said to be made.
    Never,
}

impl Net {
    /// Whether this is broken.
    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What becomes of the write of an object.
    pub(super) fn writes(&self, key: &str) -> Writes {
        let is_manifest = key.contains("/done/");
        match self.mutant {
            Some(Mutant::ManifestOverwritten) if is_manifest => Writes::Over,
            Some(Mutant::ReportBeforeManifest) if is_manifest => Writes::Behind,
            Some(Mutant::ManifestBeforeData) if key.contains("/data/") => Writes::Behind,
            Some(Mutant::PlanNotStored) if key.contains("/plan/0") => Writes::Never,
            Some(Mutant::InputsNotStored) if key.contains("/plan/inputs/") => Writes::Never,
            Some(Mutant::NoReceipt) if key.contains("/receipt") => Writes::Never,
            _ => Writes::Well,
        }
    }

    /// Where an object lies.
    pub(super) fn place(&self, key: &str) -> String {
        match key.split_once("/data/") {
            Some((stage, rest)) if self.is(Mutant::DataByTask) => {
                let task = rest.split_once('.').map_or(rest, |(task, _)| task);
                format!("{stage}/data/{task}")
            }
            _ => key.to_owned(),
        }
    }

    /// What is written: a manifest names the place where its data lies.
    pub(super) fn content(&self, key: &str, body: Bytes) -> Bytes {
        if !self.is(Mutant::DataByTask) || !key.contains("/done/") {
            return body;
        }
        let mut manifest: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(name) = manifest.pointer_mut("/outputs/pack/object/key") {
            let place = name.as_str().map(|name| self.place(name));
            *name = place.into();
        }
        manifest.to_string().into_bytes().into()
    }

    /// What a worker is told of a manifest that was there already.
    pub(super) fn refusal(&self, key: &str, done: Result<()>) -> Result<()> {
        match done {
            Err(error)
                if error.kind == ErrorKind::Conflict
                    && self.is(Mutant::ConflictIsFailure)
                    && key.contains("/done/") =>
            {
                Err(Error::new(ErrorKind::Invalid, error.to_string()))
            }
            done => done,
        }
    }

    /// What is thought to have been sent.
    pub(super) fn sent(&self, answers: Result<Vec<Result<()>>>) -> Result<Vec<Result<()>>> {
        if !self.is(Mutant::FailedEntriesIgnored) {
            return answers;
        }
        answers.map(|answers| answers.into_iter().map(|_| Ok(())).collect())
    }

    /// Whether a received message is deleted at once.
    pub(super) fn deletes_on_receive(&self, queue: QueueName) -> bool {
        match queue {
            QueueName::Tasks => self.is(Mutant::DeletesOnReceive),
            QueueName::Reports => self.is(Mutant::ReportsDeletedOnReceive),
            QueueName::DeadTasks => false,
        }
    }

    /// Whether a queue is looked at at all.
    pub(super) fn is_looked_at(&self, queue: QueueName) -> bool {
        queue != QueueName::DeadTasks || !self.is(Mutant::NoDeadLetters)
    }

    /// How deep a queue is thought to be.
    pub(super) fn depth(&self, depth: Depth) -> Depth {
        if self.is(Mutant::NoResend) { Depth { waiting: depth.waiting.max(1), ..depth } } else { depth }
    }

    /// Whether leases are extended; giving a message back is something else.
    pub(super) fn extends(&self, lease: Duration) -> bool {
        lease.is_zero() || !self.is(Mutant::NoHeartbeat)
    }

    /// The condition on which a row is written.
    pub(super) async fn conditions(&self, mut writes: Vec<Write>) -> Vec<Write> {
        for write in &mut writes {
            let RowKey { partition, .. } = &write.key;
            let is_blind = match self.mutant {
                Some(Mutant::NoVersions) => partition.starts_with("JOB#"),
                Some(Mutant::BlindLead) => partition == "LEADER",
                Some(Mutant::SubmissionNotUnique) => partition.starts_with("SUBMISSION#"),
                _ => false,
            };
            if is_blind {
                let found = self.truth.state.get(&write.key).await.ok().flatten();
                write.expect = found.as_ref().map_or(Expect::Absent, |row| Expect::Version(row.version));
                write.epoch = found.map_or(write.epoch, |row| row.epoch.max(write.epoch));
            }
        }
        if self.is(Mutant::NotListed) {
            writes.retain(|write| write.key.partition != "ACTIVE" || write.body.is_none());
        }
        writes
    }

    /// The answers to writes that are thought to be good before they are.
    pub(super) fn hopes(&self, writes: &[Write]) -> Option<Vec<Result<u64>>> {
        let is_of_job = writes.iter().all(|write| write.key.partition.starts_with("JOB#"));
        let version = |write: &Write| match write.expect {
            Expect::Absent => 1,
            Expect::Version(version) => version + 1,
        };
        (is_of_job && self.is(Mutant::UnconfirmedRows)).then(|| writes.iter().map(|write| Ok(version(write))).collect())
    }
}

impl Link {
    /// A call that is thought to have been made, and is made later.
    pub(super) fn behind<T: Send + 'static>(&self, call: impl Future<Output = Result<T>> + Send + 'static) {
        self.send_off(BEHIND, call);
    }

    /// Deletes what was just received.
    pub(super) async fn delete_received(&self, queue: QueueName, received: &[Received]) {
        let receipts: Vec<_> = received.iter().map(|received| received.receipt.clone()).collect();
        let done = self.net.queue(queue).delete(&receipts).await;
        self.net.watch(|watch| watch.saw_acknowledge(self.actor, queue, &receipts, &done));
    }
}
