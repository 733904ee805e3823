//! What is counted of a job, and whether it adds up.

use super::super::*;
use super::world::{World, files, name, numbers, stage};
use crate::limits::SHARD_ITEMS;
use crate::reason::Reason;
use crate::spending::{Asked, Spending};
use crate::wire::{Manifest, OutputFile};

#[test]
fn every_attempt_is_counted_with_what_it_read_wrote_and_took() {
    let mut world = World::of(vec![stage("a", numbers(8))]);
    world.pace(0.01);
    world.dispatch(1);
    let mut manifest = world.manifest_of(&name("a"), |item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(manifest.count, 2);
    let file = |len: u64| OutputFile { item: 0, name: len.to_string(), len, crc32: 0 };
    (manifest.bytes_in, manifest.failed[0].bytes_in, manifest.busy_us, manifest.copy) = (100, 30, 7, 1);
    (manifest.outputs.stdout, manifest.outputs.files) = (vec![(5, 0), (0, 0)], vec![file(20), file(300)]);
    world.take_in(&manifest);
    let view = &world.job.view()[0];
    assert_eq!((view.bytes_in, view.bytes_out, view.busy_us, view.attempts), (70, 325, 7, 1));
    assert_eq!((view.reused, view.copies.won, view.failures[&Reason::Exit]), (0, 1, 1));

    world.now_ms += 60_000;
    world.dispatch(1);
    let mut again = world.manifest_of(&name("a"), |_| Ok(()));
    (again.bytes_in, again.busy_us, again.outputs.stdout) = (30, 8, vec![(6, 0)]);
    again.reused_from = Some(crate::ids::JobId::new("earlier"));
    world.take_in(&again);
    let view = &world.job.view()[0];
    assert_eq!((view.bytes_in, view.bytes_out, view.busy_us), (100, 331, 15));
    assert_eq!((view.attempts, view.reused, view.copies.won, view.failures[&Reason::Exit]), (1, 1, 1, 1));
}

#[test]
fn the_input_of_an_item_is_counted_once_it_is_given_up_on() {
    let mut strict = stage("a", numbers(1));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict]);
    world.dispatch(1);
    let mut manifest = world.manifest_of(&name("a"), |_| Err(Reason::Exit));
    (manifest.bytes_in, manifest.failed[0].bytes_in) = (30, 30);
    world.take_in(&manifest);
    assert_eq!(world.job.view()[0].bytes_in, 30);
}

#[test]
fn what_is_counted_in_every_shard_adds_up() {
    let mut world = World::of(vec![stage("a", numbers(2 * SHARD_ITEMS))]);
    for shard in 0..2 {
        let tally = world.job.stages[0].tally_mut(shard * SHARD_ITEMS + 1);
        (tally.bytes_in, tally.bytes_out, tally.attempts, tally.reused, tally.busy_us) = (2, 3, 4, 5, 6);
        tally.copies = Copies { started: 9, won: 8, lost_us: 7 };
        tally.failures.insert(Reason::Exit, 10);
    }
    let view = &world.job.view()[0];
    assert_eq!((view.bytes_in, view.bytes_out, view.attempts, view.reused, view.busy_us), (4, 6, 8, 10, 12));
    assert_eq!(view.copies, Copies { started: 18, won: 16, lost_us: 14 });
    assert_eq!(view.failures[&Reason::Exit], 20);
}

#[test]
fn a_job_that_is_done_owes_nobody_an_item() {
    let mut world = World::of(vec![stage("a", numbers(3))]);
    world.dispatch(1);
    world.run_one(&name("a"), |_| Ok(()));
    let owed = "a: 3 items were planned, 1 ended (1 ok, 0 skipped, 0 dead)";
    let states = [
        (JobState::Committing, Some(owed)),
        (JobState::Succeeded, Some(owed)),
        (JobState::Failed, None),
        (JobState::Cancelled, None),
    ];
    for (state, fault) in states {
        world.job.meta.state = state;
        let balance = world.job.balance();
        assert_eq!((balance.faults.first().map(String::as_str), balance.stages[0].not_run), (fault, 2), "{state:?}");
    }
    world.job.meta.state = JobState::Committing;
    world.job.stages[0].planned.items = 1;
    assert_eq!(world.job.balance().faults, Vec::<String>::new());
    world.job.stages[0].planned.complete = false;
    assert_eq!(world.job.balance().faults, ["a: 1 items were planned, 1 ended (1 ok, 0 skipped, 0 dead)"]);
}

#[test]
fn a_stage_that_cuts_an_input_has_read_all_of_it() {
    let mut world = World::of(vec![stage("a", files()), stage("b", numbers(1))]);
    world.job.planned(&name("a"), 2, 100, None, true);
    world.dispatch(3);
    let run = |world: &mut World, bytes_in| {
        world.take_in(&Manifest { bytes_in, ..world.manifest_of(&name("a"), |_| Ok(())) });
    };
    run(&mut world, 60);
    world.job.meta.state = JobState::Failed;
    assert_eq!(world.job.balance().faults, Vec::<String>::new(), "it has not run everything");
    world.job.meta.state = JobState::Running;
    run(&mut world, 39);
    world.job.meta.state = JobState::Failed;
    assert_eq!(world.job.balance().faults, ["a: 100 bytes of input were planned, 99 were read"]);
    world.job.stages[0].tally_mut(0).bytes_in += 1;
    assert_eq!(world.job.balance().faults, Vec::<String>::new());
}

#[test]
fn what_was_asked_of_services_is_noted_in_a_row_that_is_written_anyway() {
    let mut world = World::of(vec![stage("a", numbers(1)), stage("b", numbers(3 * SHARD_ITEMS))]);
    let mut spending = Spending::default();
    spending.ask("S3 GetObject", Asked { requests: 3, extra_units: 0 });
    world.job.stages[1].dirty_shards.insert(2);
    world.job.charge(&spending);
    let rows: Vec<String> =
        world.job.changes().into_iter().map(|change| change.sort).filter(|row| row.contains(SHARD)).collect();
    assert_eq!(rows, [shard_place(&name("b"), 2)]);
    assert_eq!(world.job.spending(), spending);

    world.save();
    world.job.charge_end(&spending);
    assert_eq!(world.job.changes().into_iter().map(|change| change.sort).collect::<Vec<_>>(), [META]);
    world.save();
    world.reload();
    assert_eq!(world.job.spending().requests(), 6);
}
