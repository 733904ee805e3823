//! How many requests went out, by service and operation: for metrics, for receipts, and for tests that know how many
//! there should be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use grid_core::spending::{Asked, Spending};
use serde::Serialize;

/// Something that is asked of a service, in the service's own words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Operation {
    /// Such as `S3`, `SQS`, `DynamoDB`.
    pub service: String,
    /// Such as `PutObject`.
    pub name: String,
}

/// Counts requests as they are sent, repeats included. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<Operation, Asked>>>);

impl Requests {
    /// One more.
    pub fn count(&self, service: &str, name: &str) {
        self.add(service, name, Asked { requests: 1, extra_units: 0 });
    }

    /// A request that was counted is billed as so many units, and not as one.
    pub fn weigh(&self, service: &str, name: &str, units: u64) {
        self.add(service, name, Asked { requests: 0, extra_units: units.saturating_sub(1) });
    }

    fn add(&self, service: &str, name: &str, asked: Asked) {
        let operation = Operation { service: service.to_owned(), name: name.to_owned() };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = counts.entry(operation).or_default();
        sum.requests += asked.requests;
        sum.extra_units += asked.extra_units;
    }

    /// How many there were since the start of this process.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(operation, asked)| (operation.clone(), asked.requests)).collect()
    }

    /// The same, for receipts.
    pub fn spending(&self) -> Spending {
        let mut spending = Spending::default();
        for (operation, asked) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            spending.ask(&format!("{} {}", operation.service, operation.name), *asked);
        }
        spending
    }
}

/// What was asked since somebody last took it: every request is taken once.
#[derive(Debug)]
pub struct Meter {
    requests: Requests,
    taken: Mutex<Spending>,
}

impl Meter {
    /// Begins now: what was asked before is nobody's.
    pub fn new(requests: Requests) -> Self {
        let taken = Mutex::new(requests.spending());
        Self { requests, taken }
    }

    /// What was asked since; it stays until it is [taken](Self::taken).
    pub fn untaken(&self) -> Spending {
        self.requests.spending().since(&self.lock())
    }

    /// This part of it is in good hands.
    pub fn taken(&self, spending: &Spending) {
        self.lock().add(spending);
    }

    /// Takes all of it.
    pub fn take(&self) -> Spending {
        let untaken = self.untaken();
        self.taken(&untaken);
        untaken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spending> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let requests = Requests::default();
        requests.count("S3", "PutObject");
        requests.clone().count("S3", "PutObject");
        requests.count("SQS", "SendMessageBatch");
        let counts = requests.counts();
        let counts: Vec<_> = counts.iter().map(|(op, n)| (op.service.as_str(), op.name.as_str(), *n)).collect();
        assert_eq!(counts, [("S3", "PutObject", 2), ("SQS", "SendMessageBatch", 1)]);
    }

    #[test]
    fn every_request_is_taken_once() {
        let requests = Requests::default();
        requests.count("S3", "GetObject");
        let meter = Meter::new(requests.clone());
        requests.count("DynamoDB", "PutItem");
        requests.weigh("DynamoDB", "PutItem", 3);
        let told = meter.untaken();
        requests.count("S3", "GetObject");
        meter.taken(&told);
        let words = |spending: Spending| {
            spending.iter().map(|(op, asked)| format!("{op} {}", asked.units())).collect::<Vec<_>>()
        };
        assert_eq!(
            (words(told), words(meter.take())),
            (vec!["DynamoDB PutItem 3".into()], vec!["S3 GetObject 1".into()])
        );
        assert!(meter.take().is_empty());
    }
}
