//! What a folder promises beyond the contract: which files it shows, and what it never touches.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use infra::ErrorKind;
use infra::objects::{FolderObjects, ObjectStore};

const CONTENT: Bytes = Bytes::from_static(b"content");

fn file(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, CONTENT).unwrap();
}

async fn keys(store: &FolderObjects, prefix: &str) -> Vec<String> {
    store.list(prefix, None, 100).await.unwrap().into_iter().map(|meta| meta.key).collect()
}

fn kind<T>(answer: infra::Result<T>) -> Option<ErrorKind> {
    answer.err().map(|refused| refused.kind)
}

#[tokio::test]
async fn an_object_is_a_file_that_others_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderObjects::open(dir.path()).unwrap();
    store.create("a/b/c.txt", CONTENT).await.unwrap();
    assert_eq!(fs::read(dir.path().join("a/b/c.txt")).unwrap(), CONTENT);
    file(&dir.path().join("a/other"));
    assert_eq!(keys(&store, "").await, ["a/b/c.txt", "a/other"]);
}

#[tokio::test]
async fn nothing_is_left_over_after_writes_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderObjects::open(dir.path()).unwrap();
    store.create("a", CONTENT).await.unwrap();
    assert_eq!(kind(store.create("a", CONTENT).await), Some(ErrorKind::Conflict));
    store.put("a", CONTENT).await.unwrap();
    store.create("folder/b", CONTENT).await.unwrap();
    assert_eq!(kind(store.put("folder", CONTENT).await), Some(ErrorKind::Invalid));
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_key_that_is_a_folder_of_keys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderObjects::open(dir.path()).unwrap();
    store.create("a/b", CONTENT).await.unwrap();
    assert_eq!(kind(store.create("a", CONTENT).await), Some(ErrorKind::Invalid));
    assert!(kind(store.create("a/b/c", CONTENT).await).is_some());
    assert_eq!(keys(&store, "").await, ["a/b"]);
}

#[tokio::test]
async fn temporary_files_are_neither_listed_nor_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderObjects::open(dir.path()).unwrap();
    file(&dir.path().join(".tmp/7"));
    file(&dir.path().join("a/.tmp/7"));
    assert_eq!(keys(&store, "").await, ["a/.tmp/7"]);
    assert_eq!(keys(&store, ".t").await, [""; 0]);
    assert_eq!(kind(store.get(".tmp/7", None).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(store.put(".tmp/8", CONTENT).await), Some(ErrorKind::Invalid));
}

#[tokio::test]
async fn what_is_opened_for_reading_is_never_changed() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("a"));
    let store = FolderObjects::read_only(dir.path());
    let answers = [
        store.create("b", CONTENT).await,
        store.put("a", CONTENT).await,
        store.put_file("b", &dir.path().join("a")).await,
        store.delete("a").await,
    ];
    assert_eq!(answers.map(kind), [Some(ErrorKind::Denied); 4]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(store.get("a", None).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn inputs_are_read_from_the_root_of_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.txt");
    file(&path);
    let key = path.to_str().unwrap().trim_start_matches('/');
    let store = FolderObjects::read_only("/");
    assert_eq!(store.get(key, None).await.unwrap(), CONTENT);
    assert_eq!(keys(&store, key).await, [key]);
}

#[tokio::test]
async fn links_to_files_are_followed_and_circles_are_not() {
    let dir = tempfile::tempdir().unwrap();
    file(&dir.path().join("real/file"));
    symlink("real/file", dir.path().join("link")).unwrap();
    symlink(".", dir.path().join("circle")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let store = FolderObjects::read_only(dir.path());
    assert_eq!(keys(&store, "").await, ["link", "real/file"]);
    assert_eq!(store.get("link", None).await.unwrap(), CONTENT);
    assert_eq!(keys(&store, "circle/re").await, ["circle/real/file"]);
}

#[tokio::test]
async fn a_pipe_is_refused_and_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let store = FolderObjects::read_only(dir.path());
    assert_eq!(kind(store.get("pipe", None).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(store.head("pipe").await), Some(ErrorKind::Invalid));
    assert_eq!(keys(&store, "").await, [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_no_text_is_an_error_only_where_it_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["a", "m/in", "m/out", "z"] {
        file(&dir.path().join(folder).join("file"));
    }
    for skipped in ["a", "m/out", "z"] {
        file(&dir.path().join(skipped).join(OsStr::from_bytes(b"\xff")));
    }
    let store = FolderObjects::read_only(dir.path());
    assert_eq!(kind(store.list("", None, 10).await), Some(ErrorKind::Invalid));
    // That these succeed shows that no folder is read which cannot hold a wanted key.
    assert_eq!(keys(&store, "m/in").await, ["m/in/file"]);
    let page = store.list("", Some("a0"), 1).await.unwrap();
    assert_eq!(page[0].key, "m/in/file");
}

#[tokio::test]
async fn a_file_that_is_cut_short_while_it_streams_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    fs::write(&path, vec![7; 3 << 20]).unwrap();
    let mut stream = FolderObjects::read_only(dir.path()).stream("large", None).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    fs::File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    let mut last = stream.try_next().await;
    while let Ok(Some(_)) = last {
        last = stream.try_next().await;
    }
    assert_eq!(kind(last), Some(ErrorKind::Conflict));
}

#[tokio::test]
async fn put_file_takes_the_file_away_and_refuses_links() {
    let dir = tempfile::tempdir().unwrap();
    let store = FolderObjects::open(dir.path().join("objects")).unwrap();
    let scratch = dir.path().join("scratch");
    file(&scratch);
    symlink(&scratch, dir.path().join("link")).unwrap();
    assert_eq!(kind(store.put_file("a", &dir.path().join("link")).await), Some(ErrorKind::Invalid));
    store.put_file("a/b", &scratch).await.unwrap();
    assert_eq!((store.get("a/b", None).await.unwrap(), scratch.exists()), (CONTENT, false));
}

#[tokio::test]
async fn a_file_of_another_file_system_is_copied() {
    let other = Path::new("/dev/shm");
    let dir = tempfile::tempdir().unwrap();
    let is_other = fs::metadata(other).is_ok_and(|shm| {
        use std::os::unix::fs::MetadataExt;
        shm.dev() != fs::metadata(dir.path()).unwrap().dev()
    });
    if !is_other {
        eprintln!("skipped: there is no second file system here");
        return;
    }
    let source = tempfile::NamedTempFile::new_in(other).unwrap();
    fs::write(source.path(), CONTENT).unwrap();
    let store = FolderObjects::open(dir.path()).unwrap();
    store.put_file("a", source.path()).await.unwrap();
    assert_eq!((store.get("a", None).await.unwrap(), source.path().exists()), (CONTENT, true));
}
