//! How many requests went out, by service and operation: for metrics, for receipts, and for tests that know how many
//! there should be. A [`Meter`] counts those of a process, an [`Account`] those of a part of what it does.

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
        _ = ACCOUNT.try_with(|account| account.lock().ask(&kind(service, name), asked));
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
            spending.ask(&kind(&operation.service, &operation.name), *asked);
        }
        spending
    }
}

/// What receipts call it.
fn kind(service: &str, name: &str) -> String {
    format!("{service} {name}")
}

tokio::task_local! {
    static ACCOUNT: Account;
}

/// Requests that belong together, whatever else the process asks at the same time. Clones are the same account.
#[derive(Clone, Debug, Default)]
pub struct Account(Arc<Mutex<Spending>>);

impl Account {
    /// A future whose requests are this account's, and no other's. Tasks that it spawns need it again.
    pub fn of<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        ACCOUNT.scope(self.clone(), future)
    }

    /// That of the future which asks.
    pub fn current() -> Option<Self> {
        ACCOUNT.try_with(Self::clone).ok()
    }

    /// What was asked since somebody last took it.
    pub fn take(&self) -> Spending {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[tokio::test]
    async fn a_request_is_of_the_account_in_whose_future_it_is_sent() {
        let (requests, ours, others) = (Requests::default(), Account::default(), Account::default());
        let ask = async |name: &str| {
            requests.count("S3", name);
            tokio::task::yield_now().await;
            requests.weigh("S3", name, 2);
        };
        assert!(Account::current().is_none());
        tokio::join!(ours.of(ask("PutObject")), others.of(others.of(ask("GetObject"))), ask("HeadObject"));
        let words = |account: &Account| {
            let spending = account.take();
            spending.iter().map(|(op, asked)| format!("{op} {}", asked.units())).collect::<Vec<_>>()
        };
        assert_eq!((words(&ours), words(&others)), (vec!["S3 PutObject 2".into()], vec!["S3 GetObject 2".into()]));
        assert!(ours.take().is_empty(), "it is taken once");
        assert_eq!(requests.spending().requests(), 3);
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
