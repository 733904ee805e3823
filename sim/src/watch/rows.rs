//! Rows: what they say is so (S4), grows, and moves along legal ways only (S5, S6); one submission is one job (S7).

use grid_api::Receipt;
use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::job::{Ending, Job, JobState, StoredRow};
use grid_core::layout;
use grid_core::pipeline::OnFailure;
use grid_core::rows::{ACTIVE, JOBS, JobRow, LEADER, LeaderRow, SubmissionRow, job_of_partition, job_partition};
use grid_core::wire::Manifest;
use infra::state::{RowKey, Write};
use infra::{ErrorKind, Result};
use tokio::time::Instant;

use super::{Fails, Seen, SeenJob, Watch, ended};
use crate::net::ActorId;
use crate::reference::Tries;
use crate::tally::Event;

impl Watch {
    /// Rows were written, each by itself.
    pub fn saw_writes(&mut self, actor: ActorId, writes: &[Write], answers: &[Result<u64>]) {
        let mut jobs: Vec<JobId> = Vec::new();
        for (write, answer) in writes.iter().zip(answers) {
            self.saw_write(actor, write, answer);
            if let Some(job) =
                job_of_partition(&write.key.partition).filter(|job| answer.is_ok() && !jobs.contains(job))
            {
                jobs.push(job);
            }
        }
        jobs.iter().for_each(|job| self.check_job(actor, job));
    }

    /// Rows were written together, or not.
    pub fn saw_transaction(&mut self, actor: ActorId, writes: &[Write], done: &Result<()>) {
        for write in writes {
            match done {
                Ok(()) => self.saw_write(actor, write, &Ok(0)),
                Err(_) => self.note(actor, "transact", &write.key.partition, b"", &ended(done)),
            }
        }
    }

    fn saw_write(&mut self, actor: ActorId, write: &Write, answer: &Result<u64>) {
        let RowKey { partition, sort } = &write.key;
        let name = format!("{partition}/{sort} e{}", write.epoch);
        self.note(actor, "write", &name, write.body.as_deref().unwrap_or_default(), &ended(answer));
        match answer {
            Err(error) if error.kind == ErrorKind::Conflict => {
                self.tally.note(Event::RowRefused);
                self.refused.extend(job_of_partition(&write.key.partition));
            }
            Err(_) => {}
            Ok(version) => {
                self.wrote(write, *version);
                self.note_told(actor, write);
                self.check_listed(write);
            }
        }
    }

    fn wrote(&mut self, write: &Write, version: u64) {
        let key = &write.key;
        let Some(body) = &write.body else {
            self.rows.remove(key);
            return;
        };
        let before = self.rows.get(key).map(|row| (row.version, row.epoch));
        let version = if version > 0 { version } else { before.map_or(1, |(version, _)| version + 1) };
        if let Some((_, epoch)) = before
            && epoch > write.epoch
        {
            self.violated("S5", format!("{}/{} was written in an epoch that is over", key.partition, key.sort));
        }
        if key.partition == LEADER {
            self.new_leader(body);
        }
        if key.partition == JOBS {
            self.new_job_of_tenant(&key.sort, body);
        }
        if let Some(digest) = key.partition.strip_prefix("SUBMISSION#") {
            self.new_job_of(digest, body);
        }
        self.rows.insert(key.clone(), Seen { version, epoch: write.epoch, body: body.clone() });
    }

    fn new_leader(&mut self, body: &[u8]) {
        let read = |body: &[u8]| serde_json::from_slice::<LeaderRow>(body).ok();
        let key = RowKey { partition: LEADER.to_owned(), sort: LEADER.to_owned() };
        let before = self.rows.get(&key).and_then(|row| read(&row.body));
        let (Some(before), Some(now)) = (before, read(body)) else { return };
        if now.epoch > before.epoch {
            self.tally.note(Event::Failover);
        } else if now.epoch < before.epoch {
            self.violated("S5", "the leader's epoch went back");
        } else if now.life != before.life {
            self.violated("S5", format!("{} leads in the epoch of {}", now.name, before.name));
        }
    }

    /// A submission becomes a second job only when the first one is over.
    fn new_job_of(&mut self, digest: &str, body: &[u8]) {
        let Ok(SubmissionRow { job }) = serde_json::from_slice::<SubmissionRow>(body) else { return };
        let jobs = self.submissions.entry(digest.to_owned()).or_default();
        let others: Vec<JobId> = jobs.iter().filter(|other| **other != job).cloned().collect();
        jobs.insert(job);
        for other in others {
            let state = self.jobs.get(&other).and_then(|seen| seen.job.as_ref()).map(Job::state);
            if !state.is_some_and(JobState::is_final) {
                self.violated("S7", format!("a submission became another job while {other} was {state:?}"));
            }
        }
    }

    /// A tenant here submits once, with an idempotency key: whatever comes again is the same job.
    fn new_job_of_tenant(&mut self, job: &str, body: &[u8]) {
        let Ok(JobRow { tenant, .. }) = serde_json::from_slice::<JobRow>(body) else { return };
        if tenant.is_empty() {
            return;
        }
        self.tally.note(Event::Tenant);
        let jobs = self.of_tenants.entry(tenant).or_default();
        jobs.insert(job.to_owned());
        if jobs.len() > 1 {
            self.violated("S7", "a submission with one idempotency key became two jobs");
        }
    }

    fn check_job(&mut self, actor: ActorId, id: &JobId) {
        let rows = self.rows_of(id);
        let Some(seen) = self.jobs.get_mut(id) else {
            return self.violated("S5", format!("rows were written of {id}, of which there is no submission"));
        };
        let now = match Job::load(seen.submission.clone(), &rows) {
            Ok(job) => job,
            Err(error) => return self.violated("S5", format!("rows of {id}: {error}")),
        };
        for (stage, task) in now.out() {
            if task.resends > 0 {
                self.tally.note(Event::SentAgain);
            }
            let recorded = &mut seen.stages.entry(stage.clone()).or_default().recorded;
            recorded.entry(task.key()).or_insert_with(|| (Instant::now(), actor));
        }
        self.note_wishes(actor, id, &now);
        let before = self.jobs.get_mut(id).and_then(|seen| seen.job.take());
        self.note_revived(id, before.as_ref(), &now);
        let faults = self.faults(id, before.as_ref(), &now);
        if let Some(seen) = self.jobs.get_mut(id) {
            seen.job = Some(now);
        }
        faults.into_iter().for_each(|(rule, what)| self.violated(rule, what));
    }

    /// Items that were given up on and are not any more run again, with the parameters that were wished.
    fn note_revived(&mut self, id: &JobId, before: Option<&Job>, now: &Job) {
        let is_new = now.wished_redrive().is_some() && before.is_none_or(|before| before.round() != now.round());
        if let Some(seen) = self.jobs.get_mut(id).filter(|_| is_new) {
            let names = now.submission().pipeline.stages.iter().map(|stage| stage.name.clone());
            seen.dead_at_wish = names.map(|name| (name.clone(), now.dead(&name))).collect();
        }
        let Some(wish) = before.and_then(Job::wished_redrive) else { return };
        self.check_redrive(id, before, now, wish);
        let Some(seen) = self.jobs.get_mut(id) else { return };
        for stage in &now.submission().pipeline.stages {
            let dead = now.dead(&stage.name);
            let was_dead = before.map(|before| before.dead(&stage.name)).unwrap_or_default();
            for item in was_dead.into_iter().filter(|item| !dead.contains(item)) {
                seen.revived.insert((stage.name.clone(), item), wish.params.clone());
                seen.stages.entry(stage.name.clone()).or_default().begin_anew(item);
            }
        }
        // What was given up on and runs again since the same write is dead in no row.
        for (stage, task) in now.out().filter(|(_, task)| task.count == 1 && task.spent.failures == 0) {
            let is_new = before.is_none_or(|before| before.out_task(stage, task.key()).is_none());
            let seen_stage = seen.stages.entry(stage.clone()).or_default();
            if is_new && seen_stage.has_failed_in(task.first, task.attempt - 1) {
                seen.revived.insert((stage.clone(), task.first), wish.params.clone());
                seen_stage.begin_anew(task.first);
            }
        }
    }

    fn rows_of(&self, id: &JobId) -> Vec<StoredRow> {
        let partition = job_partition(id);
        let from = RowKey { partition: partition.clone(), sort: String::new() };
        let rows = self.rows.range(from..).take_while(|(key, _)| key.partition == partition);
        rows.map(|(key, row)| StoredRow { sort: key.sort.clone(), body: row.body.clone() }).collect()
    }

    fn faults(&self, id: &JobId, before: Option<&Job>, now: &Job) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let stages: Vec<StageName> = now.submission().pipeline.stages.iter().map(|stage| stage.name.clone()).collect();
        for stage in &stages {
            faults.extend(self.stage_faults(id, before, now, stage));
            faults.extend(before.and_then(|before| gone_back(before, now, stage)));
        }
        let was = before.map_or(JobState::Running, Job::state);
        if was != now.state() && !is_legal(was, now) {
            faults.push(("S5", format!("the job went from {} to {}", was.as_str(), now.state().as_str())));
        }
        if was != JobState::Failed && now.state() == JobState::Failed {
            faults.extend(self.jobs.get(id).and_then(|seen| end_of_failed(seen, now)));
        }
        let (was_round, has_begun_again) = (before.map_or(0, Job::round), was.is_final() && now.state().is_under_way());
        if now.round() != was_round + u32::from(has_begun_again) {
            faults.push(("S5", format!("the job went from round {was_round} to round {}", now.round())));
        }
        let was_to_stop = before.is_some_and(|before| before.owed() == Some(Ending::Stop));
        let tombstone = layout::tombstone(id, was_round);
        if was_to_stop && now.owed().is_none() && !self.objects.contains_key(&tombstone) {
            faults.push(("S16", format!("the round is over, and nobody is told by {tombstone}")));
        }
        // A receipt may have been made of them, or is made just now, by somebody who leads no longer. What was under way when a
        // round was stopped may still find its way into the rows.
        let is_stopped = was_to_stop || self.jobs.get(id).is_some_and(|seen| seen.stopped.contains_key(&was_round));
        let is_frozen = !was.is_under_way() && !is_stopped && now.round() == was_round;
        if is_frozen && before.is_some_and(|before| before.balance().stages != now.balance().stages) {
            faults.push(("S16", "rows of a round changed after its end".to_owned()));
        }
        if now.state().is_final() && now.owed().is_none() {
            faults.extend(self.end_faults(id, now));
        }
        faults
    }

    fn stage_faults(
        &self,
        id: &JobId,
        before: Option<&Job>,
        now: &Job,
        stage: &StageName,
    ) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let ok = now.ok_items(stage);
        let was_ok = before.map(|job| job.ok_items(stage)).unwrap_or_default();
        if ok == was_ok && before.is_some_and(|job| job.dead(stage) == now.dead(stage)) {
            return faults;
        }
        if let Some(item) = (&was_ok - &ok).min() {
            faults.push(("S4", format!("item {item} of {stage} was committed and is not any more")));
        }
        let seen = self.jobs.get(id).and_then(|seen| seen.stages.get(stage));
        let notifies = now.submission().pipeline.stage(stage).is_some_and(|stage| stage.notify.is_some());
        for item in &ok - &was_ok {
            let attempt = seen.and_then(|seen| seen.committed.get(&item));
            if let Some(attempt) = attempt.filter(|attempt| notifies && !self.is_told(id, stage, **attempt)) {
                faults.push(("S13", format!("{stage} {attempt} is said to be committed, and nobody was told")));
            }
            let named = now.committed(stage).map(|committed| committed.covering(item..item + 1)).unwrap_or_default();
            match attempt {
                None => faults.push(("S4", format!("item {item} of {stage} is said to be committed and is not"))),
                // It may name more: a reader finds out which of them holds the item.
                Some(attempt) if !named.contains(attempt) => {
                    faults.push((
                        "S4",
                        format!(
                            "item {item} of {stage} was committed by {attempt}, which its rows do not name: {named:?}"
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
        for item in now.dead(stage) {
            if ok.contains(item) {
                faults.push(("S4", format!("item {item} of {stage} is committed and given up on")));
            }
            if !seen.is_some_and(|seen| seen.failed.contains(&item)) {
                faults.push(("S6", format!("item {item} of {stage} was given up on, and no manifest says why")));
            }
        }
        faults
    }

    /// The receipt of a job that is over (S5, S6).
    fn end_faults(&self, id: &JobId, now: &Job) -> Vec<(&'static str, String)> {
        let Some(body) = self.objects.get(&layout::receipt(id, now.round())) else {
            return vec![("S5", format!("{id} is {} without a receipt", now.state().as_str()))];
        };
        let receipt: Receipt = match serde_json::from_slice(body) {
            Ok(receipt) => receipt,
            Err(error) => return vec![("S5", format!("the receipt of {id} cannot be read: {error}"))],
        };
        let mut faults = Vec::new();
        if receipt.state != now.state() {
            faults
                .push(("S6", format!("{id} is {}, its receipt says {}", now.state().as_str(), receipt.state.as_str())));
        }
        if now.state() == JobState::Succeeded && !receipt.balanced {
            faults.push(("S5", format!("{id} succeeded and does not balance: {:?}", receipt.faults)));
        }
        faults.extend(self.receipt_end_fault(id, now, &receipt));
        // What is under way when a round is stopped may be counted, or not.
        let is_counted = self.jobs.get(id).is_some_and(|seen| seen.stopped.is_empty());
        if now.state() == JobState::Succeeded || is_counted {
            faults.extend(receipt.stages.iter().flat_map(|stage| self.receipt_faults(id, now, stage)));
        }
        if now.state() == JobState::Failed && receipt.stages.iter().all(|stage| stage.dead == 0) {
            faults.push(("S6", format!("{id} failed, and no item did")));
        }
        faults
    }
}

/// What is known stays known (S4): items that were found, given up on or left out, unless a redrive has them run again.
fn gone_back(before: &Job, now: &Job, stage: &StageName) -> Option<(&'static str, String)> {
    let items = |job: &Job| {
        let stages = job.submission().pipeline.stages.iter().zip(job.view());
        stages.filter(|(spec, _)| spec.name == *stage).map(|(_, view)| view.items).sum::<u64>()
    };
    if items(now) < items(before) {
        return Some(("S4", format!("{stage} had {} items, and now {}", items(before), items(now))));
    }
    if before.wished_redrive().is_some() {
        return None;
    }
    let (dead, skipped, ok) = (now.dead(stage), now.skipped(stage), now.ok_items(stage));
    let has_ended = |item: &ItemIndex| dead.contains(item) || skipped.contains(item) || ok.contains(*item);
    let item = before.dead(stage).into_iter().chain(before.skipped(stage)).find(|item| !has_ended(item))?;
    Some(("S4", format!("item {item} of {stage} was given up on or left out, and is not any more")))
}

/// A job fails as the stages say that have failed in its round: what runs of it is stopped where one of them says so, and has come to
/// its end otherwise; where none of them closes the job nothing is left to run (S18).
fn end_of_failed(seen: &SeenJob, now: &Job) -> Option<(&'static str, String)> {
    let says = |on_failure: OnFailure, does_fail: fn(Fails) -> bool| {
        let mut stages = now.submission().pipeline.stages.iter();
        stages.any(|stage| stage.on_failure == on_failure && does_fail(seen.fails_in_round(now, &stage.name)))
    };
    let is_stopped = now.owed() == Some(Ending::Stop);
    if is_stopped && !says(OnFailure::Cancel, |fails| fails.perhaps) {
        return Some(("S18", "the job was stopped, and no failed stage says so".to_owned()));
    }
    if !is_stopped && says(OnFailure::Cancel, |fails| fails.surely) {
        return Some(("S18", "the job failed, and was to be stopped".to_owned()));
    }
    let is_closed = says(OnFailure::Drain, |fails| fails.perhaps);
    let mut out = now.out().filter(|(_, task)| !is_stopped && (task.is_executable() || !is_closed));
    out.next().map(|(stage, task)| ("S18", format!("the job failed while {stage} {} was out", task.key())))
}

fn is_legal(was: JobState, now: &Job) -> bool {
    match (was, now.state()) {
        (_, JobState::Quarantined) => false,
        (JobState::Running | JobState::Paused, _) => true,
        (JobState::Committing, to) => to == JobState::Succeeded,
        (JobState::Failed | JobState::Succeeded, to) => to == JobState::Running && now.wished_redrive().is_some(),
        (JobState::Cancelled | JobState::Quarantined, _) => false,
    }
}

impl Watch {
    /// A job as its rows have it.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)?.job.as_ref()
    }

    /// The last manifest that says of an item that it failed.
    pub fn last_failure(&self, id: &JobId, stage: &StageName, item: ItemIndex) -> Option<&Manifest> {
        let manifests = &self.jobs.get(id)?.stages.get(stage)?.manifests;
        let told = manifests.values().filter(|manifest| manifest.failure_of(item).is_some());
        told.max_by_key(|manifest| manifest.attempt)
    }

    /// How often an item failed by its own doing.
    pub fn tries(&self, id: &JobId, stage: &StageName, item: ItemIndex) -> Tries {
        let Some(seen) = self.jobs.get(id).and_then(|seen| seen.stages.get(stage)) else { return Tries::default() };
        let of_last_set = seen.failures_of_last_set(item);
        let before = seen.most_failures.get(&item).copied().unwrap_or(0);
        Tries { of_last_set, of_any_set: of_last_set.max(before) }
    }

    /// A job's entry in the list of active ones: it stays as long as the round runs for which it was written.
    pub(super) fn check_listed(&mut self, write: &Write) {
        let RowKey { partition, sort } = &write.key;
        let Some(seen) = self.jobs.get_mut(&JobId::new(sort)).filter(|_| partition == ACTIVE) else { return };
        if write.body.is_some() {
            seen.listed = Some(seen.round());
            return;
        }
        let runs = seen.job.as_ref().is_some_and(|job| job.state().is_under_way());
        if runs && seen.listed == Some(seen.round()) {
            self.violated("S16", format!("{sort} was taken off the list of active jobs, and runs"));
        }
    }

    /// What must hold of a job when nothing moves any more.
    pub fn check_end(&mut self, id: &JobId) {
        let Some(job) = self.job(id) else { return };
        let is_success = job.state() == JobState::Succeeded;
        let faults = self.end_faults(id, job);
        let counts: (u64, u64) =
            job.view().iter().fold((0, 0), |(dead, skipped), stage| (dead + stage.dead, skipped + stage.skipped));
        faults.into_iter().for_each(|(rule, what)| self.violated(rule, what));
        self.tally.note(if is_success { Event::JobSucceeded } else { Event::JobFailed });
        (0..counts.0).for_each(|_| self.tally.note(Event::ItemDead));
        (0..counts.1).for_each(|_| self.tally.note(Event::ItemSkipped));
    }
}
