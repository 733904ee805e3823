//! What is kept of items that run.

use grid_core::ids::{JobId, StageName};
use grid_core::wire::{CheckpointEnd, CheckpointEntry, CheckpointHead};

use crate::check::golden;

#[test]
fn the_head_of_a_checkpoint() {
    let job = JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e");
    let head = CheckpointHead { v: 1, job, stage: StageName::new("train"), item: 16, attempt: 2 };
    golden!("checkpoint-head.json").holds(&head, &[""]);
}

#[test]
fn the_entries_of_a_checkpoint() {
    let entries = vec![
        CheckpointEntry::Folder { path: "steps".into() },
        CheckpointEntry::File { path: "steps/10.bin".into(), len: 4_096, executable: false },
        CheckpointEntry::File { path: "steps/resume".into(), len: 12, executable: true },
        CheckpointEntry::Link { path: "latest".into(), target: "steps/10.bin".into() },
        CheckpointEntry::End(CheckpointEnd { entries: 4, crc32: 305_419_896 }),
    ];
    golden!("checkpoint-entries.json").holds(&entries, &["/0/folder", "/1/file", "/3/link", "/4/end"]);
}
