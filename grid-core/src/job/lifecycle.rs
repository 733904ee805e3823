//! How a job comes to an end.

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::stage::TaskPhase;
use super::state::{Job, JobState};
use crate::pipeline::OnFailure;

/// What is to be done because a job came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every item has ended: write the receipt.
    Commit,
    /// The job is over; nothing of it runs.
    Over,
    /// The job is over, and what runs of it is to be stopped: write the tombstone.
    Stop,
}

/// How a round of a job ended, as its receipt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// A final state.
    pub state: JobState,
    /// Why, where that needs a word.
    pub message: Option<String>,
    /// Unix milliseconds.
    pub finished_ms: u64,
}

impl Job {
    /// Looks whether the job has come to an end. Level-triggered: it may be asked at any time, and again. What it says is to
    /// be done once the rows say so too: from then on they change no more, and whoever does it does the same.
    pub fn settle(&mut self, now_ms: u64) -> Option<Ending> {
        if self.meta.state == JobState::Committing {
            return Some(Ending::Commit);
        }
        if !self.meta.state.is_under_way() {
            return self.meta.owed;
        }
        self.stopping = self.failure_policy();
        if self.stopping == Some(OnFailure::Cancel) {
            return self.end(JobState::Failed, self.failure_message(), now_ms, Ending::Stop);
        }
        if self.has_phase(|phase| matches!(phase, TaskPhase::Due | TaskPhase::Sent { .. } | TaskPhase::Unknown)) {
            return None;
        }
        let is_closed = self.stopping == Some(OnFailure::Drain) || self.spent.is_some();
        if !is_closed && self.has_work() {
            return None;
        }
        if self.stopping.is_some() {
            return self.end(JobState::Failed, self.failure_message(), now_ms, Ending::Over);
        }
        if self.stages.iter().all(super::stage::StageBook::is_complete) {
            self.meta.state = JobState::Committing;
            self.dirty = true;
            return Some(Ending::Commit);
        }
        if let Some(why) = self.spent.clone() {
            return self.end(JobState::Failed, Some(why), now_ms, Ending::Over);
        }
        let stuck = Some("items are left that nothing can make ready: this is a fault of gridmill".to_owned());
        self.end(JobState::Quarantined, stuck, now_ms, Ending::Over)
    }

    /// What is still to be done because the job has ended: its receipt is not written yet.
    pub fn owed(&self) -> Option<Ending> {
        self.meta.owed
    }

    /// The receipt of this round is written, and says so: nothing is owed any more.
    pub fn receipt_written(&mut self, ended: Ended) {
        let Ended { state, message, finished_ms } = ended;
        self.meta = Meta { state, message, finished_ms: Some(finished_ms), owed: None, ..self.meta.clone() };
        self.dirty = true;
    }

    /// The grid cannot go on with this job.
    pub fn quarantine(&mut self, why: String, now_ms: u64) {
        if !self.meta.state.is_final() {
            self.end(JobState::Quarantined, Some(why), now_ms, Ending::Stop);
        }
    }

    /// The job cannot be planned, through no fault of the grid: what was submitted is wrong.
    pub fn fail(&mut self, why: String, now_ms: u64) {
        if self.meta.state.is_under_way() {
            self.end(JobState::Failed, Some(why), now_ms, Ending::Stop);
        }
    }

    /// The round ends before every item has. What was written in it and never heard of again would be accepted as long as nobody has
    /// written that row since: in the next round, too. So where there can be one, every row that could still have changed is written
    /// before the job's own says that the round is over.
    pub(super) fn end(
        &mut self,
        state: JobState,
        message: Option<String>,
        now_ms: u64,
        ending: Ending,
    ) -> Option<Ending> {
        let (finished_ms, owed) = (Some(now_ms), Some(ending));
        self.meta = Meta { state, message, finished_ms, owed, ..self.meta.clone() };
        self.dirty = true;
        if state == JobState::Failed {
            self.write_unfinished();
        }
        self.meta.owed
    }

    fn has_phase(&self, is: impl Fn(TaskPhase) -> bool) -> bool {
        self.stages.iter().any(|book| book.out.values().any(|task| is(task.phase)))
    }

    fn has_work(&self) -> bool {
        !self.to_plan().is_empty()
            || self.next_wake_ms().is_some()
            || (0..self.stages.len()).any(|index| self.can_begin(index))
    }

    /// The strictest of what the failed stages say about the rest; none while no stage has failed.
    pub(super) fn failure_policy(&self) -> Option<OnFailure> {
        (0..self.stages.len()).map(|index| self.policy_of(index)).fold(None, strictest)
    }

    /// What a stage that has failed says about the rest. What had been given up on before the round began stops nothing of it: others
    /// were to run again all the same.
    fn policy_of(&self, index: usize) -> Option<OnFailure> {
        let (has_failed, has_too_many) = (self.has_failed(index), self.has_too_many_failures(index));
        let left = self.meta.left_dead.get(&self.spec(index).name).copied().unwrap_or(0);
        let is_of_round = self.stages[index].outcomes.dead.len() > left;
        match (has_failed || has_too_many, is_of_round) {
            (false, _) => None,
            (true, false) => Some(OnFailure::Continue),
            (true, true) if has_too_many => Some(OnFailure::Cancel),
            (true, true) => Some(self.spec(index).on_failure),
        }
    }

    fn has_too_many_failures(&self, index: usize) -> bool {
        self.spec(index).max_failures.is_some_and(|most| self.has_more_dead_than(index, most))
    }

    fn failure_message(&self) -> Option<String> {
        let failed: Vec<String> = (0..self.stages.len())
            .filter(|index| self.has_failed(*index) || self.has_too_many_failures(*index))
            .map(|index| {
                let book = &self.stages[index];
                format!("{} of {} items of {}", book.outcomes.dead.len(), book.planned.items, self.spec(index).name)
            })
            .collect();
        (!failed.is_empty()).then(|| format!("{} failed", failed.join(", ")))
    }
}

fn strictest(a: Option<OnFailure>, b: Option<OnFailure>) -> Option<OnFailure> {
    let rank = |policy: Option<OnFailure>| match policy {
        None => 0,
        Some(OnFailure::Continue) => 1,
        Some(OnFailure::Drain) => 2,
        Some(OnFailure::Cancel) => 3,
    };
    if rank(a) >= rank(b) { a } else { b }
}
