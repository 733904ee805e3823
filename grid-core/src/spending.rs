//! What was asked of services elsewhere, by service and operation: of a process, a worker's task, a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Requests by the service's own words for them, such as `S3 PutObject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spending(BTreeMap<String, Asked>);

/// How often one thing was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Requests as they were sent, repeats included.
    pub requests: u64,
    /// Units that are billed beyond one a request: for what is large.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extra_units: u64,
}

impl Asked {
    /// What is billed.
    pub fn units(self) -> u64 {
        self.requests.saturating_add(self.extra_units)
    }
}

impl Spending {
    /// Nothing was asked.
    pub const NOTHING: Self = Self(BTreeMap::new());

    /// Adds requests of one kind.
    pub fn ask(&mut self, operation: &str, asked: Asked) {
        let sum = self.0.entry(operation.to_owned()).or_default();
        sum.requests = sum.requests.saturating_add(asked.requests);
        sum.extra_units = sum.extra_units.saturating_add(asked.extra_units);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(operation, asked)| self.ask(operation, *asked));
    }

    /// What was asked after `earlier`, which is a part of this.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |operation: &String| earlier.0.get(operation).copied().unwrap_or_default();
        let after = self.0.iter().map(|(operation, asked)| {
            let before = before(operation);
            let requests = asked.requests.saturating_sub(before.requests);
            let extra_units = asked.extra_units.saturating_sub(before.extra_units);
            (operation.clone(), Asked { requests, extra_units })
        });
        Self(after.filter(|(_, asked)| *asked != Asked::default()).collect())
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often each thing was asked, by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Asked)> {
        self.0.iter().map(|(operation, asked)| (operation.as_str(), *asked))
    }

    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.0.values().map(|asked| asked.requests).sum()
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spending(kinds: &[(&str, u64, u64)]) -> Spending {
        let mut spending = Spending::default();
        for (operation, requests, extra_units) in kinds {
            spending.ask(operation, Asked { requests: *requests, extra_units: *extra_units });
        }
        spending
    }

    #[test]
    fn what_was_asked_since_is_added_up_again() {
        let earlier = spending(&[("S3 GetObject", 3, 0), ("SQS SendMessageBatch", 1, 1)]);
        let now = spending(&[("S3 GetObject", 3, 0), ("S3 PutObject", 2, 0), ("SQS SendMessageBatch", 4, 1)]);
        let since = now.since(&earlier);
        assert_eq!(since, spending(&[("S3 PutObject", 2, 0), ("SQS SendMessageBatch", 3, 0)]));
        let mut again = earlier;
        again.add(&since);
        assert_eq!((again.requests(), again), (9, now));
        assert!(Spending::default().since(&since).is_empty(), "of another process");
    }
}
