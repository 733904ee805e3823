//! The state folder: who may have it, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use infra::ErrorKind;
use infra::embedded::{self, StateDir};
use infra::state::{Expect, RowKey, Write};

fn refusal<T>(opened: infra::Result<T>) -> (ErrorKind, String) {
    let refused = opened.err().expect("it is refused");
    (refused.kind, refused.to_string())
}

fn row(body: &[u8]) -> Write {
    let key = RowKey { partition: "JOB#1".to_owned(), sort: "META".to_owned() };
    Write { key, expect: Expect::Absent, epoch: 1, body: Some(body.to_vec()), expires_ms: None }
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/.gridmill");
    let (state_dir, grid) = StateDir::open(&dir).unwrap();
    grid.objects.create("jobs/1/job.json", Bytes::from_static(b"{}")).await.unwrap();
    grid.state.write(vec![row(b"one")]).await.unwrap().pop().unwrap().unwrap();
    drop((grid, state_dir));

    let (_state_dir, grid) = StateDir::open(&dir).unwrap();
    assert_eq!(grid.objects.get("jobs/1/job.json", None).await.unwrap(), "{}");
    assert_eq!(grid.state.get(&row(b"").key).await.unwrap().unwrap().body, b"one");
    let (store, key) = grid.sources.locate("grid://jobs/1/job.json").unwrap();
    assert_eq!(store.get(key, None).await.unwrap(), "{}");
    let uri = format!("file://{}", dir.join("version").display());
    let (store, key) = grid.sources.locate(&uri).unwrap();
    assert_eq!(store.get(key, None).await.unwrap(), "1\n");
}

#[tokio::test]
async fn a_second_run_is_refused_at_once_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let held = StateDir::open(dir.path()).unwrap();
    let expected = format!(
        "state folder {} is in use by process {}: wait until it is done, or choose another folder",
        held.0.path().display(),
        std::process::id()
    );
    assert_eq!(refusal(StateDir::open(dir.path())), (ErrorKind::Conflict, expected));
    drop(held);
    assert!(StateDir::open(dir.path()).is_ok());
}

#[tokio::test]
async fn others_may_read_beside_a_run_but_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let (_state_dir, grid) = StateDir::open(dir.path()).unwrap();
    let reader = embedded::open_read_only(dir.path()).unwrap();
    grid.objects.put("jobs/1/a", Bytes::from_static(b"a")).await.unwrap();
    grid.state.write(vec![row(b"one")]).await.unwrap().pop().unwrap().unwrap();

    assert_eq!(reader.objects.get("jobs/1/a", None).await.unwrap(), "a");
    assert_eq!(reader.state.get(&row(b"").key).await.unwrap().unwrap().body, b"one");
    assert_eq!(refusal(reader.objects.put("jobs/1/a", Bytes::new()).await).0, ErrorKind::Denied);
    assert_eq!(refusal(reader.objects.delete("jobs/1/a").await).0, ErrorKind::Denied);
    assert_eq!(refusal(reader.state.write(vec![row(b"two")]).await).0, ErrorKind::Denied);
    assert_eq!(refusal(reader.state.transact(vec![row(b"two")]).await).0, ErrorKind::Denied);
}

#[tokio::test]
async fn a_folder_without_state_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for missing in [dir.path().to_owned(), dir.path().join("nowhere")] {
        let expected =
            format!("there is no gridmill state in {}: run a pipeline first, or name its folder", missing.display());
        assert_eq!(refusal(embedded::open_read_only(&missing)), (ErrorKind::NotFound, expected));
    }
}

#[tokio::test]
async fn a_folder_from_a_newer_version_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    drop(StateDir::open(dir.path()).unwrap());
    fs::write(dir.path().join("version"), "2\n").unwrap();
    for (kind, message) in [refusal(StateDir::open(dir.path())), refusal(embedded::open_read_only(dir.path()))] {
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(message.contains("was written by a newer gridmill (layout 2, this one knows 1): upgrade gridmill"));
    }
}

#[tokio::test]
async fn a_folder_of_other_things_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("scratch")).unwrap();
    fs::write(dir.path().join("scratch/thesis.txt"), "mine").unwrap();
    let (kind, message) = refusal(StateDir::open(dir.path()));
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(message.contains("it has no file `version` but holds `scratch`; choose an empty folder"), "{message}");
    assert_eq!(names(dir.path()), ["scratch"]);
    assert_eq!(names(&dir.path().join("scratch")), ["thesis.txt"]);
}

#[tokio::test]
async fn a_state_folder_is_nobodys_once_the_process_that_had_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(infra::embedded::owner(dir.path()), None);
    let _grid = StateDir::open(dir.path()).unwrap();
    assert_eq!(infra::embedded::owner(dir.path()), Some(std::process::id()));
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    fs::write(dir.path().join("lock"), format!("{}\n", gone.id())).unwrap();
    assert_eq!(infra::embedded::owner(dir.path()), None);
}

#[tokio::test]
async fn scratch_and_unfinished_files_are_gone_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, grid) = StateDir::open(dir.path()).unwrap();
    let locked = state_dir.scratch().join("cache/locked");
    fs::create_dir_all(&locked).unwrap();
    fs::write(locked.join("file"), "x").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    fs::write(dir.path().join("objects/.tmp/7"), "half").unwrap();
    drop((grid, state_dir));

    let (state_dir, grid) = StateDir::open(dir.path()).unwrap();
    assert_eq!(names(&state_dir.scratch()), [""; 0]);
    assert_eq!(names(&dir.path().join("objects/.tmp")), [""; 0]);
    assert_eq!(grid.objects.list("", None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_path_that_cannot_be_a_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (_, message) = refusal(StateDir::open(&file.join("state")));
    assert_eq!(message, format!("failed to create the state folder {}", file.join("state").display()));
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    let expected = format!("failed to create the state folder {}", locked.join("state").display());
    assert_eq!(refusal(StateDir::open(&locked.join("state"))), (ErrorKind::Denied, expected));
    let expected = format!("failed to open {}", locked.join("lock").display());
    assert_eq!(refusal(StateDir::open(&locked)), (ErrorKind::Denied, expected));
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
