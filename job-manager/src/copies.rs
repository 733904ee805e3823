//! Stragglers: tasks that are far slower than the others of their stage are executed a second time, where slots are idle
//! (`grid_core::copies` decides).

use std::collections::BTreeMap;

use grid_core::copies::{Execution, Room, choose};
use grid_core::ids::{AttemptKey, JobId, StageName};
use tokio::time::Instant;

use crate::desk::Desk;
use crate::leader::Leader;
use crate::workers::Runs;

/// An attempt of a job.
type Place = (JobId, StageName, AttemptKey);

impl Leader {
    /// Records copies of stragglers, after all tasks that could be handed out have been: their messages go with the others. Says
    /// when there may be more of them, though nobody reports anything.
    pub(crate) fn copy_stragglers(&mut self, now: Instant) {
        self.stragglers_due = None;
        let room = self.room(now);
        if room.idle == 0 {
            return;
        }
        let (places, executions): (Vec<Place>, Vec<Execution>) = self.executions(now).into_iter().unzip();
        let choice = choose(&executions, &room);
        for (job, stage, key) in choice.copied.iter().map(|place| &places[*place]) {
            if let Some(desk) = self.desks.get_mut(job) {
                tracing::info!(%job, %stage, attempt = %key, "a task is far slower than others; it is executed a second time");
                desk.table.job.copy(stage, *key);
            }
        }
        self.stragglers_due = choice.look_again.map(|after| now + after);
    }

    /// Where copies could run, by what was handed out: what is out has a slot, or waits for one.
    fn room(&self, now: Instant) -> Room {
        let slots = self.workers.slots(now);
        let copies: u32 = self.desks.values().map(|desk| desk.job().copies_out()).sum();
        let out = u32::try_from(self.handed_out()).unwrap_or(u32::MAX);
        let taken = copies.saturating_add(out);
        let idle = if self.config.copy_after.is_some() { slots.saturating_sub(taken) } else { 0 };
        Room { slots, idle, copies, least_age: self.config.copy_after.unwrap_or_default() }
    }

    /// What executes and may be copied: there is another worker for it, and nothing holds its job back.
    fn executions(&self, now: Instant) -> Vec<(Place, Execution)> {
        let open = self.workers.live(now).filter(|heartbeat| heartbeat.slots > 0).count();
        let quotas = self.quotas();
        let of = |runs: Runs<'_>| {
            let desk = self.desks.get(&runs.task.job)?;
            let has_other = open > usize::from(runs.worker.slots > 0);
            let has_room = quotas.get(&desk.job().submission().tenant).is_none_or(|left| *left > 0);
            let is_free = has_other && has_room && !self.turns.suspended.contains(&runs.task.job);
            let execution = is_free.then(|| execution(desk, &runs)).flatten()?;
            Some(((runs.task.job.clone(), runs.task.stage.clone(), runs.task.key), execution))
        };
        self.workers.executions(now).filter_map(of).collect()
    }

    /// What tenants with a quota may have out yet.
    fn quotas(&self) -> BTreeMap<String, u64> {
        let max_out = |tenant: &String| self.config.agreements.get(tenant).and_then(|agreement| agreement.max_out);
        let mut left = BTreeMap::new();
        for job in self.desks.values().map(Desk::job) {
            let tenant = &job.submission().tenant;
            if let Some(max_out) = max_out(tenant) {
                let left = left.entry(tenant.clone()).or_insert(max_out);
                *left = left.saturating_sub(job.handed_out() as u64 + u64::from(job.copies_out()));
            }
        }
        left
    }
}

/// How an execution stands; `None` for one that is not copied, or of which too little is known.
fn execution(desk: &Desk, runs: &Runs<'_>) -> Option<Execution> {
    let task = runs.task;
    let told_at = std::time::Duration::try_from_secs_f64(task.age_secs?).ok()?;
    Some(Execution {
        items: desk.job().copyable(&task.stage, task.key)?,
        age: told_at.saturating_add(runs.silent_for),
        told_at,
        items_done: f64::from(task.items_done) + f64::from(task.progress.unwrap_or(0.0)),
        usual: desk.usual(&task.stage)?,
    })
}
