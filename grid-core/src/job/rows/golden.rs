//! The rows of version 1, each against its file in `tests/golden/v1`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lifecycle::Ending;
use super::super::meta::{Meta, Redrive};
use super::super::stage::Copies;
use super::super::state::JobState;
use super::*;
use crate::check::golden;
use crate::reason::Reason;
use crate::spending::{Asked, Spending};

fn waiting(first: ItemIndex, until_ms: u64) -> OutTask {
    let spent = Spent { failures: 2, own: 0, deaths: 1, memory_factor: 4.0 };
    OutTask {
        first,
        count: 8,
        attempt: 3,
        spent,
        resends: 1,
        copies: 0,
        is_copy_due: false,
        died: BTreeSet::from([WorkerId::new("w-1"), WorkerId::new("w-2")]),
        set: Some(2),
        round: 0,
        phase: TaskPhase::Waiting { until_ms },
    }
}

fn out(first: ItemIndex, phase: TaskPhase) -> OutTask {
    OutTask { phase, ..OutTask::due(first, 8, 1) }
}

fn tally() -> Tally {
    Tally {
        bytes_in: 1 << 40,
        bytes_out: 77,
        attempts: 9,
        reused: 2,
        busy_us: 45_678,
        copies: Default::default(),
        failures: BTreeMap::from([(Reason::Exit, 3), (Reason::DiskFull, 1)]),
        spending: Default::default(),
    }
}

/// Two shards: in the first the items are few runs and tasks are out, in the second every other item is committed.
fn book() -> StageBook {
    let mut book = StageBook {
        planned: Planned { items: 16_384, complete: true, bytes: 1 << 41, records: Some(99) },
        pace: Pace { item_secs: Some(0.25) },
        ..StageBook::default()
    };
    book.outcomes.ok.insert_range(0..100);
    book.outcomes.ok.extend((8_192..16_384).step_by(2));
    book.outcomes.skipped.extend([100, 101]);
    book.outcomes.dead.insert(103);
    book.committed.plain.extend([0, 50]);
    book.committed.others.insert(AttemptKey { first: 8_192, attempt: 2 }, 8_192);
    book.tallies.insert(0, tally());
    let phases = [TaskPhase::Due, TaskPhase::Sent { at_ms: 5 }, TaskPhase::Unknown];
    for task in (112..).step_by(8).zip(phases).map(|(first, phase)| out(first, phase)) {
        book.out.insert(task.first, task);
    }
    book.out.insert(104, waiting(104, 1_760_000_000_123));
    book
}

#[test]
fn the_row_of_a_job() {
    let row = Meta::new("year-end-report");
    golden!("state-meta.json").holds(&row, &[""]);
    golden!("state-meta-paused.json").holds(&Meta { state: JobState::Paused, ..row.clone() }, &[""]);
    let cancelled = Meta { state: JobState::Cancelled, owed: Some(Ending::Stop), ..row.clone() };
    golden!("state-meta-owed.json").holds(&cancelled, &[""]);
    let redrive = Redrive {
        filter: Some("reason=oom and key.department!=Sales".parse().unwrap()),
        params: BTreeMap::from([("year".into(), "2024".into())]),
        memory_factor: Some(2.0),
    };
    let sets = vec![BTreeMap::from([("year".into(), "2023".into())])];
    let redriven = Meta { redrive: Some(redrive), sets, ..row.clone() };
    golden!("state-meta-redrive.json").holds(&redriven, &["", "/redrive"]);
    let mut spending = Spending::default();
    spending.ask("S3 PutObject", Asked { requests: 2, extra_units: 0 });
    let left_dead = BTreeMap::from([(StageName::new("clean"), 3)]);
    golden!("state-meta-round.json").holds(&Meta { round: 2, left_dead, spending, ..redriven }, &["", "/redrive"]);
    let states =
        [JobState::Committing, JobState::Succeeded, JobState::Failed, JobState::Cancelled, JobState::Quarantined];
    let ended = |state| Meta { state, message: Some("why".into()), finished_ms: Some(7), ..row.clone() };
    golden!("state-meta-ended.json").holds(&states.map(ended).to_vec(), &["/0"]);
}

#[test]
fn the_row_of_a_stage() {
    let book = book();
    let row = StageRow { v: 1, planned: book.planned, pace: book.pace };
    golden!("state-stage.json").holds(&row, &["", "/planned", "/pace"]);
    let fresh = StageRow { v: 1, planned: Planned::default(), pace: Pace::default() };
    golden!("state-stage-fresh.json").holds(&fresh, &["", "/planned", "/pace"]);
}

#[test]
fn the_rows_of_shards() {
    let book = book();
    golden!("state-shard.json").holds(&book.shard_row(0), &["", "/out/0", "/out/1", "/tally"]);
    golden!("state-shard-bitmap.json").holds(&book.shard_row(1), &["", "/tally"]);
    let mut own = waiting(104, 5);
    own.spent.own = 1;
    golden!("state-shard-own.json").holds(&out_row(&own), &[""]);
    let again = OutTask { round: 2, ..out(112, TaskPhase::Due) };
    golden!("state-shard-round.json").holds(&out_row(&again), &[""]);
    let read = out_task(serde_json::from_str(golden!("state-shard-round.json").text).expect("it was read just now"));
    assert_eq!(read, OutTask { phase: TaskPhase::Unknown, ..again });
}

#[test]
fn the_row_of_a_shard_with_a_copy() {
    let mut book = StageBook::default();
    let copies = Copies { started: 3, won: 1, lost_us: 1_234 };
    book.tallies.insert(0, Tally { copies, ..tally() });
    book.out.insert(112, OutTask { copies: 1, ..out(112, TaskPhase::Unknown) });
    golden!("state-shard-copy.json").holds(&book.shard_row(0), &["", "/out/0", "/tally", "/tally/copies"]);
    let row = serde_json::from_str(golden!("state-shard-copy.json").text).expect("it was read just now");
    let mut read = StageBook::default();
    read.load_shard(0, row).expect("its items are in range");
    assert_eq!((read.out, read.tallies), (book.out, book.tallies));
}

#[test]
fn a_stage_is_what_its_shards_say() {
    let mut read = StageBook::default();
    for (shard, golden) in [(0, golden!("state-shard.json")), (1, golden!("state-shard-bitmap.json"))] {
        let row = serde_json::from_str(golden.text).expect("the test above reads it");
        read.load_shard(shard, row).expect("its items are in range");
    }
    let meant = book();
    assert_eq!((read.outcomes, read.committed, read.tallies), (meant.outcomes, meant.committed, meant.tallies));
    let unknown = [112, 120, 128].map(|first| (first, out(first, TaskPhase::Unknown)));
    let waiting = (104, waiting(104, 1_760_000_000_123));
    assert_eq!(read.out, BTreeMap::from_iter(unknown.into_iter().chain([waiting])));
}

#[test]
fn a_row_of_a_newer_version_is_refused_and_named() {
    let body = serde_json::to_vec(&Meta { v: 2, ..Meta::new("later") }).unwrap();
    let refused = parse::<Meta>(&StoredRow { sort: META.into(), body }).unwrap_err();
    assert_eq!(refused.to_string(), "row META cannot be read: it has version 2, this manager reads up to 1");
}
