//! The fault wrapper does what it says, and the same each time.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use infra::ErrorKind;
use infra::faults::{FaultyObjects, FaultyState, StoreFaults};
use infra::objects::{MemoryObjects, ObjectStore};
use infra::state::{Expect, MemoryState, RowKey, StateStore, Write};

const MINUTE: Duration = Duration::from_secs(60);

fn objects(faults: StoreFaults) -> (Arc<MemoryObjects>, FaultyObjects) {
    let inner = Arc::new(MemoryObjects::new());
    (inner.clone(), FaultyObjects::new(inner, faults))
}

async fn create(store: &FaultyObjects) -> Option<ErrorKind> {
    store.create("a", Bytes::from_static(b"a")).await.err().map(|failed| failed.kind)
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_applies_nothing() {
    let (inner, store) = objects(StoreFaults { fail_before: 1.0, ..StoreFaults::default() });
    assert_eq!(create(&store).await, Some(ErrorKind::Unavailable));
    assert_eq!(inner.list("", None, 10).await.unwrap(), []);
    assert_eq!(store.list("", None, 10).await.unwrap_err().kind, ErrorKind::Unavailable);
    store.calm();
    assert_eq!(create(&store).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_has_applied_the_write() {
    let (inner, store) = objects(StoreFaults { fail_after: 1.0, ..StoreFaults::default() });
    assert_eq!(create(&store).await, Some(ErrorKind::Unavailable));
    assert_eq!(inner.get("a", None).await.unwrap(), "a");
    store.calm();
    assert_eq!(create(&store).await, Some(ErrorKind::Conflict));
}

#[tokio::test(start_paused = true)]
async fn a_late_write_is_applied_after_its_caller_gave_up() {
    let inner = Arc::new(MemoryState::new());
    let faults = StoreFaults { seed: 3, late: 1.0, max_late: MINUTE, ..StoreFaults::default() };
    let store = FaultyState::new(inner.clone(), faults);
    let key = RowKey { partition: "p".to_owned(), sort: "s".to_owned() };
    let write =
        Write { key: key.clone(), expect: Expect::Absent, epoch: 1, body: Some(b"late".to_vec()), expires_ms: None };
    assert_eq!(StateStore::write(&store, vec![write]).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(inner.get(&key).await.unwrap(), None);
    store.settle().await;
    assert_eq!(inner.get(&key).await.unwrap().unwrap().body, b"late");
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_its_time_and_succeeds() {
    let (_, store) = objects(StoreFaults { seed: 1, delay: 1.0, max_delay: MINUTE, ..StoreFaults::default() });
    let began = tokio::time::Instant::now();
    assert_eq!(create(&store).await, None);
    assert!(began.elapsed() > Duration::ZERO && began.elapsed() <= MINUTE);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_brings_the_same_faults() {
    let story = async |seed| {
        let faults =
            StoreFaults { seed, fail_before: 0.3, fail_after: 0.3, late: 0.3, max_late: MINUTE, ..Default::default() };
        let (_, store) = objects(faults);
        let mut answers = Vec::new();
        for round in 0..100_u32 {
            let key = (round % 10).to_string();
            answers.push(store.create(&key, Bytes::new()).await.map_err(|failed| failed.kind));
        }
        answers
    };
    assert_eq!(story(1).await, story(1).await);
    assert_ne!(story(1).await, story(2).await);
}
