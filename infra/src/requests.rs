//! How many requests went out, by service and operation: for metrics, for receipts, and for tests that know how many
//! there should be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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
pub struct Requests(Arc<Mutex<BTreeMap<Operation, u64>>>);

impl Requests {
    /// One more.
    pub fn count(&self, service: &str, name: &str) {
        let operation = Operation { service: service.to_owned(), name: name.to_owned() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
    }

    /// How many there were since the start of this process.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
}
