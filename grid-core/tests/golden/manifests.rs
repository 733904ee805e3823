//! How attempts ended.

use grid_core::ids::{JobId, StageName, WorkerId};
use grid_core::reason::{Failure, Reason};
use grid_core::wire::{ItemFailure, Manifest, OutputFile, Outputs, Pack};

use crate::check::golden;

fn manifest(outputs: Outputs) -> Manifest {
    Manifest {
        v: 1,
        job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"),
        stage: StageName::new("clean"),
        first: 16,
        count: 3,
        attempt: 1,
        worker: WorkerId::new("w-1"),
        copy: 0,
        started_ms: 1_760_000_000_123,
        busy_us: 45_678,
        bytes_in: 9_000,
        outputs,
        failed: Vec::new(),
        unrun: Vec::new(),
        log: None,
        params: Default::default(),
        reused_from: None,
    }
}

fn text() -> Outputs {
    let stdout = vec![(6, 909_783_072), (0, 0), (5, 2_423_198_064)];
    Outputs { pack: Pack::Text("alpha\nbeta\n".into()), stdout, ..Outputs::default() }
}

fn object(start: u64) -> Outputs {
    let key = "jobs/0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e/clean/data/4f/0000000016.1-9e1c".into();
    let file = |item, name: &str, len| OutputFile { item, name: name.into(), len, crc32: 305_419_896 };
    Outputs {
        pack: Pack::Object { key, start, len: 1_048_600 },
        stdout: vec![(1_048_576, 4_294_967_295), (0, 0), (4, 1)],
        files: vec![file(16, "plots/a.svg", 8), file(18, "b.csv", 12)],
        bundled: false,
    }
}

#[test]
fn a_manifest_that_holds_text() {
    golden!("manifest-text.json").holds(&manifest(text()), &["", "/outputs"]);
}

#[test]
fn a_manifest_that_holds_other_bytes() {
    let pack = Pack::inline(vec![0xff, 0x00, 0xfe]);
    assert!(matches!(pack, Pack::Base64(_)));
    let outputs = Outputs { pack, stdout: vec![(1, 1), (1, 2), (1, 3)], ..Outputs::default() };
    golden!("manifest-base64.json").holds(&manifest(outputs), &["", "/outputs"]);
}

#[test]
fn a_manifest_that_names_an_object() {
    let log = Some("jobs/0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e/clean/logs/0000000016.1-9e1c".into());
    golden!("manifest-object.json")
        .holds(&Manifest { log, ..manifest(object(0)) }, &["", "/outputs", "/outputs/pack/object", "/outputs/files/1"]);
}

#[test]
fn a_manifest_without_outputs() {
    golden!("manifest-empty.json").holds(&manifest(Outputs::default()), &["", "/outputs"]);
}

#[test]
fn a_manifest_of_a_bundle() {
    let outputs = Outputs { stdout: vec![(11, 1_234)], bundled: true, ..text() };
    golden!("manifest-bundled.json").holds(&manifest(outputs), &["", "/outputs"]);
}

#[test]
fn a_manifest_with_failures() {
    let exit = Failure {
        exit: Some(3),
        stderr: "line 7: no such column\n".into(),
        ..Failure::new(Reason::Exit, "exit status 3")
    };
    let signal = Failure { signal: Some(11), ..Failure::new(Reason::Signal, "ended by SIGSEGV") };
    let failed = |first, count, failure| ItemFailure { first, count, bytes_in: 3_000, failure };
    let failed = vec![failed(16, 1, exit), failed(17, 2, signal)];
    golden!("manifest-failed.json")
        .holds(&Manifest { failed, ..manifest(Outputs::default()) }, &["", "/outputs", "/failed/0", "/failed/1"]);
}

#[test]
fn a_failure_of_each_reason() {
    let reasons: Vec<Failure> = Reason::ALL.map(|reason| Failure::new(reason, reason.as_str())).into();
    golden!("failures.json").holds(&reasons, &["/0", "/12"]);
}

#[test]
fn a_manifest_that_gives_items_back() {
    golden!("manifest-unrun.json").holds(&Manifest { unrun: vec![(17, 2)], ..manifest(text()) }, &[""]);
}

#[test]
fn a_manifest_of_reused_results() {
    let reused_from = Some(JobId::new("0198c59f-0000-7000-8000-000000000001"));
    let manifest =
        Manifest { worker: WorkerId::new("manager"), started_ms: 0, busy_us: 0, reused_from, ..manifest(object(512)) };
    golden!("manifest-reused.json").holds(&manifest, &["", "/outputs/pack/object"]);
}

#[test]
fn the_manifest_of_a_copy() {
    golden!("manifest-copy.json").holds(&Manifest { copy: 1, ..manifest(text()) }, &[""]);
}
