//! What a job has cost, and what becomes of it when its budget is spent.

use super::lifecycle::Ending;
use super::stage::TaskPhase;
use super::state::{Job, JobState};
use crate::terms::{BudgetState, OnExceed};

impl Job {
    /// Dollars that the slot time of everything that has ended has cost, copies included.
    pub fn spent_usd(&self, usd_per_slot_hour: f64) -> f64 {
        let tallies = self.stages.iter().flat_map(|book| book.tallies.values());
        let busy_us: u64 = tallies.map(|tally| tally.busy_us + tally.copies.lost_us).sum();
        busy_us as f64 * usd_per_slot_hour / 3.6e9
    }

    /// Dollars that what is out will cost, by the measured pace; nothing while nothing was measured.
    pub fn running_usd(&self, usd_per_slot_hour: f64) -> f64 {
        let is_out = |phase: TaskPhase| match phase {
            TaskPhase::Due | TaskPhase::Sent { .. } | TaskPhase::Unknown => true,
            TaskPhase::Waiting { .. } => false,
        };
        let secs = self.stages.iter().map(|book| {
            let items: u64 =
                book.out.values().filter(|task| is_out(task.phase)).map(|task| u64::from(task.count)).sum();
            items as f64 * book.pace.item_secs.unwrap_or_default()
        });
        secs.sum::<f64>() * usd_per_slot_hour / 3_600.0
    }

    /// Holds the job to its budget, as its terms say: nothing more of it is handed out, or it is cancelled. To be asked
    /// before tasks are handed out, and again whenever some have ended: what runs may turn out cheaper than it looked.
    ///
    /// Answers how many dollars may still be handed out; infinite without a budget.
    pub fn keep_to_budget(&mut self, usd_per_slot_hour: f64, now_ms: u64) -> f64 {
        let terms = self.submission.pipeline.terms;
        let Some(budget) = terms.budget.filter(|_| self.meta.state.is_under_way()) else { return f64::INFINITY };
        let (spent, running) = (self.spent_usd(usd_per_slot_hour), self.running_usd(usd_per_slot_hour));
        let why = || {
            format!(
                "its budget of ${} is spent: submit it with a larger one, and what is done is taken over",
                budget.usd
            )
        };
        match terms.budget_state(spent, running) {
            BudgetState::Within(left) => {
                self.spent = None;
                return left;
            }
            BudgetState::Exceeded(OnExceed::Finish) => self.spent = Some(why()),
            // What runs may still turn out cheaper: nobody is cancelled for an estimate.
            BudgetState::Exceeded(OnExceed::Cancel) if spent < budget.usd => self.spent = Some(why()),
            BudgetState::Exceeded(OnExceed::Cancel) => {
                self.end(JobState::Cancelled, Some(why()), now_ms, Ending::Stop);
            }
        }
        0.0
    }

    /// Whether nothing more of it is handed out because of its budget.
    pub fn is_spent(&self) -> bool {
        self.spent.is_some()
    }
}
