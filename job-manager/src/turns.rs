//! Whose tasks are handed out next (`grid_core::share` decides), what they are charged, and why others wait.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::job::{Job, TaskPhase, Tuning};
use grid_core::price::Usd;
use grid_core::rows::{WAITS, Wait, WaitsRow};
use grid_core::scale::Ended;
use grid_core::share::{Offer, PILOT_TASKS, Shares};
use grid_core::wire::Manifest;
use tokio::time::Instant;

use crate::ManagerError;
use crate::desk::Desk;
use crate::leader::Leader;
use crate::note::Note;
use crate::roster::Roster;
use crate::submit::encode;

/// What a task is charged of which nothing is known, in seconds: it is corrected when the task has ended.
const GUESS_SECS: f64 = 1.0;

/// Jobs that are told to wait, at most: the row has to stay small.
const MAX_WAITS: usize = 1_000;

/// Who had what, and who waits.
#[derive(Debug)]
pub(crate) struct Turns {
    shares: Shares,
    /// Jobs of which one task at a time is handed out, since nearly everything that they run fails.
    pub suspended: BTreeSet<JobId>,
    waits: WaitsRow,
    note: Note,
}

impl Default for Turns {
    fn default() -> Self {
        let note = Note::new(WAITS, WAITS);
        Self { shares: Shares::default(), suspended: BTreeSet::new(), waits: WaitsRow::default(), note }
    }
}

/// What was charged for the tasks of a job that are out, and what those took that have ended, in seconds of slot time.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    charged: BTreeMap<(StageName, AttemptKey), f64>,
    /// Expected, and taken.
    ended: Vec<(f64, f64)>,
    /// What has ended of every stage since this manager took the job on.
    stages: BTreeMap<StageName, Ended>,
}

impl Bill {
    /// A task has ended.
    pub fn ended(&mut self, manifest: &Manifest) {
        let stage = self.stages.entry(manifest.stage.clone()).or_default();
        let secs = manifest.busy_us as f64 / 1e6;
        if !manifest.failed.is_empty() {
            stage.failed += 1;
        } else if manifest.reused_from.is_none() && manifest.unrun.is_empty() {
            stage.ok += 1;
            stage.ok_secs += secs;
            stage.ok_secs_squared += secs * secs;
            stage.longest_secs = stage.longest_secs.max(secs);
        }
        if let Some(expected) = self.charged.remove(&(manifest.stage.clone(), manifest.key())) {
            self.ended.push((expected, manifest.busy_us as f64 / 1e6));
        }
    }

    /// What has ended of a stage since this manager took the job on.
    pub fn ended_of(&self, stage: &StageName) -> Ended {
        self.stages.get(stage).copied().unwrap_or_default()
    }

    /// Notes the tasks that were just handed out, and forgets those that are out no more.
    fn charge(&mut self, job: &Job, secs: f64) {
        self.charged.retain(|(stage, key), _| job.out_task(stage, *key).is_some());
        for (stage, task) in job.out().filter(|(_, task)| task.phase == TaskPhase::Due) {
            self.charged.entry((stage.clone(), task.key())).or_insert(secs);
        }
    }
}

impl Leader {
    /// Keeps the queue shallow: a few tasks for every slot, those of whose turn it is.
    pub(crate) async fn dispatch(&mut self, now: Instant) -> Result<(), ManagerError> {
        if let Roster::Rows { .. } = self.roster {
            self.turns.note.keep(&self.grid, self.epoch, encode(&self.turns.waits), now).await;
        }
        let slots = self.workers.slots(now).max(1);
        let now_ms = self.grid.clock.now_ms();
        let left = self.keep_to_budgets(now_ms);
        let window = self.window(now);
        let out = self.handed_out();
        // Refilled in rounds, because every round is a durable write; never so late that a slot would wait.
        if window.saturating_sub(out) < slots as usize && out > 0 {
            return Ok(());
        }
        let jobs: Vec<JobId> = self.desks.keys().cloned().collect();
        for id in jobs {
            let Some(desk) = self.desks.get_mut(&id) else { continue };
            let looked = desk.look_for_results(&self.grid).await;
            self.or_blame(&id, looked)?;
        }
        let tuning = Tuning { slots, ..self.config.tuning };
        self.hand_out(window.saturating_sub(out) as u64, &tuning, now_ms, &left);
        Ok(())
    }

    /// Tasks of all jobs that are out at once.
    pub(crate) fn window(&self, now: Instant) -> usize {
        (self.workers.slots(now).max(1) * self.config.window_per_slot) as usize
    }

    /// Tasks of all jobs that are out.
    pub(crate) fn handed_out(&self) -> usize {
        self.desks.values().map(|desk| desk.job().handed_out()).sum()
    }

    /// Nothing where slots have no price.
    fn usd_per_slot_hour(&self) -> f64 {
        self.config.prices.slot_hour().map_or(0.0, Usd::dollars)
    }

    /// Dollars that jobs with a budget have left.
    fn keep_to_budgets(&mut self, now_ms: u64) -> BTreeMap<JobId, f64> {
        let price = self.usd_per_slot_hour();
        let kept = |(id, desk): (&JobId, &mut Desk)| (id.clone(), desk.table.job.keep_to_budget(price, now_ms));
        self.desks.iter_mut().map(kept).filter(|(_, left)| left.is_finite()).collect()
    }

    fn hand_out(&mut self, mut room: u64, tuning: &Tuning, now_ms: u64, left: &BTreeMap<JobId, f64>) {
        self.settle_bills();
        let (jobs, mut offers) = self.offers(tuning, now_ms, left);
        while room > 0 {
            let grants = self.turns.shares.hand_out(&offers, &self.config.agreements, room);
            if grants.is_empty() {
                break;
            }
            for grant in grants {
                let offer = &mut offers[grant.offer];
                let Some(desk) = self.desks.get_mut(&jobs[grant.offer]) else { continue };
                let tasks = usize::try_from(grant.tasks).unwrap_or(usize::MAX);
                let given = desk.table.job.dispatch(now_ms, tuning, tasks) as u64;
                desk.bill.charge(&desk.table.job, offer.task_secs);
                (room, offer.out) = (room.saturating_sub(given), offer.out + given);
                // Several items made one task, or some wait for others: what was charged for nothing is given back.
                for _ in given..grant.tasks {
                    let Offer { tenant, priority, task_secs, .. } = &*offer;
                    self.turns.shares.settle(tenant, *priority, &self.config.agreements, *task_secs, 0.0);
                }
                offer.tasks = if given < grant.tasks { 0 } else { offer.tasks - given };
            }
        }
        self.note_waits(&jobs, &offers);
    }

    fn settle_bills(&mut self) {
        for desk in self.desks.values_mut() {
            let submission = desk.table.job.submission();
            let (tenant, terms) = (&submission.tenant, submission.pipeline.terms);
            for (expected, took) in desk.bill.ended.drain(..) {
                let priority = terms.priority.unwrap_or_default();
                self.turns.shares.settle(tenant, priority, &self.config.agreements, expected, took);
            }
        }
    }

    /// What could be handed out of every job.
    fn offers(&self, tuning: &Tuning, now_ms: u64, left: &BTreeMap<JobId, f64>) -> (Vec<JobId>, Vec<Offer>) {
        let offer = |(id, desk): (&JobId, &Desk)| {
            let job = desk.job();
            let submission = job.submission();
            let (terms, out) = (submission.pipeline.terms, job.handed_out() as u64);
            let ready = job.offer(now_ms, tuning);
            let task_secs = ready.and_then(|ready| ready.task_secs);
            let secs = task_secs.unwrap_or(GUESS_SECS);
            let mut tasks = ready.map_or(0, |ready| ready.tasks);
            if self.turns.suspended.contains(id) {
                tasks = tasks.min(1_u64.saturating_sub(out));
            }
            if let Some(left) = left.get(id) {
                tasks = tasks.min(self.affordable(*left, task_secs, out));
            }
            let offer = Offer {
                tenant: submission.tenant.clone(),
                priority: terms.priority.unwrap_or_default(),
                tasks,
                task_secs: secs,
                out,
                start_by_ms: submission.start_by_ms(secs),
                arrived_ms: submission.submitted_ms(),
                is_unmeasured: task_secs.is_none(),
            };
            (id.clone(), offer)
        };
        self.desks.iter().map(offer).unzip()
    }

    /// Tasks that a budget has room for: one while anything is left, so that it is used up; a pilot while nobody knows what
    /// they cost.
    fn affordable(&self, left_usd: f64, task_secs: Option<f64>, out: u64) -> u64 {
        let usd = |secs: f64| secs / 3_600.0 * self.usd_per_slot_hour();
        match task_secs {
            _ if left_usd <= 0.0 => 0,
            Some(secs) => ((left_usd / usd(secs)) as u64).max(1),
            None => PILOT_TASKS.saturating_sub(out),
        }
    }

    fn note_waits(&mut self, jobs: &[JobId], offers: &[Offer]) {
        let mut out = BTreeMap::<&str, u64>::new();
        offers.iter().for_each(|offer| *out.entry(&offer.tenant).or_default() += offer.out);
        let wait = |id: &JobId, offer: &Offer| {
            let max_out = self.config.agreements.get(&offer.tenant).and_then(|agreement| agreement.max_out);
            let tenant_out = out.get(offer.tenant.as_str()).copied().unwrap_or_default();
            match max_out {
                _ if self.desks.get(id)?.job().is_spent() => Some(Wait::Budget),
                _ if self.turns.suspended.contains(id) => Some(Wait::Suspended),
                _ if offer.tasks == 0 => None,
                Some(max_out) if tenant_out >= max_out => Some(Wait::Quota { max_out }),
                // The slots are its own job's, and those of nobody else.
                _ if offers.iter().all(|other| std::ptr::eq(other, offer) || other.out == 0) => None,
                _ => Some(Wait::Share),
            }
        };
        let waits = jobs.iter().zip(offers).filter_map(|(id, offer)| Some((id.clone(), wait(id, offer)?)));
        self.turns.waits = WaitsRow { jobs: waits.take(MAX_WAITS).collect() };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grid_core::job::Job;
    use grid_core::pipeline::{ItemSource, Pipeline, Range, Stage};
    use grid_core::reason::{Failure, Reason};
    use grid_core::submission::Submission;
    use grid_core::wire::{ItemFailure, Outputs};

    use super::*;

    /// Three tasks of a stage `a`, handed out, and what was charged for them: ten seconds each.
    fn charged() -> (Job, Bill) {
        let items = ItemSource::Range(Range { first: 1, last: 3, step: 1 });
        let stage = Stage::new(StageName::new("a"), items, grid_core::pipeline::Command::Argv(Vec::new()));
        let pipeline = Pipeline::new("test", vec![stage]);
        let submission = Submission::new(JobId::new("job"), jiff::Timestamp::UNIX_EPOCH, "/", pipeline);
        let (mut job, mut bill) = (Job::new(Arc::new(submission)), Bill::default());
        job.dispatch(0, &Tuning { max_items: 1, slots: 9, ..Tuning::default() }, 3);
        bill.charge(&job, 10.0);
        (job, bill)
    }

    /// The end of an execution that took so many seconds.
    fn ended(first: u32, secs: u64) -> Manifest {
        let text = serde_json::json!({
            "v": 1, "job": "job", "stage": "a", "first": first, "count": 1, "attempt": 1, "worker": "w",
            "started_ms": 0, "busy_us": secs * 1_000_000, "bytes_in": 0, "outputs": Outputs::default(),
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_a_task_was_charged_is_settled_by_what_it_took() {
        let (_, mut bill) = charged();
        bill.ended(&ended(1, 4));
        bill.ended(&ended(0, 30));
        bill.ended(&ended(1, 4));
        assert_eq!(bill.ended, [(10.0, 4.0), (10.0, 30.0)], "each once");
    }

    #[test]
    fn a_task_is_charged_once_and_as_long_as_it_is_out() {
        let (mut job, mut bill) = charged();
        bill.charge(&job, 99.0);
        assert_eq!(bill.charged.values().copied().collect::<Vec<_>>(), [10.0; 3]);
        job.apply(&ended(1, 4), 0, &mut || 0.5);
        bill.charge(&job, 99.0);
        let charged: Vec<u32> = bill.charged.keys().map(|(_, key)| key.first).collect();
        assert_eq!(charged, [0, 2]);
        job.sent(&StageName::new("a"), AttemptKey { first: 0, attempt: 1 }, 0);
        bill.charged.clear();
        bill.charge(&job, 7.0);
        assert_eq!(bill.charged.len(), 1, "what was sent before is not handed out now");
    }

    #[test]
    fn of_a_stage_what_succeeds_as_a_whole_says_how_long_a_task_takes() {
        let mut bill = Bill::default();
        let failure = ItemFailure { first: 4, count: 1, bytes_in: 0, failure: Failure::new(Reason::Exit, "failed") };
        bill.ended(&ended(0, 3));
        bill.ended(&ended(1, 5));
        bill.ended(&ended(2, 4));
        bill.ended(&Manifest { reused_from: Some(JobId::new("earlier")), ..ended(3, 100) });
        bill.ended(&Manifest { failed: vec![failure], ..ended(4, 100) });
        bill.ended(&Manifest { unrun: vec![(5, 1)], ..ended(5, 100) });
        let expected = Ended { ok: 3, failed: 1, ok_secs: 12.0, ok_secs_squared: 50.0, longest_secs: 5.0 };
        assert_eq!(bill.ended_of(&StageName::new("a")), expected);
        assert_eq!(bill.ended_of(&StageName::new("b")), Ended::default());
    }
}
