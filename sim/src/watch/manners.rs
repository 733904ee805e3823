//! What is no harm by itself, and would be in the long run: work that need not be, and work that nobody wants any more. What
//! repair hides is seen here.
//!
//! An actor is judged by what it could know: only while its calls go well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_core::ids::{AttemptKey, ItemIndex, JobId, StageName, WorkerId};
use grid_core::job::{Job, JobState};
use grid_core::layout;
use grid_core::limits::{MAX_DEATHS, MAX_RESENDS};
use grid_core::pipeline::{OnFailure, Stage};
use grid_core::reason::Reason;
use grid_core::rows::ACTIVE;
use grid_core::wire::{Manifest, TaskMessage};
use infra::Result;
use infra::state::{RowKey, Write};
use tokio::time::Instant;

use super::{Attempt, Hold, SeenJob, Watch, ended};
use crate::net::ActorId;
use crate::tally::Event;

/// Within this a leader whose calls go well has heard what was wished of a job.
const HEARS_WITHIN: Duration = Duration::from_secs(6);

/// Within this a worker whose calls go well has seen that a job is over.
const SEES_WITHIN: Duration = Duration::from_secs(5);

/// Within this a worker whose calls go well has ended what it executes of a job that is over.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

/// Workers that an item may kill when it is alone in its task, for every set of attempts that it is given: as many as may die, and
/// one for every message of it that was sent, or doubled, before anybody could say that it runs.
const MAX_KILLS: u32 = 2 * (MAX_DEATHS + MAX_RESENDS + 1);

/// What is known of an attempt by its messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Mail {
    pub sends: u32,
    /// By whom, and when.
    pub receives: Vec<(ActorId, Instant)>,
    /// Who took it when there was no manifest yet, or a message of it that never came before, and did not execute it since.
    open_for: BTreeSet<ActorId>,
    /// Who took it in vain: its message came again, and its manifest was there.
    settled_for: BTreeSet<ActorId>,
}

impl Watch {
    /// Nothing goes well with an actor before then.
    pub fn troubled_until(&mut self, actor: ActorId, until: Instant) {
        let since = self.well_since.entry(actor).or_insert(until);
        *since = until.max(*since);
    }

    pub(super) fn is_well_since(&self, actor: ActorId, when: Instant) -> bool {
        self.well_since.get(&actor).is_none_or(|since| *since < when)
    }

    /// A task was received, for the `receives`th time.
    pub(super) fn took(&mut self, actor: ActorId, task: &TaskMessage, receives: u32) {
        let attempt = (task.job.clone(), task.stage.clone(), task.key());
        let key = layout::manifest(&task.job, &task.stage, task.key());
        let is_settled = (receives > 1 || task.copy > 0) && self.objects.contains_key(&key);
        let mail = self.mail.entry(attempt).or_default();
        mail.receives.push((actor, Instant::now()));
        if !is_settled {
            mail.open_for.insert(actor);
            mail.settled_for.remove(&actor);
        } else if !mail.open_for.contains(&actor) {
            mail.settled_for.insert(actor);
        }
    }

    /// An execution began.
    pub fn saw_execution(
        &mut self,
        actor: ActorId,
        (worker, started_ms): (&WorkerId, u64),
        message: &TaskMessage,
        params: &BTreeMap<String, String>,
    ) {
        self.tally.note(Event::Execution);
        let attempt: Attempt = (message.job.clone(), message.stage.clone(), message.key());
        self.note(actor, "executes", &format!("{} {}", message.stage, message.key()), b"", &message.count);
        *self.executions.entry((attempt.clone(), message.round)).or_default() += 1;
        let mail = self.mail.entry(attempt.clone()).or_default();
        mail.open_for.remove(&actor);
        if mail.settled_for.contains(&actor) {
            let what =
                format!("{} {} was executed, and its manifest was there when it came again", attempt.1, attempt.2);
            self.violated("E1", what);
        }
        if let Some(since) = self.jobs.get(&message.job).and_then(|seen| seen.stopped.get(&message.round).copied())
            && since + SEES_WITHIN < Instant::now()
            && self.is_well_since(actor, since)
        {
            let what = format!("{} {} was executed long after its round was stopped", attempt.1, attempt.2);
            self.violated("E4", what);
        }
        let said = message.params.iter().find(|(name, value)| params.get(*name) != Some(*value));
        if let Some((name, value)) = said {
            let what = format!("{} {} is executed without {name} = {value}", attempt.1, attempt.2);
            self.violated("S17", what);
        }
        let execution = (worker.clone(), attempt, started_ms);
        self.begun.insert(execution.clone(), message.copy);
        self.running.insert(execution);
    }

    /// An execution is over, whichever way: soon after its round was stopped.
    pub fn saw_execution_end(&mut self, actor: ActorId, (worker, started_ms): (&WorkerId, u64), message: &TaskMessage) {
        let attempt: Attempt = (message.job.clone(), message.stage.clone(), message.key());
        self.running.remove(&(worker.clone(), attempt, started_ms));
        let stopped = self.jobs.get(&message.job).and_then(|seen| seen.stopped.get(&message.round).copied());
        if let Some(since) = stopped
            && since + ENDS_WITHIN < Instant::now()
            && self.is_well_since(actor, since)
        {
            let what = format!("{} {} was executed long after its round was stopped", message.stage, message.key());
            self.violated("E4", what);
        }
    }

    /// An item killed its worker.
    pub fn saw_poison(&mut self, actor: ActorId, message: &TaskMessage, item: ItemIndex) {
        self.happened(Event::Poison, actor);
        if message.count > 1 {
            return;
        }
        let kills = self.kills.entry((message.job.clone(), message.stage.clone(), item)).or_default();
        *kills += 1;
        let sets = 1 + self.jobs.get(&message.job).map_or(0, SeenJob::round);
        if *kills > MAX_KILLS * sets {
            let what = format!("item {item} of {} killed {kills} workers", message.stage);
            self.violated("L3", what);
        }
    }

    /// Others were told of what was committed.
    pub fn saw_events(&mut self, actor: ActorId, queue: &str, events: &[String], done: &Result<Vec<Result<()>>>) {
        for (place, event) in events.iter().enumerate() {
            self.note(actor, "tell", queue, event.as_bytes(), &ended(done));
            let is_taken = done.as_ref().is_ok_and(|answers| answers.get(place).is_some_and(Result::is_ok));
            let id = serde_json::from_str::<serde_json::Value>(event)
                .ok()
                .and_then(|event| Some(event.get("id")?.as_str()?.to_owned()));
            match id {
                Some(id) if is_taken => {
                    self.tally.note(Event::Told);
                    if !self.is_of_commit(&id) {
                        self.violated("S13", format!("others were told of {id}, which commits nothing"));
                    }
                    let is_again = !self.told.insert(id.clone());
                    let is_refused = |job| self.refused.contains(&JobId::new(job));
                    if is_again && !id.split('/').next().is_some_and(is_refused) {
                        self.told_twice.get_or_insert(id);
                    }
                }
                Some(_) => {}
                None => self.violated("S13", "others were told something that has no id"),
            }
        }
    }

    /// Whether an event names an attempt that has committed something.
    fn is_of_commit(&self, id: &str) -> bool {
        let mut parts = id.split('/');
        let (Some(job), Some(stage), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return false };
        let Some((Ok(first), Ok(attempt))) =
            key.split_once('.').map(|(first, attempt)| (first.parse(), attempt.parse()))
        else {
            return false;
        };
        let stage = self.jobs.get(&JobId::new(job)).and_then(|seen| seen.stages.get(&StageName::new(stage)));
        let manifest = stage.and_then(|stage| stage.manifests.get(&AttemptKey { first, attempt }));
        manifest.is_some_and(|manifest| !manifest.committed().is_empty())
    }

    pub(super) fn is_told(
        &self,
        job: &JobId,
        stage: &grid_core::ids::StageName,
        key: grid_core::ids::AttemptKey,
    ) -> bool {
        self.told.contains(&format!("{job}/{stage}/{}.{}", key.first, key.attempt))
    }

    /// A manifest was committed by whoever it names: its execution is over (S11), and what was given up on was not given up on
    /// lightly.
    pub(super) fn check_end_of_attempt(&mut self, manifest: &Manifest) {
        let attempt: Attempt = (manifest.job.clone(), manifest.stage.clone(), manifest.key());
        if self.running.contains(&(manifest.worker.clone(), attempt.clone(), manifest.started_ms)) {
            let what = format!("{} {} was committed while it was executed", attempt.1, attempt.2);
            self.violated("S11", what);
        }
        let execution = (manifest.worker.clone(), attempt.clone(), manifest.started_ms);
        let is_managers = manifest.worker.as_str() == "manager";
        if !is_managers && self.begun.get(&execution) != Some(&manifest.copy) {
            let what =
                format!("{} {} was committed by copy {}, which nobody executed", attempt.1, attempt.2, manifest.copy);
            self.violated("S11", what);
        }
        if manifest.failed.iter().any(|failed| failed.failure.reason == Reason::DiskFull) {
            self.violated("S15", format!("a full disk is held against items of {} {}", attempt.1, attempt.2));
        }
        let is_lost = manifest.failed.iter().any(|failed| failed.failure.reason == Reason::LeaseLost);
        let mail = self.mail.get(&attempt).cloned().unwrap_or_default();
        if is_lost && mail.sends <= MAX_RESENDS {
            let least = MAX_DEATHS as usize;
            let deaths = mail.receives.iter().filter(|(actor, at)| self.may_have_fallen_silent(*actor, *at)).count();
            let what = format!(
                "{} {} was given up on after {} receives, {deaths} deaths and {} sends",
                attempt.1,
                attempt.2,
                mail.receives.len(),
                mail.sends
            );
            if mail.receives.len() < least {
                self.violated("S15", what);
            } else if deaths < least {
                self.too_few_deaths.get_or_insert(what);
            }
        }
    }

    /// An actor dies.
    pub fn dies(&mut self, actor: ActorId) {
        self.died_at.insert(actor, Instant::now());
    }

    /// Whether a leader may have missed the heartbeats of a worker since then, as long as none is lost on its way: one of them died, or its
    /// calls did not go well.
    fn may_have_fallen_silent(&self, actor: ActorId, since: Instant) -> bool {
        let has_died = |actor: &ActorId| self.died_at.get(actor).is_some_and(|at| *at >= since);
        let managers = (0..self.names.len()).map(ActorId).filter(|actor| self.names[actor.0].starts_with("manager"));
        managers.chain([actor]).any(|actor| has_died(&actor) || !self.is_well_since(actor, since))
    }

    /// An attempt is sent for the first time: its job must be one that wants it. What was handed out before it can be known that a
    /// stage has failed that stops the rest may have to be sent after, since nobody but its rows knows of it; they may be written
    /// late. A leader hears of a wish by a second write of whoever wishes, who may take long over it.
    pub(super) fn check_wanted(&mut self, actor: ActorId, task: &TaskMessage) {
        let Some(seen) = self.jobs.get(&task.job) else { return };
        let Some(Hold { since, .. }) = seen.held else { return };
        let is_stopping = seen.job.as_ref().is_some_and(|job| job.state() == JobState::Running);
        let was_before = |(at, by): (Instant, ActorId)| at <= since + HEARS_WITHIN || !self.is_well_since(by, since);
        if is_stopping && self.recorded(task).is_some_and(was_before) {
            return;
        }
        self.check_copy_wanted(actor, task);
    }

    /// As [`Watch::check_wanted`], of a copy: nobody needs it who knows that the job is held.
    pub(super) fn check_copy_wanted(&mut self, actor: ActorId, task: &TaskMessage) {
        let held = self.jobs.get(&task.job).and_then(|seen| seen.held);
        let Some(Hold { since, by, is_told }) = held else { return };
        if self.could_know(actor, since) && (is_told || self.is_well_since(by, since)) {
            let what = format!("{} {} was sent long after its job was held", task.stage, task.key());
            self.violated("E4", what);
        }
    }

    /// A message says in which round it was sent: in none to come, and in none of which its sender has long known that it is over.
    pub(super) fn check_round(&mut self, actor: ActorId, task: &TaskMessage) {
        let Some(seen) = self.jobs.get(&task.job) else { return };
        let (round, since) = (seen.round(), seen.round_since);
        let is_late = task.round < round && self.could_know(actor, since);
        if task.round > round || is_late {
            let what =
                format!("{} {} was sent in round {}, and it is round {round}", task.stage, task.key(), task.round);
            self.violated("S16", what);
        }
    }

    /// Whether what was so since then has been heard of by an actor.
    fn could_know(&self, actor: ActorId, since: Instant) -> bool {
        since + HEARS_WITHIN < Instant::now() && self.is_well_since(actor, since)
    }

    /// The rows of a job changed. One that runs again is held anew if it is: what stops it now was found out by whoever has just made it
    /// run, and what the round before was held for is over.
    pub(super) fn note_wishes(&mut self, actor: ActorId, id: &JobId, now: &Job) {
        let Some(seen) = self.jobs.get_mut(id) else { return };
        if now.round() != seen.round() {
            seen.round_since = Instant::now();
        }
        let had_wish = seen.job.as_ref().is_some_and(|before| before.wished_redrive().is_some());
        let runs_again = had_wish && now.wished_redrive().is_none();
        if runs_again {
            seen.taken_up = Instant::now();
            let left_dead = |stage: &Stage| {
                let (dead, at_wish) = (now.dead(&stage.name), seen.dead_at_wish.get(&stage.name));
                let of_wish = at_wish.into_iter().flatten().filter(|item| dead.contains(item)).count();
                (stage.name.clone(), of_wish..=dead.len())
            };
            seen.left_dead = now.submission().pipeline.stages.iter().map(left_dead).collect();
        }
        let hold = seen.held.filter(|_| !runs_again);
        seen.held = is_held(seen, now)
            .then(|| hold.unwrap_or_else(|| Hold { since: Instant::now(), by: actor, is_told: false }));
    }

    /// Whoever has a wish written into a job's rows tells the leader by the job's entry in the list of active ones.
    pub(super) fn note_told(&mut self, actor: ActorId, write: &Write) {
        let RowKey { partition, sort } = &write.key;
        if partition != ACTIVE || write.body.is_none() {
            return;
        }
        let hold = self.jobs.get_mut(&JobId::new(sort)).and_then(|seen| seen.held.as_mut());
        if let Some(hold) = hold.filter(|hold| hold.by == actor && !hold.is_told) {
            *hold = Hold { since: Instant::now(), is_told: true, ..*hold };
        }
    }
}

/// Whether nothing of a job is to be handed out.
fn is_held(seen: &SeenJob, now: &Job) -> bool {
    let mut stages = now.submission().pipeline.stages.iter();
    let stops = |on_failure| matches!(on_failure, OnFailure::Drain | OnFailure::Cancel);
    now.state() != JobState::Running
        || stages.any(|stage| stops(stage.on_failure) && seen.fails_in_round(now, &stage.name).surely)
}
