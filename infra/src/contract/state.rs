//! What every state store must do.

use std::sync::Arc;

use futures::future::join_all;
use grid_core::limits::{MAX_PARTITION_BYTES, MAX_ROW_BYTES, MAX_SORT_BYTES, MAX_TRANSACT_WRITES};

use super::kind;
use crate::ErrorKind;
use crate::state::{Expect, Row, RowKey, StateStore, Write};

/// An empty store.
pub type Fresh = Arc<dyn StateStore>;

/// Calls a macro with some arguments in brackets and the names of all checks.
#[macro_export]
#[doc(hidden)]
macro_rules! state_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            a_row_is_read_back_as_written
            a_row_that_is_missing_is_none
            versions_count_the_writes
            a_write_that_expected_something_else_changes_nothing
            a_lower_epoch_is_fenced_off
            a_removed_row_is_gone_and_can_be_created_again
            a_list_of_writes_is_answered_one_by_one
            writes_of_one_list_follow_each_other
            of_many_writers_of_a_version_exactly_one_succeeds
            increments_under_conflict_lose_nothing
            a_transaction_applies_all_or_nothing
            a_transaction_is_limited
            a_query_is_ordered_and_keeps_to_its_prefix
            a_query_is_read_page_by_page
            a_query_is_read_backwards
            a_row_whose_time_is_over_is_there_as_it_was_or_gone
            sizes_are_limited
            nothing_is_a_fine_list_of_writes
        }
    };
}

macro_rules! named {
    ([$fixture:ty] $($check:ident)*) => { super::suite! { $fixture: $($check)* } };
}
state_checks!(named![Fresh]);

async fn a_row_is_read_back_as_written(store: Fresh) {
    let body: Vec<u8> = (0..=255).collect();
    let version = one(&store, Write { epoch: u64::MAX, ..create("p", "s", &body) }).await.unwrap();
    let expected = Row { key: key("p", "s"), version: 1, epoch: u64::MAX, body };
    assert_eq!((version, store.get(&key("p", "s")).await.unwrap()), (1, Some(expected)));
    one(&store, create("p", "empty", b"")).await.unwrap();
    assert_eq!(store.get(&key("p", "empty")).await.unwrap().unwrap().body, b"");
}

async fn a_row_that_is_missing_is_none(store: Fresh) {
    one(&store, create("p", "s", b"x")).await.unwrap();
    for (partition, sort) in [("p", "t"), ("q", "s"), ("p", "s "), ("P", "s")] {
        assert_eq!(store.get(&key(partition, sort)).await.unwrap(), None);
    }
}

async fn versions_count_the_writes(store: Fresh) {
    assert_eq!(one(&store, create("p", "s", b"1")).await.unwrap(), 1);
    assert_eq!(one(&store, update("p", "s", 1, b"2")).await.unwrap(), 2);
    assert_eq!(one(&store, update("p", "s", 2, b"3")).await.unwrap(), 3);
    let row = store.get(&key("p", "s")).await.unwrap().unwrap();
    assert_eq!(row, Row { key: key("p", "s"), version: 3, epoch: 1, body: b"3".to_vec() });
}

async fn a_write_that_expected_something_else_changes_nothing(store: Fresh) {
    one(&store, create("p", "s", b"1")).await.unwrap();
    one(&store, update("p", "s", 1, b"2")).await.unwrap();
    let before = store.get(&key("p", "s")).await.unwrap();
    let refused = [
        create("p", "s", b"x"),
        update("p", "s", 1, b"x"),
        update("p", "s", 3, b"x"),
        update("p", "s", 0, b"x"),
        remove("p", "s", 1),
        update("p", "missing", 1, b"x"),
        remove("p", "missing", 1),
    ];
    for write in refused {
        assert_eq!(kind(one(&store, write.clone()).await), Some(ErrorKind::Conflict), "{write:?}");
        assert_eq!(kind(store.transact(vec![write.clone()]).await), Some(ErrorKind::Conflict), "{write:?}");
    }
    assert_eq!(store.get(&key("p", "s")).await.unwrap(), before);
    assert_eq!(store.get(&key("p", "missing")).await.unwrap(), None);
}

async fn a_lower_epoch_is_fenced_off(store: Fresh) {
    let in_epoch = |epoch, write: Write| Write { epoch, ..write };
    one(&store, in_epoch(5, create("p", "s", b"1"))).await.unwrap();
    for write in [update("p", "s", 1, b"old"), remove("p", "s", 1)] {
        assert_eq!(kind(one(&store, in_epoch(4, write.clone())).await), Some(ErrorKind::Conflict));
        assert_eq!(kind(store.transact(vec![in_epoch(4, write)]).await), Some(ErrorKind::Conflict));
    }
    assert_eq!(one(&store, in_epoch(5, update("p", "s", 1, b"2"))).await.unwrap(), 2);
    assert_eq!(one(&store, in_epoch(9, update("p", "s", 2, b"3"))).await.unwrap(), 3);
    assert_eq!(kind(one(&store, in_epoch(5, update("p", "s", 3, b"old"))).await), Some(ErrorKind::Conflict));
    let row = store.get(&key("p", "s")).await.unwrap().unwrap();
    assert_eq!(row, Row { key: key("p", "s"), version: 3, epoch: 9, body: b"3".to_vec() });
}

async fn a_row_whose_time_is_over_is_there_as_it_was_or_gone(store: Fresh) {
    let over = Write { expires_ms: Some(1), ..create("p", "over", b"old") };
    one(&store, over.clone()).await.unwrap();
    if let Some(row) = store.get(&key("p", "over")).await.unwrap() {
        assert_eq!((row.version, &*row.body), (1, &b"old"[..]));
        // A store that is late must not let anybody take the row for a new one.
        match one(&store, over).await {
            Err(refused) => assert_eq!(refused.kind, ErrorKind::Conflict),
            Ok(version) => assert_eq!((version, store.get(&key("p", "over")).await.unwrap().unwrap().version), (1, 1)),
        }
    }
    one(&store, Write { expires_ms: Some(u64::from(u32::MAX) * 1_000), ..create("p", "later", b"new") }).await.unwrap();
    assert_eq!(store.get(&key("p", "later")).await.unwrap().map(|row| row.body), Some(b"new".to_vec()));
}

async fn a_removed_row_is_gone_and_can_be_created_again(store: Fresh) {
    one(&store, create("p", "s", b"1")).await.unwrap();
    one(&store, update("p", "s", 1, b"2")).await.unwrap();
    assert_eq!(one(&store, remove("p", "s", 2)).await.unwrap(), 0);
    assert_eq!(store.get(&key("p", "s")).await.unwrap(), None);
    assert_eq!(store.query("p", "", None, 10).await.unwrap(), []);
    assert_eq!(kind(one(&store, remove("p", "s", 2)).await), Some(ErrorKind::Conflict));
    assert_eq!(one(&store, create("p", "s", b"3")).await.unwrap(), 1);
}

async fn a_list_of_writes_is_answered_one_by_one(store: Fresh) {
    one(&store, create("p", "b", b"old")).await.unwrap();
    let writes = vec![create("p", "a", b"1"), create("p", "b", b"2"), create("q", "c", b"3"), remove("p", "b", 1)];
    let answers = store.write(writes).await.unwrap();
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|refused| refused.kind)).collect();
    assert_eq!(answers, [Ok(1), Err(ErrorKind::Conflict), Ok(1), Ok(0)]);
    assert_eq!(sorts(&store, "p", "", None, 10).await, ["a"]);
    assert_eq!(sorts(&store, "q", "", None, 10).await, ["c"]);
}

async fn writes_of_one_list_follow_each_other(store: Fresh) {
    let writes = vec![create("p", "s", b"1"), update("p", "s", 1, b"2"), remove("p", "s", 2), create("p", "s", b"4")];
    let answers = store.write(writes).await.unwrap();
    let versions: Vec<u64> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(versions, [1, 2, 0, 1]);
    assert_eq!(store.get(&key("p", "s")).await.unwrap().unwrap().body, b"4");
}

async fn of_many_writers_of_a_version_exactly_one_succeeds(store: Fresh) {
    one(&store, create("p", "s", b"")).await.unwrap();
    let writers = (0..32_u8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move { one(&store, update("p", "s", 1, &[writer])).await.map_err(|refused| refused.kind) })
    });
    let answers: Vec<_> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    let winners: Vec<usize> = (0..32).filter(|&writer| answers[writer] == Ok(2)).collect();
    let losers = answers.iter().filter(|&&answer| answer == Err(ErrorKind::Conflict)).count();
    assert_eq!((winners.len(), losers), (1, 31));
    assert_eq!(store.get(&key("p", "s")).await.unwrap().unwrap().body, [winners[0] as u8]);
}

async fn increments_under_conflict_lose_nothing(store: Fresh) {
    one(&store, create("p", "n", &[0])).await.unwrap();
    let writers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                increment(&store).await;
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let row = store.get(&key("p", "n")).await.unwrap().unwrap();
    assert_eq!((row.version, row.body), (81, vec![80]));
}

async fn increment(store: &Fresh) {
    loop {
        let row = store.get(&key("p", "n")).await.unwrap().unwrap();
        match one(store, update("p", "n", row.version, &[row.body[0] + 1])).await {
            Ok(_) => return,
            Err(refused) => assert_eq!(refused.kind, ErrorKind::Conflict),
        }
    }
}

async fn a_transaction_applies_all_or_nothing(store: Fresh) {
    one(&store, create("p", "b", b"old")).await.unwrap();
    let refused = vec![create("p", "a", b"1"), remove("p", "b", 1), create("q", "c", b"3"), update("p", "d", 1, b"4")];
    assert_eq!(kind(store.transact(refused).await), Some(ErrorKind::Conflict));
    assert_eq!(sorts(&store, "p", "", None, 10).await, ["b"]);
    assert_eq!(sorts(&store, "q", "", None, 10).await, [""; 0]);

    store.transact(vec![create("p", "a", b"1"), remove("p", "b", 1), create("q", "c", b"3")]).await.unwrap();
    assert_eq!(sorts(&store, "p", "", None, 10).await, ["a"]);
    assert_eq!(store.get(&key("q", "c")).await.unwrap().unwrap().version, 1);
    store.transact(vec![update("p", "a", 1, b"2")]).await.unwrap();
    assert_eq!(store.get(&key("p", "a")).await.unwrap().unwrap().version, 2);
}

async fn a_transaction_is_limited(store: Fresh) {
    let rows = |count: usize| (0..count).map(|n| create("p", &format!("{n:03}"), b"x")).collect::<Vec<_>>();
    assert_eq!(kind(store.transact(rows(MAX_TRANSACT_WRITES + 1)).await), Some(ErrorKind::Invalid));
    let twice = vec![create("p", "a", b"1"), update("p", "a", 1, b"2")];
    assert_eq!(kind(store.transact(twice).await), Some(ErrorKind::Invalid));
    assert_eq!(store.query("p", "", None, 10).await.unwrap(), []);
    store.transact(rows(MAX_TRANSACT_WRITES)).await.unwrap();
    assert_eq!(store.query("p", "", None, 1_000).await.unwrap().len(), MAX_TRANSACT_WRITES);
}

async fn a_query_is_ordered_and_keeps_to_its_prefix(store: Fresh) {
    let sorted = [
        "STAGE",
        "STAGE#",
        "STAGE#a",
        "STAGE#a/1",
        "STAGE#a/10",
        "STAGE#a/2",
        "STAGE#b",
        "stage",
        "\u{e4}",
        "\u{1f600}",
    ];
    for sort in sorted.iter().rev() {
        one(&store, create("p", sort, sort.as_bytes())).await.unwrap();
    }
    for (partition, sort) in [("o", "STAGE#a"), ("p2", "STAGE#a"), ("pp", "A"), ("q", "STAGE#a")] {
        one(&store, create(partition, sort, b"other")).await.unwrap();
    }
    assert_eq!(sorts(&store, "p", "", None, 100).await, sorted);
    assert_eq!(sorts(&store, "p", "STAGE#a", None, 100).await, ["STAGE#a", "STAGE#a/1", "STAGE#a/10", "STAGE#a/2"]);
    assert_eq!(sorts(&store, "p", "STAGE#a/", None, 100).await, ["STAGE#a/1", "STAGE#a/10", "STAGE#a/2"]);
    assert_eq!(sorts(&store, "p", "STAGE%", None, 100).await, [""; 0]);
    assert_eq!(sorts(&store, "missing", "", None, 100).await, [""; 0]);
    let rows = store.query("p", "STAGE#b", None, 100).await.unwrap();
    assert_eq!(rows, [Row { key: key("p", "STAGE#b"), version: 1, epoch: 1, body: b"STAGE#b".to_vec() }]);
}

async fn a_query_is_read_page_by_page(store: Fresh) {
    let all: Vec<String> = (0..25).map(|n| format!("DONE#{n:02}")).collect();
    for sort in all.iter().map(String::as_str).chain(["A", "Z"]) {
        one(&store, create("p", sort, b"x")).await.unwrap();
    }
    for limit in [1, 10, 25, 26] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = sorts(&store, "p", "DONE#", seen.last().map(String::as_str), limit).await;
            let is_last = page.len() < limit;
            seen.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
    assert_eq!(sorts(&store, "p", "DONE#", Some("DONE"), 1).await, ["DONE#00"]);
    assert_eq!(sorts(&store, "p", "DONE#", Some("DONE#035"), 1).await, ["DONE#04"]);
    assert_eq!(sorts(&store, "p", "DONE#", Some("E"), 1).await, [""; 0]);
    assert_eq!(sorts(&store, "p", "DONE#", None, 0).await, [""; 0]);
}

async fn a_query_is_read_backwards(store: Fresh) {
    for (partition, sort) in [("p", "a"), ("p", "b"), ("p", "c"), ("o", "z"), ("p\u{1}", "0"), ("q", "0")] {
        one(&store, create(partition, sort, b"x")).await.unwrap();
    }
    let sorts = |rows: Vec<Row>| rows.into_iter().map(|row| row.key.sort).collect::<Vec<_>>();
    let back = async |before, limit| sorts(store.query_back("p", before, limit).await.unwrap());
    assert_eq!(back(None, 10).await, ["c", "b", "a"]);
    assert_eq!(back(None, 2).await, ["c", "b"]);
    assert_eq!(back(Some("b"), 10).await, ["a"]);
    assert_eq!(back(Some("bb"), 1).await, ["b"]);
    assert!(back(Some("a"), 10).await.is_empty() && back(Some(""), 10).await.is_empty());
    assert!(store.query_back("none", None, 10).await.unwrap().is_empty());
}

async fn sizes_are_limited(store: Fresh) {
    let long = |bytes: usize| "k".repeat(bytes);
    let refused = [
        create("p", "s", &vec![0; MAX_ROW_BYTES + 1]),
        create("", "s", b"x"),
        create("p", "", b"x"),
        create(&long(MAX_PARTITION_BYTES + 1), "s", b"x"),
        create("p", &long(MAX_SORT_BYTES + 1), b"x"),
    ];
    for write in refused {
        assert_eq!(kind(one(&store, write).await), Some(ErrorKind::Invalid));
    }
    let (partition, sort) = (long(MAX_PARTITION_BYTES), long(MAX_SORT_BYTES));
    one(&store, create(&partition, &sort, &vec![7; MAX_ROW_BYTES])).await.unwrap();
    assert_eq!(store.get(&key(&partition, &sort)).await.unwrap().unwrap().body, vec![7; MAX_ROW_BYTES]);
}

async fn nothing_is_a_fine_list_of_writes(store: Fresh) {
    assert!(store.write(Vec::new()).await.unwrap().is_empty());
    store.transact(Vec::new()).await.unwrap();
}

async fn one(store: &Fresh, write: Write) -> crate::Result<u64> {
    let mut answers = store.write(vec![write]).await?;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

async fn sorts(store: &Fresh, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.query(partition, prefix, after, limit).await.unwrap();
    rows.into_iter().map(|row| row.key.sort).collect()
}

fn key(partition: &str, sort: &str) -> RowKey {
    RowKey { partition: partition.to_owned(), sort: sort.to_owned() }
}

fn create(partition: &str, sort: &str, body: &[u8]) -> Write {
    Write { key: key(partition, sort), expect: Expect::Absent, epoch: 1, body: Some(body.to_vec()), expires_ms: None }
}

fn update(partition: &str, sort: &str, version: u64, body: &[u8]) -> Write {
    Write { expect: Expect::Version(version), ..create(partition, sort, body) }
}

fn remove(partition: &str, sort: &str, version: u64) -> Write {
    Write { expect: Expect::Version(version), body: None, ..create(partition, sort, b"") }
}
