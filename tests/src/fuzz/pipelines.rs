//! Pipeline files: whatever is written there is a pipeline, or faults with their places; and what is a pipeline can be kept,
//! begun and looked at.

use std::sync::Arc;

use grid_core::ids::JobId;
use grid_core::job::{Job, Tuning};
use grid_core::pipeline::{Pipeline, parse};
use grid_core::submission::Submission;

pub(super) const WORDS: [&str; 26] = [
    "name: ",
    "stages:",
    "\n  a: {",
    "range: 1..9",
    "matrix: {x: [1, 2]}",
    "exclude: [{x: 1}]",
    "list: [a, b]",
    "each: a",
    "group: a, by: x",
    "all: a, fan_in: 2",
    "run: ",
    "retry: {attempts: 2}",
    "rules: [{when: {exit: 4}, then: skip}]",
    "skip: {limit: 0.1%}",
    "${{ params.p }}",
    "${{ key.x }}",
    "${{ item }}",
    "params: {p: {type: integer, default: 1}}",
    "resources: {memory: 1GiB}",
    "per: bundle",
    "step 5",
    "after: [a]",
    "&a",
    "*a",
    "18446744073709551615",
    "- ",
];

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pipeline = match parse(text, "fuzz.yaml") {
        Ok(pipeline) => pipeline,
        Err(faults) => {
            assert!(!faults.list().is_empty(), "refused without a word");
            let lines = text.split('\n').count();
            for fault in faults.list() {
                assert!(fault.line >= 1 && fault.line <= lines + 1 && fault.column >= 1, "{fault:?} of {lines} lines");
                assert!(!fault.message.is_empty());
            }
            assert!(!faults.to_string().is_empty());
            return;
        }
    };
    let kept = serde_json::to_string(&pipeline).expect("a pipeline can be kept");
    let read: Pipeline = serde_json::from_str(&kept).unwrap_or_else(|error| panic!("{error}: {kept}"));
    assert_eq!(read, pipeline);
    begin(pipeline);
}

/// A job of it hands out tasks, each of items that there are.
fn begin(pipeline: Pipeline) {
    let Ok(params) = pipeline.resolve_params(&Default::default()) else { return };
    let mut submission = Submission::new(JobId::new("1"), Default::default(), "/", pipeline);
    submission.params = params;
    let mut job = Job::new(Arc::new(submission));
    job.dispatch(1, &Tuning::default(), 50);
    for (key, _) in job.out() {
        let _ = format!("{key:?}");
    }
    let view = job.view();
    assert_eq!(view.len(), job.submission().pipeline.stages.len());
}
