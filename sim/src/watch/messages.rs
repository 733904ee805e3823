//! Messages: rows before messages and inputs before those who read them (S3), commits before deletes (S8), rows before
//! the deletes of reports (S9).

use std::time::Duration;

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::layout;
use grid_core::wire::{Completion, Report, TaskInputs, TaskMessage};
use infra::queue::{Depth, Receipt, Received};
use infra::{ErrorKind, Result};
use tokio::time::Instant;

use super::{Sent, Watch, ended};
use crate::net::{ActorId, QueueName};
use crate::tally::Event;

/// When so many heartbeats in a row were refused, the next comes as its leader's patience ends: six seconds and two intervals of two.
const SILENT_HEARTBEATS: u32 = 4;

impl Watch {
    /// Messages were sent.
    pub fn saw_send(&mut self, actor: ActorId, queue: QueueName, bodies: &[String], done: &Result<Vec<Result<()>>>) {
        for body in bodies {
            self.note(actor, "send", queue.as_str(), body.as_bytes(), &ended(done));
        }
        if queue == QueueName::Reports {
            let answers = done.iter().flatten();
            let sent = bodies.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
            sent.for_each(|(body, _)| self.reported(actor, body));
            self.beats(actor, bodies, done);
        }
        if queue == QueueName::Tasks && done.is_ok() {
            for body in bodies {
                match serde_json::from_str::<TaskMessage>(body) {
                    Ok(task) => self.sent_task(actor, &task),
                    Err(error) => self.violated("S3", format!("a task message cannot be read: {error}")),
                }
            }
        }
    }

    /// Messages were received.
    pub fn saw_receive(&mut self, actor: ActorId, queue: QueueName, done: &Result<Vec<Received>>) {
        self.note(actor, "receive", queue.as_str(), b"", &ended(done));
        for received in done.iter().flatten() {
            self.note(actor, "receives", &received.receipt.0, received.body.as_bytes(), &received.receives);
            if queue == QueueName::Tasks {
                self.leased(actor, received);
                if received.receives > 1 {
                    self.tally.note(Event::Redelivery);
                }
                if let Ok(task) = serde_json::from_str::<TaskMessage>(&received.body) {
                    self.took(actor, &task, received.receives);
                }
            }
            if queue == QueueName::DeadTasks {
                self.tally.note(Event::DeadTask);
            }
            let heard = (received.body.clone(), Instant::now());
            self.receipts.insert((queue, received.receipt.clone()), heard);
        }
    }

    /// Messages were deleted.
    pub fn saw_acknowledge(
        &mut self,
        actor: ActorId,
        queue: QueueName,
        receipts: &[Receipt],
        done: &Result<Vec<Result<()>>>,
    ) {
        for receipt in receipts {
            self.note(actor, "delete", &receipt.0, b"", &ended(done));
            self.leases.remove(&(actor, receipt.clone()));
        }
        let Ok(answers) = done else { return };
        let deleted: Vec<(String, Instant)> = (receipts.iter().zip(answers))
            .filter(|(_, answer)| answer.is_ok())
            .filter_map(|(receipt, _)| self.receipts.get(&(queue, receipt.clone())).cloned())
            .collect();
        for (body, heard_at) in deleted {
            match queue {
                QueueName::Tasks => self.deleted_task(actor, &body),
                // That a message is dead tells nothing of its task.
                QueueName::DeadTasks => {}
                QueueName::Reports => self.deleted_report(&body, heard_at),
            }
        }
    }

    /// Leases were extended.
    pub fn saw_extend(
        &mut self,
        actor: ActorId,
        queue: QueueName,
        (receipts, lease): (&[Receipt], Duration),
        done: &Result<Vec<Result<()>>>,
    ) {
        self.note(actor, "extend", queue.as_str(), b"", &ended(done));
        self.gave_back(actor, receipts, lease);
        for answer in done.iter().flatten() {
            if matches!(answer, Err(error) if error.kind == ErrorKind::NotFound) {
                self.tally.note(Event::LeaseLost);
            }
        }
    }

    /// A queue told how deep it is: what it told before, if it `is_old`.
    pub fn saw_depth(&mut self, actor: ActorId, queue: QueueName, is_old: bool, done: Result<Depth>) -> Result<Depth> {
        self.note(actor, "depth", queue.as_str(), b"", &ended(&done));
        let depth = done?;
        match self.depths.get(&queue) {
            Some(old) if is_old => {
                self.tally.note(Event::OldDepth);
                Ok(*old)
            }
            _ => {
                self.depths.insert(queue, depth);
                Ok(depth)
            }
        }
    }

    fn sent_task(&mut self, actor: ActorId, task: &TaskMessage) {
        self.check_round(actor, task);
        if task.copy > 0 {
            return self.sent_copy(actor, task);
        }
        let attempt = (task.job.clone(), task.stage.clone(), task.key());
        self.mail.entry(attempt.clone()).or_default().sends += 1;
        if !self.sent.insert((attempt.clone(), task.round)) {
            self.tally.note(Event::Resend);
            return;
        }
        self.open.insert((attempt, task.round));
        self.check_wanted(actor, task);
        self.tally.note(Event::Attempt);
        if task.attempt > 1 {
            self.tally.note(Event::Retry);
        }
        let name = format!("{} {}", task.stage, task.key());
        if self.recorded(task).is_none() {
            self.violated("S3", format!("{name} was sent before it was recorded"));
        }
        if let Some(lacking) = self.lacking(task).or_else(|| self.comes_after(task)) {
            self.violated("S3", format!("{name} was sent before {lacking}"));
        }
        // What was asked for in a round that is over, and comes late, knows nothing of this one.
        if self.jobs.get(&task.job).is_some_and(|seen| task.round < seen.round()) {
            return;
        }
        if let Some((item, name)) = self.unset(task) {
            self.violated("S17", format!("item {item} of {} runs again without the parameter {name}", task.stage));
        }
        if let Some(what) = self.has_other_memory(task) {
            self.violated("S17", what);
        }
        self.check_pause(task);
    }

    /// An item that runs again, and a parameter that was set for it and that its message does not have.
    fn unset(&self, task: &TaskMessage) -> Option<(ItemIndex, String)> {
        let seen = self.jobs.get(&task.job)?;
        (task.first..task.first + task.count).find_map(|item| {
            let mut set = seen.revived.get(&(task.stage.clone(), item))?.iter();
            let (name, _) = set.find(|(name, value)| task.params.get(*name) != Some(*value))?;
            Some((item, name.clone()))
        })
    }

    /// An item of a task that does not have the memory that it is to have: twice as much for every time that it wanted more.
    fn has_other_memory(&self, task: &TaskMessage) -> Option<String> {
        let hungers = &self.jobs.get(&task.job)?.stages.get(&task.stage)?.hungers;
        (task.first..task.first + task.count).find_map(|item| {
            let factor = 2_f64.powi(hungers.get(&item).copied().unwrap_or(0));
            let is_other = (task.memory_factor - factor).abs() > 1e-9;
            is_other.then(|| {
                format!("item {item} of {} has {} times its memory, not {factor}", task.stage, task.memory_factor)
            })
        })
    }

    /// An item that failed is tried again no sooner than its stage says.
    fn check_pause(&mut self, task: &TaskMessage) {
        let Some(seen) = self.jobs.get(&task.job) else { return };
        let (Some(stage), Some(spec)) = (seen.stages.get(&task.stage), seen.submission.pipeline.stage(&task.stage))
        else {
            return;
        };
        let backoff = &spec.retry.backoff;
        // By clocks that count milliseconds.
        let pause = backoff.initial.mul_f64(1.0 - backoff.jitter).saturating_sub(Duration::from_millis(2));
        let is_too_soon = |item: &ItemIndex| stage.failed_at.get(item).is_some_and(|at| at.elapsed() < pause);
        if let Some(item) = (task.first..task.first + task.count).find(is_too_soon) {
            let what = format!("item {item} of {} was tried again as {} within {pause:?}", task.stage, task.key());
            self.too_soon.get_or_insert(what);
        }
    }

    /// A stage that the task's comes after, and that is not done.
    fn comes_after(&self, task: &TaskMessage) -> Option<String> {
        let seen = self.jobs.get(&task.job)?;
        // What was out in a round before goes on.
        let is_new = self.recorded(task).is_none_or(|(at, _)| at >= seen.round_since);
        let job = seen.job.as_ref().filter(|job| job.round() == task.round && is_new)?;
        let pipeline = &job.submission().pipeline;
        let before = &pipeline.stage(&task.stage)?.after;
        let views = job.view().into_iter().zip(&pipeline.stages);
        let mut before = views.filter(|(_, stage)| before.contains(&stage.name));
        let is_open =
            |view: &grid_core::job::StageView| !view.planned || view.ok + view.skipped + view.dead < view.items;
        before.find(|(view, _)| is_open(view)).map(|(_, stage)| format!("{} was done", stage.name))
    }

    /// What a task that was sent has to wait for.
    fn lacking(&self, task: &TaskMessage) -> Option<String> {
        let inputs = match &task.inputs {
            TaskInputs::Listed(key) => match self.objects.get(key).map(|body| serde_json::from_slice(body)) {
                Some(Ok(inputs)) => inputs,
                Some(Err(_)) | None => return Some(format!("its inputs were listed in {key}")),
            },
            inputs => inputs.clone(),
        };
        let TaskInputs::Upstream { members, refs } = inputs else { return None };
        let missing = |at: &&grid_core::wire::OutputRef| {
            !self.objects.contains_key(&layout::manifest(&task.job, &at.stage, at.key))
        };
        if let Some(at) = refs.iter().find(missing) {
            return Some(format!("the manifest {} of {}", at.key, at.stage));
        }
        let seen = self.jobs.get(&task.job)?;
        let job = seen.job.as_ref().filter(|job| job.round() == task.round)?;
        for run in &members {
            let (ok, dead, skipped) = (job.ok_items(&run.stage), job.dead(&run.stage), job.skipped(&run.stage));
            for item in run.first..run.first + run.count {
                let has_ended = ok.contains(item) || dead.contains(&item) || skipped.contains(&item);
                if !has_ended {
                    return Some(format!("item {item} of {} had ended", run.stage));
                }
                if ok.contains(item) && !self.is_named(&task.job, &run.stage, item, &refs) {
                    return Some(format!("it named the result of item {item} of {}", run.stage));
                }
            }
        }
        None
    }

    fn is_named(&self, job: &JobId, stage: &StageName, item: ItemIndex, refs: &[grid_core::wire::OutputRef]) -> bool {
        let committed = self.jobs.get(job).and_then(|job| job.stages.get(stage)?.committed.get(&item));
        refs.iter().any(|at| at.stage == *stage && committed == Some(&at.key))
    }

    /// A worker whose heartbeats are refused for so long that its leader has to hold it dead.
    fn beats(&mut self, actor: ActorId, bodies: &[String], done: &Result<Vec<Result<()>>>) {
        for (body, answer) in bodies.iter().zip(done.iter().flatten()) {
            if !matches!(serde_json::from_str(body), Ok(Report::Heartbeat(_))) {
                continue;
            }
            let refused = self.refused_heartbeats.entry(actor).or_default();
            *refused = if answer.is_ok() { 0 } else { *refused + 1 };
            self.has_fallen_silent |= *refused >= SILENT_HEARTBEATS;
        }
    }

    fn reported(&mut self, actor: ActorId, body: &str) {
        if let Ok(Report::Completed(Completion { job, stage, key, .. })) = serde_json::from_str::<Report>(body) {
            self.reported.insert((actor, (job, stage, key)));
        }
    }

    fn deleted_task(&mut self, actor: ActorId, body: &str) {
        let Ok(task) = serde_json::from_str::<TaskMessage>(body) else { return };
        let name = format!("the message of {} {} was deleted", task.stage, task.key());
        let attempt = (task.job.clone(), task.stage.clone(), task.key());
        if !self.is_settled(&(attempt.clone(), task.round)) {
            return self.violated("S8", format!("{name}, which is not committed"));
        }
        let is_stopped = self.jobs.get(&task.job).is_some_and(|seen| seen.stopped.contains_key(&task.round));
        // Nobody but repair would hear of it.
        if !is_stopped && !self.reported.contains(&(actor, attempt)) {
            self.violated("S8", format!("{name} by somebody who had not reported it"));
        }
    }

    /// When a task was first recorded as out, and by whom.
    pub(super) fn recorded(&self, task: &TaskMessage) -> Option<(Instant, ActorId)> {
        self.jobs.get(&task.job)?.stages.get(&task.stage)?.recorded.get(&task.key()).copied()
    }

    /// Tasks that were sent and that somebody has to do something for yet.
    pub fn open_tasks(&mut self) -> u64 {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|sent| !self.is_settled(sent) && !self.is_over(&sent.0.0));
        self.open = open;
        self.open.len() as u64
    }

    /// Whether a job has ended, as its rows have it.
    pub(super) fn is_over(&self, job: &JobId) -> bool {
        let job = self.jobs.get(job).and_then(|seen| seen.job.as_ref());
        job.is_some_and(|job| !job.state().is_under_way())
    }

    /// Whether nothing is left to do for a message: its attempt is committed, or its round was stopped.
    pub(super) fn is_settled(&self, ((job, stage, key), round): &Sent) -> bool {
        let Some(seen) = self.jobs.get(job) else { return false };
        let is_committed = seen.stages.get(stage).is_some_and(|stage| stage.manifests.contains_key(key));
        is_committed || seen.stopped.contains_key(round)
    }

    fn deleted_report(&mut self, body: &str, heard_at: Instant) {
        let Ok(Report::Completed(Completion { job, stage, key, .. })) = serde_json::from_str::<Report>(body) else {
            return;
        };
        let Some(seen) = self.jobs.get(&job) else { return };
        let Some(job) = &seen.job else { return };
        let is_out = job.out().any(|(of, task)| *of == stage && task.key() == key);
        // The leader takes a job for over until it hears of the redrive, and then looks up whatever is out. What it heard until then it
        // may delete later.
        let was_over = job.wished_redrive().is_some() || heard_at < seen.taken_up;
        if is_out && job.state().is_under_way() && !was_over {
            self.violated("S9", format!("the report of {stage} {key} was deleted, and no row holds its news"));
        }
    }
}
