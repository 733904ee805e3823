//! The planner as it is, and the reader of slices: every record of every file is in exactly one item.

use std::path::Path;

use futures::TryStreamExt;
use grid_core::ids::JobId;
use grid_core::pipeline::{Pipeline, parse};
use grid_core::submission::{PinnedFile, Submission};
use infra::inputs::{PinOptions, read_slice, resolve};
use infra::plan::PlanReader;
use infra::{Grid, memory};

use super::records::{has_bare_return, rows};
use super::{Choices, now};

const RULES: [&str; 7] = [
    "by: bytes, target: 7",
    "by: bytes, target: 64",
    "by: records, count: 1",
    "by: records, count: 3",
    "by: lines, count: 2",
    "by: files, count: 2",
    "by: even, parts: 5",
];

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let format = ["text", "csv"][choices.below(2)];
    let rule = RULES[choices.below(RULES.len())];
    let cut = choices.below(256);
    let (first, second) = choices.rest.split_at(choices.rest.len().min(cut));
    let files = [first, second].map(<[u8]>::to_vec);
    if format == "csv" && rule.contains("lines") {
        return;
    }
    let text = format!(
        "name: f\ninputs: {{a: {{format: {format}}}}}\nstages:\n  s: {{split: {{input: a, {rule}}}, run: cat}}\n"
    );
    let pipeline = parse(&text, "f.yaml").unwrap_or_else(|faults| panic!("{faults}"));
    let items = now(items(pipeline, &files));
    let is_plain = |file: &Vec<u8>| !file.starts_with(b"\xef\xbb\xbf");
    if !files.iter().all(is_plain) {
        return;
    }
    match format {
        "csv" => {
            // A file that ends inside quotes cannot be told from the next one when both are read as one stream.
            let is_open = |file: &Vec<u8>| rows(&[file, &b"\n\"\n"[..]].concat()).len() != rows(file).len() + 1;
            if files.iter().any(|file| has_bare_return(file) || is_open(file)) {
                return;
            }
            let found: Vec<_> = items.iter().flat_map(|item| rows(item)).collect();
            let expected: Vec<_> = files.iter().flat_map(|file| rows(file)).collect();
            assert_eq!(found, expected, "{rule}");
        }
        _ => {
            let found: Vec<_> = items.iter().flat_map(|item| lines(item)).collect();
            let expected: Vec<_> = files.iter().flat_map(|file| lines(file)).collect();
            assert_eq!(found, expected, "{rule}");
        }
    }
}

/// What each item reads.
async fn items(pipeline: Pipeline, files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let grid = memory::grid();
    let pinned = pin(&grid, files).await;
    let mut submission = Submission::new(JobId::new("1"), Default::default(), "/", pipeline);
    submission.inputs.insert("a".into(), pinned.clone());
    let stage = &submission.pipeline.stages[0];
    let planned = job_manager::planner::plan(&grid, &submission, stage, |_| {}).await.expect("a sound plan");
    let counted = job_manager::planner::count(&grid.sources, &submission, stage).await.expect("the same");
    assert_eq!(planned, counted);
    let reader = PlanReader::new(grid.objects.clone());
    let mut items = Vec::new();
    for index in 0..planned.items {
        let slice = reader.slice(&submission.job, &stage.name, index).await.expect("an item of the plan");
        let pieces: Vec<bytes::Bytes> =
            read_slice(&grid.sources, &pinned, &slice).try_collect().await.expect("its bytes");
        items.push(pieces.concat());
    }
    items
}

async fn pin(grid: &Grid, files: &[Vec<u8>]) -> Vec<PinnedFile> {
    for (nth, file) in files.iter().enumerate() {
        grid.objects.put(&format!("in/{nth}"), file.clone().into()).await.expect("a store in memory");
    }
    let files: Vec<_> = (0..files.len()).map(|nth| format!("grid://in/{nth}")).collect();
    let mut pinned =
        resolve(&grid.sources, &files, Path::new("/"), PinOptions::default()).await.expect("they are there");
    // What begins as something compressed does is another target's.
    pinned.iter_mut().for_each(|file| file.compression = grid_core::submission::Compression::None);
    pinned
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
}
