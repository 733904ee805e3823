//! What is handed out of a job: how much, of what, and when.

use std::collections::BTreeMap;

use super::super::*;
use super::world::{World, all, each, files, name, numbers, stage};
use crate::ids::{AttemptKey, StageItems};
use crate::items::Key;
use crate::limits::{MAX_INLINE_REFS, MAX_STAGED_INPUT_BYTES, SHARD_ITEMS};
use crate::pipeline::Stage;
use crate::reason::Reason;
use crate::wire::{KeySource, TaskInputs};

/// As many items in a task as may be.
const LARGE: Tuning = Tuning {
    target: std::time::Duration::from_secs(3_600),
    least: std::time::Duration::from_secs(3_600),
    max_items: SHARD_ITEMS,
    probes_per_slot: u32::MAX,
    slots: 1,
};

fn out(world: &World, stage: &str) -> Vec<(u32, u32)> {
    world.job.out().filter(|(name, _)| name.to_string() == stage).map(|(_, task)| (task.first, task.count)).collect()
}

/// A stage that cuts an input, planned.
fn cut(items: u32, bytes: u64) -> World {
    let mut world = World::of(vec![stage("a", files())]);
    world.job.planned(&name("a"), items, bytes, None, true);
    world
}

#[test]
fn no_more_is_handed_out_than_there_is_room_for() {
    let mut world = World::of(vec![stage("a", numbers(10))]);
    assert_eq!(world.dispatch(3).len(), 3);
    assert_eq!(world.dispatch(0).len(), 0);
    world.run_one(&name("a"), |_| Err(Reason::Exit));
    world.now_ms += 60_000;
    assert_eq!(world.dispatch(2).len(), 2, "one again, and a new one");
    assert_eq!(out(&world, "a"), [(0, 1), (1, 1), (2, 1), (3, 7)]);
}

/// Nobody knows how long it took, and the others may take hours.
#[test]
fn what_was_given_up_on_says_nothing_of_how_long_items_take() {
    let mut world = World::of(vec![stage("a", numbers(40))]);
    assert_eq!(world.dispatch(1).len(), 1);
    let key = AttemptKey { first: 0, attempt: 1 };
    world.take_in(&world.job.lost_manifest(&name("a"), key, 0, "its workers died").unwrap());
    world.dispatch(2);
    assert_eq!(out(&world, "a"), [(1, 1), (2, 1)]);
}

/// Half of what each of two slots can still get.
#[test]
fn tasks_shrink_towards_the_end_of_a_stage() {
    let mut world = World::of(vec![stage("a", numbers(40))]);
    world.pace(0.01);
    world.dispatch(1);
    world.run_one(&name("a"), |_| Ok(()));
    world.pace(0.01);
    for _ in 0..3 {
        world.dispatch(1);
    }
    world.dispatch(2);
    assert_eq!(out(&world, "a"), [(10, 8), (18, 6), (24, 4), (28, 3), (31, 3)]);
}

#[test]
fn it_is_known_when_the_next_task_may_be_tried_again() {
    let mut world = World::of(vec![stage("a", numbers(3))]);
    world.dispatch(3);
    assert_eq!(world.job.next_wake_ms(), None);
    // They wait for half of the second that the stage says, as the draw has it.
    for (item, now_ms, wake_ms) in [(0, 5_000, 5_500), (1, 4_000, 4_500), (2, 6_000, 4_500)] {
        let key = AttemptKey { first: item, attempt: 1 };
        world.now_ms = now_ms;
        world.take_in(&world.execute(&name("a"), key, 1, |_| Err(Reason::Exit)));
        assert_eq!(world.job.next_wake_ms(), Some(wake_ms));
    }
}

#[test]
fn few_tasks_are_out_before_anything_is_measured() {
    let mut world = World::of(vec![stage("a", numbers(9))]);
    let few = Tuning { probes_per_slot: 2, slots: 2, ..Tuning::default() };
    assert_eq!([9, 9].map(|room| world.job.dispatch(0, &few, room)), [4, 0]);
}

#[test]
fn what_is_offered_is_what_is_due_and_what_is_ready() {
    let mut world = World::of(vec![stage("a", numbers(6)), stage("b", each(&["a"]))]);
    let few = Tuning { probes_per_slot: 1, slots: 4, ..Tuning::default() };
    let offer = |world: &World| world.job.offer(world.now_ms, &few);
    assert_eq!(offer(&world), Some(Ready { tasks: 4, task_secs: None }), "as many as probe");
    world.dispatch(3);
    assert_eq!(offer(&world), Some(Ready { tasks: 1, task_secs: None }));
    world.run_one(&name("a"), |_| Err(Reason::Exit));
    assert_eq!(offer(&world), Some(Ready { tasks: 3, task_secs: Some(0.003) }), "measured; what failed waits");
    world.now_ms += 60_000;
    assert_eq!(offer(&world), Some(Ready { tasks: 4, task_secs: Some(0.003) }), "and is due");
    world.run_one(&name("a"), |_| Ok(()));
    world.job.stages[1].pace.item_secs = Some(1.0);
    assert_eq!(offer(&world), Some(Ready { tasks: 4, task_secs: Some(1.0) }), "of the last stage that has any");
    world.dispatch(9);
    assert_eq!(offer(&world), None, "everything is out");
    world.run_one(&name("b"), |_| Ok(()));
    world.run_one(&name("a"), |_| Ok(()));
    assert!(offer(&world).is_some());
    world.wish(Wish::Pause);
    assert_eq!(offer(&world), None);
}

#[test]
fn what_could_be_handed_out_is_counted_in_tasks() {
    let mut world = cut(100, 100 * MAX_STAGED_INPUT_BYTES / 10);
    assert_eq!(world.job.ready_tasks(0, &LARGE), [100], "nobody knows how long an item takes");
    world.pace(0.001);
    assert_eq!(world.job.ready_tasks(0, &LARGE), [10], "ten items are as much input as is read ahead");
    world.job.dispatch(0, &LARGE, 1);
    assert_eq!((out(&world, "a"), world.job.ready_tasks(0, &LARGE)), (vec![(0, 10)], vec![9]));
    world.send_due();
    world.run_one(&name("a"), |item| if item == 3 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.ready_tasks(0, &LARGE), [9], "what failed waits");
    assert_eq!(world.job.ready_tasks(60_000, &LARGE), [10], "and is due");
    world.wish(Wish::Pause);
    assert_eq!(world.job.ready_tasks(60_000, &LARGE), [0]);
}

#[test]
fn a_task_lies_in_one_shard() {
    let mut world = World::of(vec![stage("a", numbers(2 * SHARD_ITEMS + 1))]);
    world.pace(0.001);
    world.job.dispatch(0, &Tuning { max_items: 5_000, ..LARGE }, 10);
    let rest = SHARD_ITEMS - 5_000;
    let second = SHARD_ITEMS + 5_000;
    assert_eq!(
        out(&world, "a"),
        [(0, 5_000), (5_000, rest), (SHARD_ITEMS, 5_000), (second, rest), (2 * SHARD_ITEMS, 1)]
    );
}

/// The root of the combiners is not the first item of its stage, and what reads it begins with the first of its own.
#[test]
fn what_is_made_of_several_stages_is_handed_out_stage_by_stage() {
    let mut world = World::of(vec![
        stage("a", numbers(5)),
        stage("sum", all(&["a"], Some(2))),
        stage("b", each(&["sum", "a"])),
        stage("c", each(&["b"])),
    ]);
    world.pace(0.001);
    for stage in ["a", "sum", "sum", "sum", "b"] {
        world.plan();
        world.job.dispatch(0, &LARGE, 10);
        world.send_due();
        while world.job.out().any(|(out, _)| out.to_string() == stage) && stage != "b" {
            world.run_one(&name(stage), |_| Ok(()));
        }
    }
    assert_eq!(out(&world, "b"), [(0, 1), (1, 5)]);
    world.run_one(&name("b"), |_| Ok(()));
    world.run_one(&name("b"), |_| Ok(()));
    world.job.dispatch(0, &LARGE, 10);
    assert_eq!(out(&world, "c"), [(0, 1), (1, 5)]);
}

#[test]
fn keys_are_those_of_the_stages_that_items_come_from() {
    let world = World::of(vec![
        stage("a", numbers(5)),
        stage("sum", all(&["a"], Some(2))),
        stage("c", numbers(2)),
        stage("b", each(&["sum", "c", "a"])),
        stage("d", each(&["c", "b"])),
    ]);
    let runs: Vec<_> =
        world.job.key_runs(&name("d")).into_iter().map(|(items, keys)| (items.first, items.count, keys)).collect();
    let of = |stage: &str, count| KeySource::Items(StageItems { stage: name(stage), first: 0, count });
    let root = Key(vec![("level".into(), "2".into()), ("part".into(), "0".into())]);
    assert_eq!(runs, [(0, 2, of("c", 2)), (2, 1, KeySource::Given(root)), (3, 2, of("c", 2)), (5, 5, of("a", 5))]);
}

#[test]
fn the_task_of_one_item_names_all_its_inputs() {
    let items = u32::try_from(MAX_INLINE_REFS).unwrap() + 1;
    let mut world = World::of(vec![stage("a", numbers(items)), stage("sum", all(&["a"], None))]);
    for _ in 0..items {
        world.job.stages[0].pace.item_secs = Some(1_000.0);
        world.dispatch(1);
        world.run_one(&name("a"), |_| Ok(()));
    }
    let inputs = world.job.task_of(&name("sum"), 0, 1).unwrap().inputs;
    assert!(matches!(inputs, TaskInputs::Upstream { refs, .. } if refs.len() == items as usize));
    assert_eq!(world.job.task_of(&name("sum"), 1, 1), None, "there is no such item");
}

#[test]
fn combiners_are_named_by_their_place() {
    let mut world =
        World::of(vec![stage("a", numbers(5)), stage("sum", all(&["a"], Some(2))), stage("one", all(&["a"], None))]);
    world.plan();
    let name_of = |stage: &str, item| match world.job.task_of(&name(stage), item, 1).unwrap().keys {
        KeySource::Given(key) => key.name(),
        KeySource::Items(items) => panic!("the key of {items:?} is not its own"),
    };
    let names: Vec<String> = (0..6).map(|item| name_of("sum", item)).collect();
    assert_eq!(names, ["0,0", "0,1", "0,2", "1,0", "1,1", "2,0"]);
    assert_eq!(name_of("one", 0), "all");
}

#[test]
fn what_need_not_run_is_taken_over_by_the_shard_and_apart_from_what_must() {
    let mut world = World::of(vec![stage("a", numbers(10))]);
    world.job.expect_reuse(&name("a"));
    assert_eq!(world.dispatch(10).len(), 0, "nobody has looked yet");
    let items = StageItems { stage: name("a"), first: 0, count: 10 };
    assert_eq!(world.job.to_look_for(), Some(items.clone()));
    let is_reusable: Vec<bool> = (0..10).map(|item| item != 4).collect();
    world.job.looked_for(&items, &is_reusable);
    assert_eq!(world.job.to_look_for(), None);
    world.dispatch(10);
    assert_eq!(out(&world, "a"), [(0, 4), (4, 1), (5, 5)]);
}

#[test]
fn what_is_looked_for_lies_in_one_shard() {
    let mut world = World::of(vec![stage("a", numbers(2 * SHARD_ITEMS + 5))]);
    world.job.expect_reuse(&name("a"));
    world.job.looked_for(&StageItems { stage: name("a"), first: SHARD_ITEMS + 4, count: 1 }, &[]);
    let mut looked = Vec::new();
    while let Some(items) = world.job.to_look_for() {
        looked.push((items.first, items.count));
        world.job.looked_for(&items, &[]);
    }
    let rest = SHARD_ITEMS - 5;
    assert_eq!(looked, [(0, SHARD_ITEMS), (SHARD_ITEMS, 4), (SHARD_ITEMS + 5, rest), (2 * SHARD_ITEMS, 5)]);
}

#[test]
fn what_goes_on_after_an_attempt_goes_on_with_those_of_the_same_past() {
    let mut world = World::of(vec![stage("a", numbers(40))]);
    world.pace(0.01);
    world.dispatch(1);
    assert_eq!(out(&world, "a"), [(0, 10)]);
    let failing = BTreeMap::from([(1, Reason::Drain), (4, Reason::Exit), (5, Reason::Exit), (8, Reason::Exit)]);
    let mut manifest = world.manifest_of(&name("a"), |item| failing.get(&item).map_or(Ok(()), |reason| Err(*reason)));
    manifest.unrun = vec![(2, 2), (9, 1)];
    world.take_in(&manifest);
    assert_eq!(out(&world, "a"), [(1, 3), (4, 2), (8, 1), (9, 1)]);
    let waits: Vec<u32> = world.job.out().map(|(_, task)| task.spent.failures).collect();
    assert_eq!(waits, [0, 1, 1, 0]);
}

#[test]
fn what_a_redrive_has_set_holds_for_every_attempt() {
    let mut strict = stage("a", numbers(2));
    strict.retry.attempts = 2;
    let mut world = World::of(vec![strict]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    let params = BTreeMap::from([("rate".to_owned(), "2".to_owned())]);
    world.redrive(Redrive { params: params.clone(), ..Redrive::default() });
    for _ in 0..2 {
        world.now_ms += 60_000;
        let messages = world.dispatch(2);
        assert_eq!(messages.iter().map(|task| (task.first, &task.params)).collect::<Vec<_>>(), [(1, &params)]);
        world.run_one(&name("a"), |_| Err(Reason::Exit));
    }
}

/// A row was refused, and the job is read again by the same leader.
#[test]
fn what_was_sent_and_what_was_not_is_remembered_within_a_round() {
    let mut world = World::of(vec![stage("a", numbers(3))]);
    world.job.dispatch(0, &Tuning { slots: 9, ..Tuning::default() }, 3);
    world.save();
    world.job.sent(&name("a"), AttemptKey { first: 1, attempt: 1 }, 7);
    world.take_in(&world.manifest_of(&name("a"), |_| Err(Reason::Exit)));
    let phases = |job: &Job| job.out().map(|(_, task)| (task.key(), task.phase)).collect::<Vec<_>>();
    let key = |first| AttemptKey { first, attempt: 1 };
    let submission = world.job.submission().clone();
    let before = std::mem::replace(&mut world.job, Job::new(submission));
    world.reload();
    let unknown = [0, 1, 2].map(|first| (key(first), TaskPhase::Unknown));
    assert_eq!(phases(&world.job), unknown);
    world.job.meta.round = 1;
    world.job.remember(&before);
    assert_eq!(phases(&world.job), unknown, "another round");
    world.job.meta.round = 0;
    world.job.remember(&before);
    let known = [(key(0), TaskPhase::Unknown), (key(1), TaskPhase::Sent { at_ms: 7 }), (key(2), TaskPhase::Due)];
    assert_eq!(phases(&world.job), known, "attempt 2 of item 0 was in no row");
}

/// The row was refused that says that the stage before is done, and the one of the stage that it opened was not.
#[test]
fn what_was_handed_out_in_a_later_round_waits_until_the_rows_say_that_its_stage_is_open() {
    let mut first = stage("a", numbers(1));
    first.retry.attempts = 1;
    let second = Stage { after: vec![name("a")], ..stage("b", numbers(2)) };
    let mut world = World::of(vec![first, second]);
    world.run(|_| Err(Reason::Exit));
    world.redrive(Redrive::default());
    world.dispatch(1);
    let news = world.run_one(&name("a"), |_| Ok(()));
    world.job.dispatch(world.now_ms, &Tuning { slots: 2, ..Tuning::default() }, 2);
    assert_eq!(world.job.due().len(), 2);
    world.save_only("STAGE#b");
    world.reload();
    for first in 0..2 {
        world.job.not_found(&name("b"), AttemptKey { first, attempt: 1 });
    }
    assert_eq!(world.job.due(), []);
    world.take_in(&news);
    assert_eq!(world.job.due().len(), 2);
}
