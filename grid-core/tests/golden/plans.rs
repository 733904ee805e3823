//! The plan of a stage.

use grid_core::ids::{StageItems, StageName};
use grid_core::items::plan::{ChunkItems, Group, PlanChunk, PlanSummary, RecordCounts, SliceRun};
use grid_core::items::{Key, decode_slices, encode_slices};
use grid_core::pipeline::ListItem;
use grid_core::split::{Segment, Slice};

use crate::check::golden;

fn chunk(items: ChunkItems) -> PlanChunk {
    PlanChunk { v: 1, number: 7, items }
}

fn segment(file: u32, start: u64, len: u64) -> Segment {
    Segment { file, start, len }
}

/// Two files of slices with as many records each, one whose records were not counted, one that spans files, and one
/// file of slices with differing records.
fn slices() -> Vec<Slice> {
    let slice = |file, start, len, part, records| Slice {
        segments: vec![segment(file, start, len)],
        header: Some(segment(file, 0, 20)),
        part,
        records,
        whole_records: true,
    };
    vec![
        slice(0, 20, 4_000, 0, Some(100)),
        slice(0, 4_020, 4_100, 1, Some(100)),
        slice(0, 8_120, 900, 2, Some(23)),
        Slice { header: None, whole_records: false, ..slice(1, 0, 65_536, 0, None) },
        Slice { segments: vec![segment(2, 20, 9), segment(3, 0, 7)], ..slice(2, 20, 9, 3, Some(2)) },
        slice(4, 20, 10, 0, Some(1)),
        slice(4, 30, 10, 1, Some(2)),
        slice(4, 40, 10, 2, Some(1)),
    ]
}

#[test]
fn a_chunk_of_slices() {
    let runs = encode_slices(&slices());
    assert!(matches!(
        runs[..],
        [
            SliceRun::Contiguous { records: Some(RecordCounts::Same(100, 23)), .. },
            SliceRun::Contiguous { records: None, .. },
            SliceRun::Spanning(_),
            SliceRun::Contiguous { records: Some(RecordCounts::Each(_)), .. },
        ]
    ));
    assert_eq!(decode_slices(&runs), Ok(slices()));
    let structs = [
        "",
        "/items/slices/0/contiguous",
        "/items/slices/0/contiguous/header",
        "/items/slices/2/spanning",
        "/items/slices/2/spanning/segments/1",
    ];
    golden!("plan-slices.json").holds(&chunk(ChunkItems::Slices(runs)), &structs);
}

#[test]
fn a_chunk_of_values() {
    let fields = vec![("region".into(), "north".into()), ("year".into(), "2025".into())];
    let values = vec![ListItem::Text("alpha beta".into()), ListItem::Fields(fields)];
    golden!("plan-values.json").holds(&chunk(ChunkItems::Values(values)), &[""]);
}

#[test]
fn a_chunk_of_groups() {
    let member = |stage: &str, first, count| StageItems { stage: StageName::new(stage), first, count };
    let groups = vec![
        Group {
            key: Key(vec![("department".into(), "claims".into())]),
            members: vec![member("clean", 0, 4), member("extra", 9, 1)],
        },
        Group { key: Key(vec![("department".into(), "sales".into())]), members: vec![member("clean", 4, 2)] },
    ];
    let structs = ["", "/items/groups/0", "/items/groups/0/members/1"];
    golden!("plan-groups.json").holds(&chunk(ChunkItems::Groups(groups)), &structs);
}

#[test]
fn a_summary() {
    golden!("plan-summary.json").holds(&PlanSummary { v: 1, items: 20_000, bytes: 1 << 40, records: None }, &[""]);
    let counted = PlanSummary { v: 1, items: 3, bytes: 77, records: Some(12) };
    golden!("plan-summary-counted.json").holds(&counted, &[""]);
}
