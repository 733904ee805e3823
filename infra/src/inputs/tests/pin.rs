use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use super::*;
use crate::inputs::resolve;

async fn names(specs: &[&str], base: &Path) -> std::result::Result<Vec<String>, String> {
    let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
    let found = resolve(&sources().0, &specs, base, PinOptions::default()).await;
    found
        .map(|files| files.into_iter().map(|file| file.name).collect())
        .map_err(|fault| format!("{}: {fault}", word(&fault)))
}

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.csv", "B.csv", "a/2.csv", "a/10.csv", "a/x/1.csv", "a/.hidden", ".git/config", "note.txt"] {
        write(folder.path(), name, name.as_bytes());
    }
    folder
}

#[tokio::test]
async fn paths_globs_and_folders_are_found_and_sorted_by_bytes() {
    let tree = tree();
    let base = tree.path();
    assert_eq!(names(&["b.csv"], base).await.unwrap(), ["b.csv"]);
    assert_eq!(names(&["a"], base).await.unwrap(), ["10.csv", "2.csv", "x/1.csv"]);
    assert_eq!(names(&["./a/x/../"], base).await.unwrap(), ["10.csv", "2.csv", "x/1.csv"]);
    assert_eq!(names(&["*.csv"], base).await.unwrap(), ["B.csv", "b.csv"]);
    assert_eq!(names(&["a/*"], base).await.unwrap(), ["10.csv", "2.csv"]);
    assert_eq!(names(&["**/*.csv"], base).await.unwrap(), ["B.csv", "a/10.csv", "a/2.csv", "a/x/1.csv", "b.csv"]);
    assert_eq!(names(&["a/**"], base).await.unwrap(), ["10.csv", "2.csv", "x/1.csv"]);
    assert_eq!(names(&["?/**/**/1*.csv"], base).await.unwrap(), ["a/10.csv", "a/x/1.csv"]);
    assert_eq!(names(&["a/.h*", "n*"], base).await.unwrap(), [".hidden", "note.txt"]);
    let uri = format!("file://{}/a/x", base.display());
    assert_eq!(names(&[&uri, "a"], base).await.unwrap(), ["1.csv", "10.csv", "2.csv"]);
}

#[tokio::test]
async fn a_wildcard_in_the_name_of_a_file_or_of_the_base_folder_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("[1]");
    write(&base, "a[1].csv", b"x");
    write(&base, "a1.csv", b"y");
    assert_eq!(names(&["a[1].csv"], &base).await.unwrap(), ["a[1].csv"]);
    assert_eq!(names(&["a[0-9].csv"], &base).await.unwrap(), ["a1.csv"]);
}

#[tokio::test]
async fn what_cannot_be_found_is_named_with_a_remedy() {
    let tree = tree();
    let base = tree.path();
    write(base, "empty/.hidden", b"");
    std::fs::write(base.join(std::ffi::OsStr::from_bytes(b"a/\xff.csv")), b"").unwrap();
    for (spec, expected) in [
        ("none.csv", "missing: "),
        ("b.csv/x", "missing: "),
        ("b.csv/", "missing: "),
        ("*/", "missing: "),
        ("mem://*/", "missing: "),
        ("../none/x", "missing: "),
        ("*.parquet", "missing: no file matches"),
        ("empty", "missing: the folder"),
        ("a", "invalid: the name of"),
        ("a/*", "invalid: the name of"),
        ("/dev/null", "invalid: /dev/null is no regular file: pipe"),
        ("", "invalid: "),
        ("file://host/x", "invalid: "),
        ("ftp://host/x", "invalid: "),
        ("mem://nothing/", "missing: "),
    ] {
        let message = names(&[spec], base).await.unwrap_err();
        assert!(message.starts_with(expected), "{spec}: {message}");
        assert!(!spec.ends_with(".csv") || message.contains(spec), "{message}");
    }
}

#[tokio::test]
async fn a_folder_that_contains_itself_by_a_link_is_refused() {
    let tree = tree();
    std::os::unix::fs::symlink(tree.path(), tree.path().join("a/loop")).unwrap();
    assert!(names(&["."], tree.path()).await.unwrap_err().starts_with("invalid: "));
}

#[tokio::test]
async fn objects_are_found_by_key_prefix_and_glob() {
    let (sources, objects) = sources();
    for key in ["d/b.csv", "d/a/1.csv", "d/.x", "e/c.csv", ".f/.y"] {
        objects.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    for (spec, expected) in [
        ("mem://d/b.csv", vec!["b.csv"]),
        ("mem://d/", vec!["a/1.csv", "b.csv"]),
        ("mem://d", vec!["a/1.csv", "b.csv"]),
        ("mem://*/*.csv", vec!["d/b.csv", "e/c.csv"]),
        ("mem://d/.*", vec![".x"]),
    ] {
        let files = resolve(&sources, &[spec.to_owned()], Path::new("/"), PinOptions::default()).await.unwrap();
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), expected, "{spec}");
    }
}

#[tokio::test]
async fn a_pinned_file_says_what_it_is() {
    let (sources, _) = sources();
    let folder = tempfile::tempdir().unwrap();
    let stored = compress(b"content", Compression::Zstd);
    write(folder.path(), "x.dat", &stored);
    write(folder.path(), "empty", b"");
    let files = resolve(&sources, &[".".into()], folder.path(), PinOptions::default()).await.unwrap();
    let [empty, file] = &files[..] else { panic!("two files") };
    assert_eq!((empty.size, empty.compression), (0, Compression::None));
    assert_eq!(file.uri, format!("file://{}/x.dat", folder.path().display()));
    assert_eq!((file.size, file.compression), (stored.len() as u64, Compression::Zstd));
    assert_eq!(file.digest, format!("blake3:{}", blake3::hash(&stored).to_hex()));
}

#[tokio::test]
async fn a_file_that_is_known_is_not_read_again() {
    let (sources, _) = sources();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.gz", &compress(b"content", Compression::Gzip));
    let read = Mutex::new(0);
    let count = |bytes| *read.lock().unwrap() += bytes;
    let options = PinOptions { on_bytes: &count, ..PinOptions::default() };
    let first = resolve(&sources, &["x.gz".into()], folder.path(), options).await.unwrap();
    assert_eq!(*read.lock().unwrap(), first[0].size);
    let known = |uri: &str, size: u64, version: &str| {
        let same = (uri, size, version) == (first[0].uri.as_str(), first[0].size, first[0].version.as_str());
        same.then(|| first[0].digest.clone())
    };
    let options = PinOptions { on_bytes: &count, known: &known, ..PinOptions::default() };
    assert_eq!(resolve(&sources, &["x.gz".into()], folder.path(), options).await.unwrap(), first);
    assert_eq!(*read.lock().unwrap(), first[0].size);
}

#[tokio::test]
async fn inputs_can_be_found_by_a_task_of_their_own() {
    let (sources, _) = sources();
    let tree = tree();
    let base = tree.path().to_owned();
    let found = tokio::spawn(async move {
        let options = PinOptions::default();
        resolve(&sources, &["**/*".into()], &base, options).await.unwrap().len()
    });
    assert_eq!(found.await.unwrap(), 6);
}
