//! Every decoder of what is sent or stored: what can be read is written again as it is read, and no number in it makes the
//! reader panic.

use std::collections::BTreeSet;
use std::fmt::Debug;

use grid_core::ids::JobId;
use grid_core::items::plan::{ChunkItems, PlanChunk, PlanSummary};
use grid_core::items::{decode_slices, encode_slices};
use grid_core::job::{Job, META, Meta, StoredRow};
use grid_core::rows::{
    ActiveRow, GroupRow, IdempotencyRow, JobRow, LeaderRow, PipelineRow, PoolRow, SubmissionRow, TokenRow, UploadRow,
    WaitsRow, WorkerRow,
};
use grid_core::submission::Submission;
use grid_core::wire::{MachineOrder, ManagerSign, Manifest, Report, TaskMessage, to_ascii_json};
use infra::outputs::Committed;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Choices;

pub(super) const WORDS: [&str; 12] = [
    "4294967295",
    "18446744073709551615",
    "-1",
    "1e400",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\"base64\"",
    "[0,4294967295]",
];

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = choices.below(13);
    let body = choices.rest;
    match kind {
        0 => again::<TaskMessage>(body, |task| drop((task.key(), task.key().to_string()))),
        1 => again::<Report>(body, |report| {
            if let Report::Heartbeat(beat) = report {
                let _ = (beat.next_within(), beat.interval());
            }
        }),
        2 => manifest(body),
        3 => again::<PlanChunk>(body, slices),
        4 => again::<PlanSummary>(body, |_| {}),
        5 => again::<Submission>(body, |submission| {
            let _ = Job::new(std::sync::Arc::new(submission.clone())).view();
        }),
        6 => again::<Meta>(body, |_| {}),
        7 => rows(body),
        8 => {
            again::<JobRow>(body, |_| {});
            again::<ActiveRow>(body, |_| {});
            again::<WaitsRow>(body, |_| {});
        }
        9 => {
            again::<LeaderRow>(body, |_| {});
            again::<WorkerRow>(body, |_| {});
            again::<PoolRow>(body, |_| {});
            again::<GroupRow>(body, |_| {});
            again::<MachineOrder>(body, |_| {});
            again::<ManagerSign>(body, |_| {});
        }
        10 => {
            again::<TokenRow>(body, |_| {});
            again::<IdempotencyRow>(body, |_| {});
            again::<SubmissionRow>(body, |_| {});
        }
        11 => {
            again::<UploadRow>(body, |_| {});
            again::<PipelineRow>(body, |_| {});
        }
        _ => {
            again::<grid_api::SubmitJob>(body, |_| {});
            again::<grid_api::CreateUpload>(body, |_| {});
            again::<grid_api::CompleteUpload>(body, |_| {});
            again::<grid_api::CreateToken>(body, |_| {});
            again::<grid_api::Receipt>(body, |_| {});
            again::<grid_api::JobStatus>(body, |_| {});
        }
    }
}

/// What was read is read again from what it is written as.
fn again<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &[u8], look: impl Fn(&T)) {
    let Ok(value) = serde_json::from_slice::<T>(body) else { return };
    look(&value);
    let written = to_ascii_json(&value).expect("what was read can be written");
    assert!(written.is_ascii());
    let read: T = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(read, value, "{written}");
}

/// What a manifest commits lies within its task, once each, and every output within the pack.
fn manifest(body: &[u8]) {
    again::<Manifest>(body, |manifest| {
        let _ = (manifest.key(), manifest.committed());
    });
    let Ok(committed) = Committed::parse("jobs/1/s/done/00/0.1.json", body) else { return };
    let manifest = &committed.manifest;
    let mut seen = BTreeSet::new();
    for (first, count) in committed.items().iter().copied().filter(|(_, count)| *count < 10_000) {
        for item in first..first + count {
            assert!(seen.insert(item), "item {item} is committed twice");
            assert!(item >= manifest.first && item - manifest.first < manifest.count, "item {item} is of another task");
            let pieces = committed.stdout(item).into_iter().chain(committed.files(item).map(|(_, piece)| piece));
            pieces.for_each(|piece| assert!(piece.offset().is_none_or(|at| at.checked_add(piece.len).is_some())));
        }
    }
}

fn slices(chunk: &PlanChunk) {
    let ChunkItems::Slices(runs) = &chunk.items else { return };
    let Ok(slices) = decode_slices(runs) else { return };
    let is_sound =
        |slice: &grid_core::split::Slice| slice.segments.iter().all(|it| it.start.checked_add(it.len).is_some());
    if slices.iter().all(is_sound) {
        assert_eq!(decode_slices(&encode_slices(&slices)).as_ref(), Ok(&slices));
    }
}

/// A job whose rows are what they are: it is loaded, or refused.
fn rows(body: &[u8]) {
    let text = "name: rows\nstages:\n  a: {range: 1..20000, run: x}\n  b: {each: a, run: x}\n  c: {all: b, fan_in: 9, run: x}\n";
    let pipeline = grid_core::pipeline::parse(text, "rows.yaml").unwrap_or_else(|faults| panic!("{faults}"));
    let submission = std::sync::Arc::new(Submission::new(JobId::new("1"), Default::default(), "/", pipeline));
    let mut rows = Vec::new();
    for (nth, line) in body.split(|byte| *byte == b'\n').enumerate().take(6) {
        let sort =
            [META, "STAGE#a", "STAGE#a/SHARD#000000", "STAGE#a/SHARD#000001", "STAGE#b/SHARD#000000", "STAGE#c"][nth];
        if !line.is_empty() {
            rows.push(StoredRow { sort: sort.to_owned(), body: line.to_vec() });
        }
    }
    let Ok(job) = Job::load(submission.clone(), &rows) else { return };
    let _ = (job.view(), job.balance());
}
