//! On what terms a job runs: its deadline, its budget, its priority. Whoever submits may say otherwise than the pipeline
//! file. Nothing acts on them here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::maybe_secs;

/// On what terms a job runs. Nothing said, nothing asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// When its last task shall have ended, after the job was accepted.
    #[serde(rename = "deadline_secs", default, skip_serializing_if = "Option::is_none", with = "maybe_secs")]
    pub deadline: Option<Duration>,
    /// What it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Against other jobs of the same tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// What a job may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Dollars, at least [`LEAST_BUDGET`].
    pub usd: f64,
    /// What becomes of the job when it is spent.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// The smallest budget, in dollars: a cent.
pub const LEAST_BUDGET: f64 = 0.01;

/// The largest: what is more is a slip.
pub const MOST_BUDGET: f64 = 1e9;

/// What becomes of a job whose budget is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// Nothing more is handed out; what runs may finish, and is paid for beyond the budget.
    #[default]
    Finish,
    /// It is cancelled, and what runs of it is killed.
    Cancel,
}

/// A job's priority against others of its tenant: each step has twice the share of the one below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub struct Priority(i8);

/// The highest priority, and the lowest one below zero: a thousand times the share is as good as all of it.
pub(crate) const MOST: i8 = 5;

impl Priority {
    /// None unless it is between -5 and 5.
    pub fn new(step: i8) -> Option<Self> {
        (-MOST..=MOST).contains(&step).then_some(Self(step))
    }

    /// Its share against that of priority 0.
    pub fn weight(self) -> f64 {
        f64::from(self.0).exp2()
    }
}

impl TryFrom<i8> for Priority {
    type Error = String;

    fn try_from(step: i8) -> Result<Self, String> {
        Self::new(step)
            .ok_or_else(|| format!("`{step}` is not a priority: write a whole number from -{MOST} to {MOST}"))
    }
}

impl From<Priority> for i8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// What the budget says now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BudgetState {
    /// So many dollars are left after everything that runs has been paid for; infinite without a budget.
    Within(f64),
    /// It is spent.
    Exceeded(OnExceed),
}

impl Terms {
    /// These terms, with those of the pipeline where they say nothing.
    pub fn or(self, pipeline: Self) -> Self {
        Self {
            deadline: self.deadline.or(pipeline.deadline),
            budget: self.budget.or(pipeline.budget),
            priority: self.priority.or(pipeline.priority),
        }
    }

    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Where the budget stands: dollars spent, and those that what runs will still cost. What runs counts as spent, so
    /// that a budget is exceeded by no more than estimates are wrong.
    pub fn budget_state(&self, spent_usd: f64, running_usd: f64) -> BudgetState {
        let Some(budget) = self.budget else { return BudgetState::Within(f64::INFINITY) };
        let left = budget.usd - spent_usd - running_usd;
        if left > 0.0 { BudgetState::Within(left) } else { BudgetState::Exceeded(budget.on_exceed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_submits_may_say_otherwise_than_the_file() {
        let file = Terms { deadline: Some(Duration::from_secs(60)), priority: Priority::new(-1), ..Terms::default() };
        let submitted = Terms { priority: Priority::new(3), ..Terms::default() };
        let expected = Terms { priority: Priority::new(3), ..file };
        assert_eq!(submitted.or(file), expected);
        assert!(Terms::default().is_empty() && !file.is_empty());
    }

    #[test]
    fn terms_that_say_nothing_are_not_written() {
        assert_eq!(serde_json::to_string(&Terms::default()).unwrap(), "{}");
        let budget = Some(Budget { usd: 2.5, on_exceed: OnExceed::Cancel });
        let terms = Terms { deadline: None, budget, priority: Priority::new(2) };
        let written = serde_json::to_string(&terms).unwrap();
        assert_eq!(written, r#"{"budget":{"usd":2.5,"on_exceed":"cancel"},"priority":2}"#);
        assert_eq!(serde_json::from_str::<Terms>(&written).unwrap(), terms);
        let due = Terms { deadline: Some(Duration::from_secs(90)), ..Terms::default() };
        assert_eq!(serde_json::to_string(&due).unwrap(), r#"{"deadline_secs":90}"#);
        assert_eq!(serde_json::from_str::<Terms>(r#"{"deadline_secs":90}"#).unwrap(), due);
        assert!(serde_json::from_str::<Terms>(r#"{"priority":6}"#).is_err());
    }

    #[test]
    fn what_runs_counts_as_spent() {
        let budget = Some(Budget { usd: 10.0, on_exceed: OnExceed::Finish });
        let terms = Terms { budget, ..Terms::default() };
        assert_eq!(terms.budget_state(4.0, 3.0), BudgetState::Within(3.0));
        assert_eq!(terms.budget_state(4.0, 6.0), BudgetState::Exceeded(OnExceed::Finish));
        assert_eq!(Terms::default().budget_state(1e9, 0.0), BudgetState::Within(f64::INFINITY));
    }
}
