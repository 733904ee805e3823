//! Objects: what is committed never changes (S1), and is committed once, after its data (S2).

use bytes::Bytes;
use grid_core::ids::{JobId, StageName};
use grid_core::layout;
use grid_core::reason::Reason;
use grid_core::submission::Submission;
use grid_core::wire::{Manifest, Pack};
use infra::{Error, ErrorKind, Result};
use std::sync::Arc;
use tokio::time::Instant;

use super::{SeenJob, Watch, ended};
use crate::net::ActorId;
use crate::tally::Event;

/// What an object is, by its key.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'key> {
    Submission {
        job: &'key str,
    },
    Plan,
    Manifest {
        job: &'key str,
        stage: &'key str,
    },
    /// What is told of a round of a job: that it was stopped, how it ended, what it runs again.
    OfRound {
        job: &'key str,
    },
    Data,
    Other,
}

fn kind(key: &str) -> Kind<'_> {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["jobs", job, "job.json"] => Kind::Submission { job },
        ["jobs", _, _, "plan", ..] => Kind::Plan,
        ["jobs", job, name] if ["receipt", "cancelled", "redrive"].iter().any(|of| name.starts_with(of)) => {
            Kind::OfRound { job }
        }
        ["jobs", job, stage, "done", ..] => Kind::Manifest { job, stage },
        ["jobs", _, _, "data" | "logs", ..] => Kind::Data,
        _ => Kind::Other,
    }
}

impl Watch {
    /// A `create` took effect, or was refused.
    pub fn saw_create(&mut self, actor: ActorId, key: &str, body: &Bytes, done: &Result<()>) {
        self.note(actor, "create", key, body, &ended(done));
        match done {
            Ok(()) => self.written(key, body),
            Err(Error { kind: ErrorKind::Conflict, .. }) if matches!(kind(key), Kind::Manifest { .. }) => {
                self.tally.note(Event::CommitRace);
            }
            Err(_) => {}
        }
    }

    /// A `put` took effect.
    pub fn saw_put(&mut self, actor: ActorId, key: &str, body: &Bytes, done: &Result<()>) {
        self.note(actor, "put", key, body, &ended(done));
        if done.is_ok() {
            self.written(key, body);
        }
    }

    /// A `delete` took effect.
    pub fn saw_delete(&mut self, actor: ActorId, key: &str, done: &Result<()>) {
        self.note(actor, "delete", key, b"", &ended(done));
        if done.is_err() || self.objects.remove(key).is_none() {
            return;
        }
        match kind(key) {
            Kind::Submission { .. } | Kind::Plan | Kind::Manifest { .. } | Kind::OfRound { .. } => {
                self.violated("S1", format!("{key} was deleted"));
            }
            Kind::Data => {
                if let Some(manifest) = self.named.get(key) {
                    self.violated("S1", format!("{key} was deleted, which {manifest} names"));
                }
            }
            Kind::Other => {}
        }
    }

    /// The objects as they are now.
    pub fn object(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key)
    }

    fn written(&mut self, key: &str, body: &Bytes) {
        self.tally.note(Event::ObjectWrite);
        let before = self.objects.insert(key.to_owned(), body.clone());
        let has_changed = before.as_ref().is_some_and(|before| before != body);
        match kind(key) {
            Kind::Submission { .. } | Kind::Plan | Kind::OfRound { .. } if has_changed => {
                self.violated("S1", format!("{key} was written with another content"));
            }
            Kind::Submission { job } => self.submitted(job, body),
            Kind::OfRound { job } => self.told_of_round(&JobId::new(job), key),
            Kind::Manifest { .. } if before.is_some() => self.violated("S1", format!("{key} was written twice")),
            Kind::Manifest { job, stage } => self.committed(&JobId::new(job), &StageName::new(stage), key, body),
            Kind::Data if has_changed => {
                if let Some(manifest) = self.named.get(key) {
                    self.violated("S1", format!("{key} was changed, which {manifest} names"));
                }
            }
            Kind::Plan | Kind::Data | Kind::Other => {}
        }
    }

    fn submitted(&mut self, job: &str, body: &[u8]) {
        match serde_json::from_slice::<Submission>(body) {
            Ok(submission) => {
                let submission = Arc::new(submission);
                let seen = SeenJob {
                    submission,
                    job: None,
                    stages: Default::default(),
                    held: None,
                    round_since: Instant::now(),
                    taken_up: Instant::now(),
                    listed: None,
                    stopped: Default::default(),
                    dead_at_wish: Default::default(),
                    left_dead: Default::default(),
                    revived: Default::default(),
                };
                self.jobs.insert(JobId::new(job), seen);
            }
            Err(error) => self.violated("S1", format!("the submission of {job} cannot be read: {error}")),
        }
    }

    /// Rows come first, so that whoever does it, and however late, says the same: that the round has ended, or has begun (S16).
    fn told_of_round(&mut self, id: &JobId, key: &str) {
        let Some(seen) = self.jobs.get_mut(id) else {
            return self.violated("S16", format!("{key} is of no job"));
        };
        let (round, is_over) = (seen.round(), seen.job.as_ref().is_some_and(|job| !job.state().is_under_way()));
        if key == layout::tombstone(id, round) {
            seen.stopped.entry(round).or_insert_with(Instant::now);
        }
        let is_of_end = [layout::tombstone(id, round), layout::receipt(id, round)].iter().any(|of| of == key);
        let is_of_start = round > 0 && key == layout::redrive(id, round);
        if !(is_of_end && is_over || is_of_start) {
            self.violated("S16", format!("{key} was written, and the rows say nothing of it: round {round}"));
        }
    }

    fn committed(&mut self, job: &JobId, stage: &StageName, key: &str, body: &[u8]) {
        let manifest = match serde_json::from_slice::<Manifest>(body) {
            Ok(manifest) => manifest,
            Err(error) => return self.violated("S2", format!("{key} cannot be read: {error}")),
        };
        self.last_commit = Some(Instant::now());
        self.count(&manifest);
        self.note_winner(&manifest);
        self.check_end_of_attempt(&manifest);
        if let Some(earlier) = &manifest.reused_from {
            self.check_reuse(job, earlier, key);
        }
        if let Pack::Object { key: data, start, len } = &manifest.outputs.pack {
            match self.objects.get(data) {
                Some(bytes) if start + len <= bytes.len() as u64 => {}
                Some(bytes) => self.violated("S2", format!("{key} names {len} B of {data}, which has {}", bytes.len())),
                None => self.violated("S2", format!("{key} names {data}, which is not there")),
            }
            self.named.insert(data.clone(), key.to_owned());
        }
        if let Some(log) = &manifest.log {
            self.named.insert(log.clone(), key.to_owned());
        }
        let Some(seen) = self.jobs.get_mut(job) else {
            return self.violated("S2", format!("{key} is of no job"));
        };
        let seen = seen.stages.entry(stage.clone()).or_default();
        let attempt = manifest.key();
        let mut twice = None;
        for (first, count) in manifest.committed() {
            for item in first..first + count {
                if let Some(earlier) = seen.committed.insert(item, attempt) {
                    twice = Some((item, earlier));
                }
            }
        }
        for failed in &manifest.failed {
            let items = failed.first..failed.first + failed.count;
            seen.failed.extend(items.clone());
            if failed.failure.reason == Reason::Oom {
                items.for_each(|item| *seen.hungers.entry(item).or_default() += 1);
            }
            if failed.count == 1 && matches!(failed.failure.reason, Reason::Exit | Reason::Oom) {
                seen.failed_at.insert(failed.first, Instant::now());
            }
            if failed.count == 1 && failed.failure.reason == Reason::Exit {
                *seen.own_failures.entry(failed.first).or_default() += 1;
            }
        }
        seen.manifests.insert(attempt, manifest);
        if let Some((item, earlier)) = twice {
            self.violated("S2", format!("item {item} of {stage} is committed by {earlier} and by {attempt}"));
        }
    }

    /// What a tenant computed is nobody else's, and what was computed with other parameters is something else.
    fn check_reuse(&mut self, job: &JobId, earlier: &JobId, key: &str) {
        let tenant = |watch: &Self, id: &JobId| watch.jobs.get(id).map(|seen| seen.submission.tenant.clone());
        if tenant(self, job) != tenant(self, earlier) {
            self.violated("S12", format!("{key} takes a result of {earlier}, which is another tenant's"));
        }
    }

    fn count(&mut self, manifest: &Manifest) {
        let tally = &mut self.tally;
        if manifest.failed.iter().any(|failed| failed.count > 1) {
            tally.note(Event::BlameUnknown);
        }
        if !manifest.unrun.is_empty() {
            tally.note(Event::GivenBack);
        }
        if manifest.reused_from.is_some() {
            tally.note(Event::Reuse);
        }
    }
}
