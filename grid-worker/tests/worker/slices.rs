//! Items that read slices of the job's input.

use grid_core::ids::StageName;
use grid_core::items::encode_slices;
use grid_core::items::plan::{ChunkItems, PlanChunk};
use grid_core::layout;
use grid_core::pipeline::{Format, InputAs, ItemSource, Per, Split, SplitBy, Stage};
use grid_core::reason::Reason;
use grid_core::split::{Segment, Slice};
use grid_core::wire::{Outputs, Pack};

use crate::scripted::{Scripted, writes};
use crate::yard::{Yard, completion, job, stage, task};

const HEADER: &str = "name\n";
const ROWS: [&str; 3] = ["ann\n", "bob\n", "clementine\n"];

fn split() -> Stage {
    let by = SplitBy::Lines { count: 1 };
    stage("cut", ItemSource::Split(Split { input: "people".into(), by }))
}

/// A yard whose input `people` has the header and the rows, cut into a slice a row.
async fn cut(stage: Stage) -> Yard {
    let yard =
        Yard::with_input(Scripted::echo(), vec![stage], ("people", Format::Csv), [HEADER, &ROWS.concat()].concat())
            .await;
    let header = Some(Segment { file: 0, start: 0, len: HEADER.len() as u64 });
    let mut start = HEADER.len() as u64;
    let slices = ROWS.iter().zip(0..).map(|(row, part)| {
        let segment = Segment { file: 0, start, len: row.len() as u64 };
        start += segment.len;
        Slice { segments: vec![segment], header, part, records: Some(1), whole_records: true }
    });
    let slices: Vec<Slice> = slices.collect();
    let chunk = PlanChunk { v: 1, number: 0, items: ChunkItems::Slices(encode_slices(&slices)) };
    yard.put(&layout::plan_chunk(&job(), &StageName::new("cut"), 0), serde_json::to_vec(&chunk).unwrap()).await;
    yard
}

#[tokio::test(start_paused = true)]
async fn an_item_reads_its_header_and_its_slice() {
    let yard = cut(split()).await;
    yard.send(&task("cut", 1, 2)).await;
    yard.work().await;
    let manifest = yard.manifest("cut", 1, 1).await;
    assert_eq!(manifest.outputs.pack, Pack::Text("name\nbob\nname\nclementine\n".into()));
    assert_eq!(manifest.bytes_in, 15, "the repeated header is not counted");
    assert_eq!(yard.runner.names(), ["people.csv,1", "people.csv,2"]);
    assert_eq!(yard.said().await.completions, [completion("cut", 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_slice_can_be_a_file() {
    let yard = cut(Stage { input_as: InputAs::Files, ..split() }).await;
    yard.send(&task("cut", 0, 1)).await;
    yard.work().await;
    let pack = yard.manifest("cut", 0, 1).await.outputs.pack;
    assert_eq!(pack, Pack::Text("people.csv,0.csv:name\nann\n;".into()));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_changed_fails_its_items_and_is_counted() {
    let yard = cut(split()).await;
    yard.put("people.csv", "something else").await;
    yard.send(&task("cut", 0, 3)).await;
    yard.work().await;
    let manifest = yard.manifest("cut", 0, 1).await;
    let failed: Vec<_> = manifest.failed.iter().map(|f| (f.first, f.bytes_in, f.failure.reason)).collect();
    assert_eq!(failed, [(0, 4, Reason::Input), (1, 4, Reason::Input), (2, 11, Reason::Input)]);
    assert_eq!((manifest.bytes_in, manifest.outputs.pack), (19, Pack::Empty));
    assert!(manifest.failed[0].failure.message.contains("people.csv"), "{}", manifest.failed[0].failure.message);
}

#[tokio::test(start_paused = true)]
async fn a_failed_bundle_is_one_failure_of_all_its_items() {
    let fails = |_, _| crate::scripted::fails(Reason::Exit);
    let mut yard = cut(Stage { per: Per::Bundle, ..split() }).await;
    yard.runner = std::sync::Arc::new(Scripted::new(fails));
    yard.send(&task("cut", 0, 3)).await;
    yard.work().await;
    let manifest = yard.manifest("cut", 0, 1).await;
    let failed: Vec<_> = manifest.failed.iter().map(|f| (f.first, f.count, f.bytes_in)).collect();
    assert_eq!((failed, manifest.bytes_in), (vec![(0, 3, 19)], 19));
    assert_eq!(manifest.outputs, Outputs::default());
}

#[tokio::test(start_paused = true)]
async fn a_bundle_has_one_output_for_all_its_items() {
    let mut yard = cut(Stage { per: Per::Bundle, ..split() }).await;
    yard.runner = std::sync::Arc::new(Scripted::new(|_, _| writes("3 rows")));
    yard.send(&task("cut", 0, 3)).await;
    yard.work().await;
    let manifest = yard.manifest("cut", 0, 1).await;
    let outputs = Outputs {
        pack: Pack::Text("3 rows".into()),
        stdout: vec![(6, crc32fast::hash(b"3 rows"))],
        files: Vec::new(),
        bundled: true,
    };
    assert_eq!(manifest.outputs, outputs);
    assert_eq!((manifest.bytes_in, manifest.committed()), (19, vec![(0, 3)]));
}
