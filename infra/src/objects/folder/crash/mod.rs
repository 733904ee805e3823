//! Power losses: what a small job does to the folder, cut after every step; each time what the disk may have kept is opened
//! again, and holds all that was told to a caller, and nothing in halves.

pub(super) mod record;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};

use self::record::{Disk, Kept, Step, note, steps};
use super::FolderObjects;
use crate::ErrorKind;
use crate::objects::ObjectStore;

/// What may be found under a key: nothing, or one of these contents.
type Possible = BTreeMap<String, Vec<Option<Vec<u8>>>>;

/// What a small job asks of the store.
async fn small_job(store: &FolderObjects, outside: &Path) {
    let text = |words: &str| Bytes::from(words.repeat(50));
    put(store, "jobs/1/job.json", text("submission")).await;
    for item in 0..3 {
        put(store, &format!("jobs/1/a/plan/{item}.json"), text("plan")).await;
        let (data, done) = (format!("jobs/1/a/data/0{item}/{item}.1-x"), format!("jobs/1/a/done/00/{item}.1.json"));
        let pieces = [Ok(text("one ")), Ok(text("two ")), Ok(text("three "))];
        let whole: Vec<u8> = [text("one "), text("two "), text("three ")].concat();
        note(Step::Asked(data.clone(), Some(whole.clone())));
        store.put_stream(&data, stream::iter(pieces).boxed()).await.unwrap();
        note(Step::Told(data, Some(whole)));
        note(Step::Asked(done.clone(), Some(text("manifest").to_vec())));
        store.create(&done, text("manifest")).await.unwrap();
        note(Step::Told(done.clone(), Some(text("manifest").to_vec())));
        // Another execution was second: it goes by the manifest that is there.
        assert_eq!(store.create(&done, text("another")).await.unwrap_err().kind, ErrorKind::Conflict);
        note(Step::Told(done, Some(text("manifest").to_vec())));
    }
    std::fs::write(outside, "log").unwrap();
    note(Step::written(outside));
    note(Step::Asked("jobs/1/a/logs/00/0.1".into(), Some(b"log".to_vec())));
    store.put_file("jobs/1/a/logs/00/0.1", outside).await.unwrap();
    note(Step::Told("jobs/1/a/logs/00/0.1".into(), Some(b"log".to_vec())));
    put(store, "jobs/1/cancelled", Bytes::new()).await;
    note(Step::Asked("jobs/1/cancelled".into(), None));
    store.delete("jobs/1/cancelled").await.unwrap();
    put(store, "jobs/1/receipt.json", text("first")).await;
    put(store, "jobs/1/receipt.json", text("second")).await;
}

async fn put(store: &FolderObjects, key: &str, body: Bytes) {
    note(Step::Asked(key.to_owned(), Some(body.to_vec())));
    store.put(key, body.clone()).await.unwrap();
    note(Step::Told(key.to_owned(), Some(body.to_vec())));
}

/// Cuts after every step; the first thing that is wrong, and how many disks were opened.
async fn cut_everywhere(root: &Path, steps: &[Step]) -> (usize, Option<String>) {
    let (mut disk, mut possible, mut opened) = (Disk::new(root), Possible::new(), 0);
    for (at, step) in steps.iter().enumerate() {
        disk.apply(step);
        match step {
            Step::Asked(key, content) => {
                possible.entry(key.clone()).or_insert_with(|| vec![None]).push(content.clone())
            }
            Step::Told(key, content) => drop(possible.insert(key.clone(), vec![content.clone()])),
            _ => {}
        }
        for kept in [Kept::Least, Kept::Names, Kept::Some(at as u64), Kept::Some(!(at as u64))] {
            let after = tempfile::tempdir().unwrap();
            disk.lose_power(kept, after.path());
            opened += 1;
            if let Some(wrong) = look(after.path(), &possible).await {
                return (opened, Some(format!("after step {at}, {step:?}, {kept:?}: {wrong}")));
            }
        }
    }
    (opened, None)
}

/// Opens what is left, and says what of it must not be.
async fn look(root: &Path, possible: &Possible) -> Option<String> {
    let store = FolderObjects::open(root).unwrap();
    for (key, contents) in possible {
        let found = match store.get(key, None).await {
            Ok(body) => Some(body.to_vec()),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Some(error.to_string()),
        };
        if !contents.contains(&found) {
            return Some(format!("{key} is {:?}", found.map(|bytes| bytes.escape_ascii().to_string())));
        }
    }
    let listed = store.list("", None, 1_000).await.unwrap();
    listed
        .into_iter()
        .find(|meta| !possible.contains_key(&meta.key))
        .map(|meta| format!("{} was never asked for", meta.key))
}

async fn recorded() -> (tempfile::TempDir, Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("objects");
    let store = FolderObjects::open(&root).unwrap();
    small_job(&store, &root.join(super::write::TEMPORARY).join("log")).await;
    let steps = steps(&root);
    (folder, steps)
}

#[tokio::test]
async fn a_power_loss_takes_nothing_that_was_told_and_leaves_nothing_in_halves() {
    let (folder, steps) = recorded().await;
    let (opened, wrong) = cut_everywhere(&folder.path().join("objects"), &steps).await;
    assert_eq!(wrong, None);
    assert!(opened > 400, "only {opened} disks were opened");
    // A store that forgets to make contents durable, or names, is caught: the record without these steps is what it would do.
    let is_sync = |step: &Step| matches!(step, Step::Synced(_));
    let is_folder_sync = |step: &Step| matches!(step, Step::SyncedFolder(_));
    for forgets in [is_sync, is_folder_sync] {
        let steps: Vec<Step> = steps.iter().filter(|step| !forgets(step)).cloned().collect();
        let (_, wrong) = cut_everywhere(&folder.path().join("objects"), &steps).await;
        assert!(wrong.is_some(), "nobody notices");
    }
}
