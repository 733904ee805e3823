//! The database: what survives which end, and which files are refused.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::future::{FutureExt, join_all};
use infra::ErrorKind;
use infra::state::{Expect, RowKey, SqliteState, StateStore, Write};

fn create(sort: &str) -> Write {
    let key = RowKey { partition: "p".to_owned(), sort: sort.to_owned() };
    Write { key, expect: Expect::Absent, epoch: 1, body: Some(sort.as_bytes().repeat(50)), expires_ms: None }
}

async fn write_one(state: &SqliteState, sort: &str) {
    state.write(vec![create(sort)]).await.unwrap().remove(0).unwrap();
}

async fn sorts(state: &SqliteState) -> Vec<String> {
    state.query("p", "", None, 10_000).await.unwrap().into_iter().map(|row| row.key.sort).collect()
}

/// The files as a power loss at this moment leaves them: without the shared memory, and torn where writing goes on.
fn copy_at_once(from: &Path, to: &Path) {
    for file in ["state.db", "state.db-wal"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_commit() {
    let live = tempfile::tempdir().unwrap();
    let state = Arc::new(SqliteState::open(live.path().join("state.db")).unwrap());
    let busy = tokio::spawn({
        let state = state.clone();
        async move {
            for n in 0..150 {
                write_one(&state, &format!("busy {n:03}")).await;
            }
        }
    });
    for n in 0..40 {
        let acknowledged = format!("ack {n:03}");
        write_one(&state, &acknowledged).await;
        let copy = tempfile::tempdir().unwrap();
        copy_at_once(live.path(), copy.path());
        let reopened = SqliteState::open(copy.path().join("state.db")).unwrap();
        let found: Vec<String> = sorts(&reopened).await;
        let expected: Vec<String> = (0..=n).map(|n| format!("ack {n:03}")).collect();
        assert_eq!(found.iter().filter(|sort| sort.starts_with("ack")).cloned().collect::<Vec<_>>(), expected);
    }
    busy.await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_never_closed_opens_with_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let killed = SqliteState::open(&path).unwrap();
    write_one(&killed, "a").await;
    write_one(&killed, "b").await;
    std::mem::forget(killed);
    assert_eq!(sorts(&SqliteState::open(&path).unwrap()).await, ["a", "b"]);
}

#[tokio::test]
async fn dropping_waits_for_what_was_begun_and_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = SqliteState::open(&path).unwrap();
    let begun = join_all(["a", "b", "c"].map(|sort| state.write(vec![create(sort)])));
    // One poll sends all three; nobody waits for the answers.
    drop(begun.now_or_never());
    drop(state);
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["state.db"]);
    assert_eq!(sorts(&SqliteState::open_read_only(&path).unwrap()).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_thousand_callers_at_once_are_all_answered() {
    let dir = tempfile::tempdir().unwrap();
    let state = SqliteState::open(dir.path().join("state.db")).unwrap();
    let names: Vec<String> = (0..1_000).map(|n| format!("{n:04}")).collect();
    join_all(names.iter().map(|sort| write_one(&state, sort))).await;
    assert_eq!(sorts(&state).await, names);
}

#[tokio::test]
async fn a_refused_transaction_leaves_the_rest_of_its_group_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = SqliteState::open(dir.path().join("state.db")).unwrap();
    write_one(&state, "taken").await;
    let refused = state.transact(vec![create("half"), create("taken")]);
    let (refused, (), ()) = tokio::join!(refused, write_one(&state, "a"), write_one(&state, "b"));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(sorts(&state).await, ["a", "b", "taken"]);
}

#[test]
fn a_database_of_a_newer_version_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    drop(SqliteState::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let expected = format!(
        "{} was written by a newer gridmill (tables of version 2, this one knows 1): upgrade gridmill",
        path.display()
    );
    for refused in [SqliteState::open(&path), SqliteState::open_read_only(&path)] {
        let refused = refused.unwrap_err();
        assert_eq!((refused.kind, refused.to_string()), (ErrorKind::Invalid, expected.clone()));
    }
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("other.db");
    rusqlite::Connection::open(&database).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let text = dir.path().join("notes.txt");
    fs::write(&text, "not a database, but long enough to look like one ".repeat(20)).unwrap();
    for path in [database, text] {
        let before = fs::read(&path).unwrap();
        assert_eq!(SqliteState::open(&path).unwrap_err().kind, ErrorKind::Invalid);
        assert!(fs::read(&path).unwrap() == before, "{} is as it was", path.display());
    }
    let missing = dir.path().join("missing.db");
    assert_eq!(SqliteState::open_read_only(&missing).unwrap_err().kind, ErrorKind::NotFound);
    assert!(!missing.exists());
}
