use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::ids::{AttemptKey, JobId, StageName, WorkerId};
use grid_core::wire::{Manifest, OutputFile, Outputs, Pack};

use super::*;
use crate::faults::{FaultyObjects, StoreFaults};
use crate::objects::MemoryObjects;

const TEXTS: [&str; 4] = ["one", "", "file of two", "three"];

fn crc(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}

/// Items 10 to 12: the first wrote `one`, the second nothing but a file, the third `three`.
fn manifest(pack: Pack) -> Manifest {
    let stdout = [TEXTS[0], TEXTS[1], TEXTS[3]].map(|text| (text.len() as u64, crc(text)));
    let file = OutputFile { item: 11, name: "a/b.txt".into(), len: TEXTS[2].len() as u64, crc32: crc(TEXTS[2]) };
    Manifest {
        v: 1,
        job: JobId::new("j"),
        stage: StageName::new("s"),
        first: 10,
        count: 3,
        attempt: 1,
        worker: WorkerId::new("w"),
        copy: 0,
        started_ms: 0,
        busy_us: 0,
        bytes_in: 0,
        outputs: Outputs { pack, stdout: stdout.to_vec(), files: vec![file], bundled: false },
        failed: Vec::new(),
        unrun: Vec::new(),
        log: None,
        params: Default::default(),
        reused_from: None,
    }
}

fn object_pack() -> Pack {
    Pack::Object { key: "data".into(), start: 0, len: TEXTS.concat().len() as u64 }
}

fn inline_pack() -> Pack {
    Pack::Text(TEXTS.concat())
}

fn attempt() -> OutputRef {
    OutputRef { stage: StageName::new("s"), key: AttemptKey { first: 10, attempt: 1 } }
}

/// A store with that manifest, and with `data` as its data object.
async fn stored(manifest: &Manifest, data: &str) -> (Arc<MemoryObjects>, OutputReader) {
    let objects = Arc::new(MemoryObjects::new());
    let key = layout::manifest(&manifest.job, &manifest.stage, manifest.key());
    objects.put(&key, serde_json::to_vec(manifest).unwrap().into()).await.unwrap();
    objects.put("data", Bytes::copy_from_slice(data.as_bytes())).await.unwrap();
    (objects.clone(), OutputReader::new(objects))
}

fn pieces(committed: &Committed) -> Vec<Piece> {
    let item = |item| committed.stdout(item).into_iter().chain(committed.files(item).map(|(_, piece)| piece));
    (9..14).flat_map(item).collect()
}

async fn streamed(reader: &OutputReader, pieces: &[Piece]) -> Result<String> {
    let read: Vec<Bytes> = reader.stream(pieces).try_collect().await?;
    Ok(String::from_utf8(read.concat()).unwrap())
}

#[tokio::test]
async fn items_are_read_from_a_manifest_and_from_an_object_alike() {
    for pack in [inline_pack(), object_pack()] {
        let (_, reader) = stored(&manifest(pack), &TEXTS.concat()).await;
        let committed = reader.manifest(&JobId::new("j"), &attempt()).await.unwrap();
        assert_eq!(committed.items(), [(10, 3)]);
        assert!(committed.stdout(9).is_none() && committed.stdout(11).is_none() && committed.stdout(13).is_none());
        let files: Vec<&str> = committed.files(11).map(|(name, _)| name).collect();
        assert_eq!(files, ["a/b.txt"]);
        let pieces = pieces(&committed);
        assert_eq!(reader.read(&pieces).await.unwrap(), ["one", "file of two", "three"]);
        assert_eq!(streamed(&reader, &pieces).await.unwrap(), "onefile of twothree");
        let backwards = [pieces[2].clone(), pieces[0].clone()];
        assert_eq!(reader.read(&backwards).await.unwrap(), ["three", "one"]);
        assert_eq!(streamed(&reader, &backwards).await.unwrap(), "threeone");
    }
}

#[tokio::test]
async fn damaged_bytes_are_refused() {
    let whole = TEXTS.concat();
    for data in [whole.replace("two", "tow"), whole[..whole.len() - 1].to_owned()] {
        let (_, reader) = stored(&manifest(object_pack()), &data).await;
        let committed = reader.manifest(&JobId::new("j"), &attempt()).await.unwrap();
        let pieces = pieces(&committed);
        assert_eq!(reader.read(&pieces).await.unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(streamed(&reader, &pieces).await.unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(reader.read(&pieces[..1]).await.unwrap(), ["one"], "what is whole can still be read");
    }
}

#[tokio::test]
async fn a_manifest_is_read_once() {
    let (objects, reader) = stored(&manifest(inline_pack()), "").await;
    let job = JobId::new("j");
    let read = reader.manifest(&job, &attempt()).await.unwrap();
    objects.delete(&layout::manifest(&job, &attempt().stage, attempt().key)).await.unwrap();
    assert!(Arc::ptr_eq(&read, &reader.manifest(&job, &attempt()).await.unwrap()));
    let other = OutputRef { key: AttemptKey { first: 10, attempt: 2 }, ..attempt() };
    assert_eq!(reader.manifest(&job, &other).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn the_output_of_a_bundle_is_that_of_its_first_item() {
    let bundle = Manifest {
        outputs: Outputs {
            pack: Pack::Text("all".into()),
            stdout: vec![(3, crc("all"))],
            files: Vec::new(),
            bundled: true,
        },
        ..manifest(Pack::Empty)
    };
    let (_, reader) = stored(&bundle, "").await;
    let committed = reader.manifest(&JobId::new("j"), &attempt()).await.unwrap();
    assert_eq!(reader.read(&pieces(&committed)).await.unwrap(), ["all"]);
    assert!(committed.holds(12) && committed.stdout(12).is_none());
}

#[test]
fn a_manifest_that_does_not_hold_together_is_refused() {
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest(inline_pack());
        change(&mut manifest);
        Committed::parse("m", &serde_json::to_vec(&manifest).unwrap()).unwrap_err().to_string()
    };
    assert!(refused(&|m| m.v = 2).contains("version 2"));
    assert!(refused(&|m| m.outputs.pack = Pack::Empty).contains("pack has 0"));
    assert!(refused(&|m| m.outputs.pack = Pack::Base64("!".into())).contains("base64"));
    assert!(refused(&|m| m.outputs.stdout[0].0 = u64::MAX).contains("impossibly long"));
    assert!(refused(&|m| m.outputs.stdout.truncate(1)).contains("its pack has"));
    assert!(refused(&|m| m.outputs.stdout.push((0, 0))).contains("4 standard outputs for 3 items"));
    assert!(refused(&|m| m.outputs.bundled = true).contains("3 standard outputs for one process"));
    for name in ["/etc/passwd", "a/../../b", "", "a//b"] {
        assert!(refused(&|m| m.outputs.files[0].name = name.into()).contains("leads out of its folder"));
    }
    assert!(Committed::parse("m", b"{}").unwrap_err().to_string().contains("no manifest"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_through_an_outage() {
    let (objects, _) = stored(&manifest(object_pack()), &TEXTS.concat()).await;
    let faults = StoreFaults { seed: 1, fail_before: 0.7, ..StoreFaults::default() };
    let reader = OutputReader::new(Arc::new(FaultyObjects::new(objects.clone(), faults)));
    let committed = OutputReader::new(objects).manifest(&JobId::new("j"), &attempt()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(streamed(&reader, &pieces(&committed)).await.unwrap(), TEXTS.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_can_never_be_read_ends() {
    let (objects, _) = stored(&manifest(object_pack()), &TEXTS.concat()).await;
    let faults = StoreFaults { fail_before: 1.0, ..StoreFaults::default() };
    let reader = OutputReader::new(Arc::new(FaultyObjects::new(objects.clone(), faults)));
    let committed = OutputReader::new(objects).manifest(&JobId::new("j"), &attempt()).await.unwrap();
    assert!(streamed(&reader, &pieces(&committed)).await.unwrap_err().is_transient());
}
