//! Names of items, keys of objects, paths and globs, sizes, durations, filters: nothing leaves its folder, nothing is taken for something
//! else.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use grid_core::filter::Filter;
use grid_core::items::Key;
use grid_core::units::{parse_allowance, parse_duration, parse_size};
use infra::grid::Sources;
use infra::inputs::locate;
use infra::objects::{FolderObjects, MemoryObjects, ObjectStore};
use percent_encoding::percent_decode_str;

use super::now;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    name(text);
    object(text);
    files(text);
    let _ = (parse_size(text), parse_duration(text), parse_allowance(text));
    if let Ok(filter) = Filter::from_str(text) {
        let _ = filter.stages();
    }
}

/// An item's name is a file name, and tells what it was made of.
fn name(text: &str) {
    let values: Vec<&str> = text.split('\n').collect();
    let key = Key(values.iter().map(|value| ("d".to_owned(), (*value).to_owned())).collect());
    let name = key.name();
    assert!(name.len() <= 200 && !name.is_empty() && !name.starts_with('.'), "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+@=%,~".contains(&byte)), "{name}");
    // A long one has a digest in place of its end, a strange one a mark before it.
    if !name.contains('~') && !name.starts_with("%.") && name != "%" {
        let decoded: Vec<_> =
            name.split(',').map(|it| percent_decode_str(it).decode_utf8_lossy().into_owned()).collect();
        assert_eq!(decoded, values);
    }
}

/// A key is refused by all stores or by none, and what a folder takes lies in it.
fn object(key: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    let memory = now(MemoryObjects::new().put(key, "x".into())).map_err(|error| error.kind);
    let store = FolderObjects::open(&inner).expect("a store");
    let put = now(store.put(key, "x".into())).map_err(|error| error.kind);
    // A file system has limits of its own.
    let is_short = key.len() < 900 && key.split('/').all(|part| part.len() < 200);
    if is_short {
        assert_eq!(memory.is_ok(), put.is_ok(), "{key:?}");
    }
    if put.is_ok() {
        let read = now(store.get(key, None)).expect("what was put is there");
        assert_eq!(&read[..], b"x");
    }
    let outside: Vec<_> =
        std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["inner"], "{key:?} has left its folder");
}

/// What the first line names of the files in the others is the same in a folder and in a bucket.
fn files(text: &str) {
    let Some((spec, keys)) = text.split_once('\n') else { return };
    let is_plain = |path: &str| {
        path.len() < 100 && !path.contains(['\0', '\n']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    let keys: Vec<&str> = keys.split('\n').take(8).collect();
    // A folder that is named like a glob is one here, and none where there are no folders.
    if !is_plain(spec.strip_suffix('/').unwrap_or(spec))
        || spec.contains("://")
        || !keys.iter().all(|key| is_plain(key) && !key.contains(['*', '?', '[', ']']))
    {
        return;
    }
    let (folder, bucket) = (tempfile::tempdir().expect("a folder"), MemoryObjects::new());
    for key in keys {
        let path = folder.path().join(key);
        let made =
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).and_then(|()| std::fs::write(&path, "x"));
        if made.is_err() {
            return;
        }
        now(bucket.put(&format!("bucket/{key}"), "x".into())).expect("what is a path is a key");
    }
    let sources = Sources::default().with("s3", Arc::new(bucket));
    let [here, there] = [spec.to_owned(), format!("s3://bucket/{spec}")].map(|spec| {
        let found = now(locate(&sources, &[spec], folder.path())).ok()?;
        Some(found.into_iter().map(|file| file.name).collect::<Vec<_>>())
    });
    assert_eq!(here, there, "{spec:?}");
}
