//! What every object store must do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};

use super::kind;
use crate::objects::{ByteStream, ObjectStore, probe};
use crate::{Error, ErrorKind};

/// An empty store.
pub type Fresh = Arc<dyn ObjectStore>;

/// Calls a macro with some arguments in brackets and the names of all checks.
#[macro_export]
#[doc(hidden)]
macro_rules! object_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            a_created_object_is_read_back
            a_second_create_is_refused_and_changes_nothing
            of_many_creators_exactly_one_succeeds
            put_replaces
            put_file_stores_the_files_content
            put_stream_stores_what_comes_however_it_comes
            a_stream_that_fails_changes_nothing
            ranges_are_clipped_at_the_end
            a_stream_gives_the_bytes_of_its_range_in_order
            what_is_missing_is_not_found
            head_tells_size_and_a_version_that_changes
            a_listing_is_ordered_by_bytes
            a_prefix_may_end_anywhere
            a_listing_is_read_page_by_page
            awkward_keys_are_kept_as_they_are
            wrong_keys_are_refused
            deleting_twice_is_no_error
            a_deleted_object_can_be_created_again
            an_empty_object_is_an_object
            the_probe_is_passed
        }
    };
}

macro_rules! named {
    ([$fixture:ty] $($check:ident)*) => { super::suite! { $fixture: $($check)* } };
}
object_checks!(named![Fresh]);

async fn a_created_object_is_read_back(store: Fresh) {
    store.create("a/b/c", Bytes::from_static(b"content")).await.unwrap();
    assert_eq!(store.get("a/b/c", None).await.unwrap(), "content");
}

async fn a_second_create_is_refused_and_changes_nothing(store: Fresh) {
    store.create("a/b", Bytes::from_static(b"first")).await.unwrap();
    let before = store.head("a/b").await.unwrap();
    assert_eq!(kind(store.create("a/b", Bytes::from_static(b"second")).await), Some(ErrorKind::Conflict));
    assert_eq!(store.get("a/b", None).await.unwrap(), "first");
    assert_eq!(store.head("a/b").await.unwrap(), before);
}

async fn of_many_creators_exactly_one_succeeds(store: Fresh) {
    for round in 0..8 {
        let key = format!("new/{round}/manifest");
        let creators = (0..32).map(|creator: u32| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.create(&key, body_of(creator)).await })
        });
        let answers: Vec<Result<(), Error>> = join_all(creators).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<u32> = (0..32).filter(|&creator| answers[creator as usize].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let losers = answers.into_iter().filter_map(Result::err);
        assert!(losers.map(|refused| refused.kind).all(|kind| kind == ErrorKind::Conflict));
        assert_eq!(store.get(&key, None).await.unwrap(), body_of(winners[0]));
    }
}

async fn put_replaces(store: Fresh) {
    store.put("a", Bytes::from_static(b"first, and longer")).await.unwrap();
    store.put("a", Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(store.get("a", None).await.unwrap(), "second");
}

async fn put_file_stores_the_files_content(store: Fresh) {
    let content = pattern(5 << 20);
    let file = Scratch::holding(&content);
    store.put("a/file", Bytes::from_static(b"old")).await.unwrap();
    store.put_file("a/file", &file.0).await.unwrap();
    assert_eq!(store.get("a/file", None).await.unwrap(), content);
    assert_eq!(kind(store.put_file("a/other", &file.0.with_extension("missing")).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(store.head("a/other").await), Some(ErrorKind::NotFound));
}

async fn put_stream_stores_what_comes_however_it_comes(store: Fresh) {
    store.put("a/stream", Bytes::from_static(b"old")).await.unwrap();
    // Around the sizes at which S3 needs one part, two, and a short last one.
    for (size, piece) in
        [(0, 1), (1, 1), (100_000, 999), (8 << 20, 8 << 20), ((8 << 20) + 1, 65_536), (17 << 20, 3 << 20)]
    {
        let content = pattern(size);
        let written = store.put_stream("a/stream", in_pieces(&content, piece)).await.unwrap();
        assert_eq!(store.head("a/stream").await.unwrap(), written);
        assert_eq!((written.key.as_str(), written.size), ("a/stream", size as u64));
        assert!(store.get("a/stream", None).await.unwrap() == content, "{size} bytes in pieces of {piece}");
    }
    assert_eq!(keys(&store, "", None, 10).await, ["a/stream"]);
}

async fn a_stream_that_fails_changes_nothing(store: Fresh) {
    store.put("old", Bytes::from_static(b"old")).await.unwrap();
    for size in [0, 10, 9 << 20] {
        for key in ["old", "new"] {
            let broken = Err(Error::new(ErrorKind::Full, "the body broke off"));
            let body = in_pieces(&pattern(size), 1 << 20).chain(stream::iter([broken])).boxed();
            let failed = store.put_stream(key, body).await.unwrap_err();
            assert_eq!((failed.kind, failed.to_string().as_str()), (ErrorKind::Full, "the body broke off"));
        }
    }
    assert_eq!(store.get("old", None).await.unwrap(), "old");
    assert_eq!(keys(&store, "", None, 10).await, ["old"]);
}

async fn ranges_are_clipped_at_the_end(store: Fresh) {
    store.put("digits", Bytes::from_static(b"0123456789")).await.unwrap();
    #[allow(clippy::reversed_empty_ranges, reason = "they come in, and mean nothing")]
    let ranges =
        [(0..10, "0123456789"), (3..5, "34"), (7..99, "789"), (4..4, ""), (10..12, ""), (50..60, ""), (5..2, "")];
    for (range, expected) in ranges {
        assert_eq!(store.get("digits", Some(range.clone())).await.unwrap(), expected, "{range:?}");
        assert_eq!(read(&store, "digits", Some(range.clone())).await, expected, "{range:?}");
    }
    assert_eq!(store.get("digits", Some(8..u64::MAX)).await.unwrap(), "89");
}

async fn a_stream_gives_the_bytes_of_its_range_in_order(store: Fresh) {
    let content = pattern(5 << 20);
    store.put("large", content.clone()).await.unwrap();
    assert_eq!(read(&store, "large", None).await, content);
    let middle = 1_000_001..4_000_003;
    assert_eq!(read(&store, "large", Some(middle.clone())).await, content.slice(1_000_001..4_000_003));
    let pieces: Vec<Bytes> = store.stream("large", Some(middle)).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= 1 << 20), "pieces are of bounded size");
}

async fn what_is_missing_is_not_found(store: Fresh) {
    store.put("a/b", Bytes::new()).await.unwrap();
    for key in ["a", "a/b/c", "a/c", "b"] {
        assert_eq!(kind(store.get(key, None).await), Some(ErrorKind::NotFound), "{key}");
        assert_eq!(kind(store.get(key, Some(0..0)).await), Some(ErrorKind::NotFound), "{key}");
        assert_eq!(kind(store.stream(key, None).await), Some(ErrorKind::NotFound), "{key}");
        assert_eq!(kind(store.head(key).await), Some(ErrorKind::NotFound), "{key}");
    }
    assert_eq!(store.list("b", None, 10).await.unwrap(), []);
    assert_eq!(store.list("a/b/c", None, 10).await.unwrap(), []);
}

async fn head_tells_size_and_a_version_that_changes(store: Fresh) {
    store.put("a", Bytes::from_static(b"12345")).await.unwrap();
    let first = store.head("a").await.unwrap();
    assert_eq!((first.key.as_str(), first.size), ("a", 5));
    assert_eq!(store.head("a").await.unwrap(), first);
    store.put("a", Bytes::from_static(b"54321")).await.unwrap();
    assert_ne!(store.head("a").await.unwrap().version, first.version);
}

async fn a_listing_is_ordered_by_bytes(store: Fresh) {
    let sorted = ["A", "a-b", "a.txt", "a/b", "a/b!", "a0", "b/a/c", "b/a0", "b0/a", "\u{e4}"];
    for key in sorted.iter().rev() {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(keys(&store, "", None, 100).await, sorted);
    let metas = store.list("", None, 100).await.unwrap();
    for meta in metas {
        assert_eq!(store.head(&meta.key).await.unwrap(), meta);
    }
}

async fn a_prefix_may_end_anywhere(store: Fresh) {
    for key in ["a/b/c", "a/bc/d", "a/bc.txt", "a/c", "ab", "b"] {
        store.put(key, Bytes::new()).await.unwrap();
    }
    assert_eq!(keys(&store, "a/b", None, 10).await, ["a/b/c", "a/bc.txt", "a/bc/d"]);
    assert_eq!(keys(&store, "a/b/", None, 10).await, ["a/b/c"]);
    assert_eq!(keys(&store, "a", None, 10).await, ["a/b/c", "a/bc.txt", "a/bc/d", "a/c", "ab"]);
    assert_eq!(keys(&store, "a/bc/d", None, 10).await, ["a/bc/d"]);
    for nothing in ["c", "a/b/c/", "a/d", "/", "/a", "a//", "../a"] {
        assert_eq!(keys(&store, nothing, None, 10).await, [""; 0], "{nothing}");
    }
}

async fn a_listing_is_read_page_by_page(store: Fresh) {
    let all: BTreeSet<String> =
        (0..60).map(|n| format!("p{}/{}{}", n % 3, n, if n % 2 == 0 { "/x" } else { "-y" })).collect();
    for key in &all {
        store.put(key, Bytes::new()).await.unwrap();
    }
    for limit in [1, 7, 60, 61] {
        let mut seen = Vec::new();
        loop {
            let page = keys(&store, "p", seen.last().map(String::as_str), limit).await;
            let is_last = page.len() < limit;
            seen.extend(page);
            if is_last {
                break;
            }
        }
        assert!(seen.iter().eq(&all), "in pages of {limit}: {seen:?}");
    }
    assert_eq!(keys(&store, "p", None, 0).await, [""; 0]);
    assert_eq!(keys(&store, "p1", Some("p0/4"), 1).await, ["p1/1-y"]);
    assert_eq!(keys(&store, "p1", Some("p2"), 1).await, [""; 0]);
    assert_eq!(keys(&store, "p0/", Some("p0/5"), 2).await, ["p0/51-y", "p0/54/x"]);
}

async fn awkward_keys_are_kept_as_they_are(store: Fresh) {
    let part = "n".repeat(200);
    let awkward = [
        "a b/c  d",
        "tab\tand\nline",
        "quote'\"`$(x);&|<>*?[]{}~#!\\",
        "-rf",
        "...",
        ".hidden/..x",
        "\u{202e}x",
        "%2F%00",
        "e\u{301}/\u{e9}",
        &part,
    ];
    for key in awkward {
        store.create(key, Bytes::from(key.to_owned())).await.unwrap();
    }
    for key in awkward {
        assert_eq!(store.get(key, None).await.unwrap(), key);
    }
    let mut sorted = awkward.to_vec();
    sorted.sort_unstable();
    assert_eq!(keys(&store, "", None, 100).await, sorted);
}

async fn wrong_keys_are_refused(store: Fresh) {
    for key in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/./b", "nul\0"] {
        let answers = [
            kind(store.create(key, Bytes::new()).await),
            kind(store.put(key, Bytes::new()).await),
            kind(store.put_stream(key, in_pieces(&Bytes::new(), 1)).await),
            kind(store.get(key, None).await),
            kind(store.presign_get(key, Duration::from_secs(60)).await),
            kind(store.stream(key, None).await),
            kind(store.head(key).await),
            kind(store.delete(key).await),
        ];
        assert_eq!(answers, [Some(ErrorKind::Invalid); 8], "{key:?}");
    }
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
}

async fn deleting_twice_is_no_error(store: Fresh) {
    store.put("a/b", Bytes::new()).await.unwrap();
    store.put("a/c", Bytes::new()).await.unwrap();
    for _ in 0..2 {
        store.delete("a/b").await.unwrap();
    }
    store.delete("never/was").await.unwrap();
    store.delete("a").await.unwrap();
    assert_eq!(keys(&store, "", None, 10).await, ["a/c"]);
}

async fn a_deleted_object_can_be_created_again(store: Fresh) {
    store.create("a/b", Bytes::from_static(b"first")).await.unwrap();
    store.delete("a/b").await.unwrap();
    assert_eq!(kind(store.get("a/b", None).await), Some(ErrorKind::NotFound));
    store.create("a/b", Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(store.get("a/b", None).await.unwrap(), "second");
}

async fn an_empty_object_is_an_object(store: Fresh) {
    store.create("empty", Bytes::new()).await.unwrap();
    assert_eq!(store.head("empty").await.unwrap().size, 0);
    assert_eq!(store.get("empty", None).await.unwrap(), "");
    assert_eq!(read(&store, "empty", None).await, "");
    assert_eq!(kind(store.create("empty", Bytes::from_static(b"x")).await), Some(ErrorKind::Conflict));
}

async fn the_probe_is_passed(store: Fresh) {
    probe("the store", &*store).await.unwrap();
    assert_eq!(store.list("", None, 10).await.unwrap(), []);
}

async fn read(store: &Fresh, key: &str, range: Option<std::ops::Range<u64>>) -> Bytes {
    let pieces: Vec<Bytes> = store.stream(key, range).await.unwrap().try_collect().await.unwrap();
    pieces.concat().into()
}

async fn keys(store: &Fresh, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let found = store.list(prefix, after, limit).await.unwrap();
    found.into_iter().map(|meta| meta.key).collect()
}

fn in_pieces(content: &Bytes, bytes: usize) -> ByteStream {
    let content = content.clone();
    let starts = (0..content.len()).step_by(bytes);
    stream::iter(starts.map(move |at| Ok(content.slice(at..content.len().min(at + bytes))))).boxed()
}

fn body_of(creator: u32) -> Bytes {
    Bytes::from(creator.to_string().repeat(10_000))
}

/// Bytes of which no two places look alike.
fn pattern(bytes: usize) -> Bytes {
    (0..bytes.div_ceil(4) as u32).flat_map(u32::to_le_bytes).take(bytes).collect()
}

/// A file that is gone when this is dropped, if nobody moved it away.
struct Scratch(PathBuf);

impl Scratch {
    fn holding(content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
