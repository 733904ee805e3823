//! Whole jobs, driven by hand and by chance.

mod budget;
mod chance;
mod copies;
mod dispatch;
mod recall;
mod receipt;
mod world;

use super::*;
use crate::ids::AttemptKey;
use crate::limits::{MAX_SETS, SHARD_ITEMS};
use crate::pipeline::{ItemSource, List, ListItem, OnFailure, RetryRule, RetryThen, RetryWhen, Stage};
use crate::reason::Reason;
use crate::units::Allowance;
use crate::wire::{Manifest, TaskMessage};
use world::{World, all, each, files, group, name, numbers, stage};

#[test]
fn a_job_runs_from_its_first_item_to_a_balanced_receipt() {
    let mut world = World::of(vec![stage("n", numbers(10)), stage("sum", all(&["n"], None))]);
    world.run_calmly();
    assert_eq!(world.job.state(), JobState::Succeeded);
    assert_eq!(world.ok_counts(), [10, 1]);
    assert_eq!(world.job.stages[0].committed.others, Default::default(), "a bit for each task");
    assert_eq!(world.job.balance().faults, Vec::<String>::new());
}

#[test]
fn each_begins_before_its_upstream_stage_has_ended() {
    let mut world = World::of(vec![stage("a", numbers(3)), stage("b", each(&["a"]))]);
    world.dispatch(1);
    world.run_one(&name("a"), |_| Ok(()));
    world.dispatch(1);
    let out: Vec<String> = world.job.out().map(|(stage, task)| format!("{stage}/{}", task.key())).collect();
    assert_eq!(out, ["b/0000000000.1"]);
}

#[test]
fn the_same_manifest_twice_changes_nothing() {
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.dispatch(2);
    let manifest = world.run_one(&name("a"), |_| Ok(()));
    let before = world.job.view();
    assert_eq!(world.job.apply(&manifest, 0, &mut || 0.0), Applied::Stale);
    assert_eq!(world.job.view(), before);
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.dispatch(1);
    let mut manifest = world.manifest_of(&name("a"), |_| Ok(()));
    manifest.unrun = vec![(5, 1)];
    assert!(matches!(world.job.apply(&manifest, 0, &mut || 0.0), Applied::Malformed(_)));
    assert_eq!(world.job.view()[0].ok, 0);
}

#[test]
fn a_manifest_names_items_of_its_task_once_and_in_order() {
    let mut world = World::of(vec![stage("a", numbers(40))]);
    world.pace(0.01);
    world.dispatch(2);
    world.run_one(&name("a"), |_| Ok(()));
    let good = world.manifest_of(&name("a"), |_| Ok(()));
    assert!(good.first > 0 && good.count > 2);
    let (first, end) = (good.first, good.first + good.count);
    let wrong = [(first - 1, 2), (end - 1, 2), (first, good.count + 1), (first, 0), (u32::MAX, 1)];
    for (place, count) in wrong {
        let manifest = Manifest { unrun: vec![(place, count)], ..good.clone() };
        assert!(world.job.check(0, &manifest).is_err(), "{count} from {place}");
    }
    let twice = Manifest { unrun: vec![(first, 2), (first + 1, 1)], ..good.clone() };
    assert!(world.job.check(0, &twice).is_err());
    let other = Manifest { count: good.count - 1, ..good.clone() };
    assert!(world.job.check(0, &other).is_err());
    let right = Manifest { unrun: vec![(first, 1), (end - 1, 1)], ..good };
    assert_eq!(world.job.check(0, &right), Ok(()));
}

#[test]
fn the_manifest_of_an_attempt_that_is_out_would_be_news() {
    let mut world = World::of(vec![stage("a", numbers(1))]);
    let awaits = |world: &World, attempt| world.job.awaits(&name("a"), AttemptKey { first: 0, attempt });
    assert!(!awaits(&world, 1));
    world.dispatch(1);
    assert!(awaits(&world, 1) && !awaits(&world, 2));
    world.job.fail("as the test wants it".into(), 0);
    assert!(!awaits(&world, 1), "it is over");
}

#[test]
fn a_bad_item_is_found_by_halving_and_the_rest_completes() {
    let mut tolerant = stage("a", numbers(100));
    tolerant.skip = Allowance::Items(1);
    tolerant.retry.attempts = 1;
    let mut world = World::of(vec![tolerant, stage("sum", all(&["a"], None))]);
    world.blame_is_known = false;
    world.pace(0.01);
    world.run(|item| if item == 37 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.dead(&name("a")), [37]);
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![99, 1]));
}

#[test]
fn more_dead_letters_than_allowed_fail_the_job_and_block_what_needs_them() {
    let mut strict = stage("a", numbers(4));
    strict.retry.attempts = 2;
    let mut world = World::of(vec![strict, stage("b", each(&["a"])), stage("sum", all(&["a"], None))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.state(), JobState::Failed);
    assert_eq!(world.job.message(), Some("1 of 4 items of a failed"));
    assert_eq!(world.ok_counts(), [3, 3, 0]);
    assert_eq!(world.job.skipped(&name("b")), [1]);
}

#[test]
fn what_reads_nothing_that_failed_goes_on_though_its_stage_has() {
    let mut strict = stage("a", numbers(6));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict, stage("b", group(&["a"]))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Failed, vec![5, 2]));
}

#[test]
fn news_of_a_plan_that_come_late_change_nothing() {
    let mut world = World::of(vec![stage("a", files())]);
    let mut planned = |items, complete| {
        world.job.planned(&name("a"), items, 10 * u64::from(items), None, complete);
        let view = &world.job.view()[0];
        (view.items, view.bytes_planned, view.planned)
    };
    assert_eq!(planned(5, false), (5, 50, false));
    assert_eq!(planned(3, false), (5, 50, false));
    assert_eq!(planned(7, true), (7, 70, true));
    assert_eq!(planned(9, false), (7, 70, true));
}

#[test]
fn a_failed_job_runs_only_its_failed_items_again() {
    let mut strict = stage("a", numbers(4));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict, stage("b", each(&["a"])), stage("sum", all(&["b"], None))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.redrivable(), [(name("a"), 1)]);
    let executed = world.executions;
    world.redrive(Redrive::default());
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![4, 4, 1]));
    assert_eq!(world.executions - executed, 3, "item 1 of a and of b, and the sum");
}

/// Whatever a stage says about the rest when it fails: what was given up on before, and does not run again, stops nothing.
#[test]
fn a_redrive_of_some_failed_items_runs_them_though_the_others_stay_as_they_are() {
    let ends = |on_failure: OnFailure, max_failures: Option<Allowance>| {
        let mut strict = stage("a", numbers(3));
        (strict.retry.attempts, strict.on_failure, strict.max_failures) = (1, on_failure, max_failures);
        let mut world = World::of(vec![strict]);
        let tasks = world.dispatch(3);
        for task in &tasks {
            world.run_one(&task.stage, |item| if item == 0 { Ok(()) } else { Err(Reason::Exit) });
        }
        world.settle();
        assert_eq!((world.job.state(), world.job.dead(&name("a"))), (JobState::Failed, vec![1, 2]));
        world.redrive_of(Redrive::default(), |item| item == 1);
        world.save();
        // Also when somebody else leads by then.
        world.reload();
        world.stopped = false;
        world.run_calmly();
        let left = (world.job.state(), world.ok_counts(), world.job.dead(&name("a")), world.stopped);
        assert_eq!(left, (JobState::Failed, vec![2], vec![2], false), "{on_failure:?}");
        // What fails in the round itself does what the stage says.
        world.redrive(Redrive::default());
        world.run(|_| Err(Reason::Exit));
        (world.job.state(), world.stopped)
    };
    for on_failure in [OnFailure::Continue, OnFailure::Drain, OnFailure::Cancel] {
        assert_eq!(ends(on_failure, None), (JobState::Failed, on_failure == OnFailure::Cancel));
        assert_eq!(ends(on_failure, Some(Allowance::Items(0))), (JobState::Failed, true));
    }
}

#[test]
fn what_was_left_out_for_want_of_a_failed_item_runs_again_with_it() {
    let mut tolerant = stage("a", numbers(3));
    (tolerant.retry.attempts, tolerant.skip) = (1, Allowance::Items(1));
    let mut world = World::of(vec![tolerant, stage("b", group(&["a"])), stage("c", each(&["b"]))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!((world.job.state(), world.job.skipped(&name("c"))), (JobState::Succeeded, vec![1]));
    assert_eq!(world.job.redrivable(), [(name("a"), 1)]);
    world.redrive(Redrive::default());
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![3, 3, 3]));
}

/// The root is the last item of its stage, and what is made of it is the first of its own.
#[test]
fn what_is_made_of_the_root_of_combiners_runs_again_with_it() {
    let mut sum = stage("sum", all(&["a"], Some(2)));
    sum.retry.attempts = 1;
    let mut world = World::of(vec![stage("a", numbers(5)), sum, stage("b", each(&["sum"]))]);
    let mut is_root = false;
    while !is_root {
        let task = world.dispatch(1).remove(0);
        is_root = (task.stage.to_string(), task.first) == ("sum".to_owned(), 5);
        world.run_one(&task.stage, |_| if is_root { Err(Reason::Exit) } else { Ok(()) });
    }
    world.settle();
    assert_eq!((world.job.state(), world.job.skipped(&name("b"))), (JobState::Failed, vec![0]));
    world.redrive(Redrive::default());
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![5, 6, 1]));
}

#[test]
fn rows_of_what_runs_again_are_written_in_every_shard() {
    let items = SHARD_ITEMS + 1;
    let mut strict = stage("a", numbers(items));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict, stage("b", each(&["a"]))]);
    world.pace(0.001);
    world.run(|item| if item == SHARD_ITEMS { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.skipped(&name("b")), [SHARD_ITEMS]);
    world.save();
    world.redrive(Redrive::default());
    let rows: Vec<String> = world.job.changes().into_iter().map(|change| change.sort).collect();
    assert_eq!(rows, [shard_place(&name("a"), 1), shard_place(&name("b"), 1), META.to_owned()]);
}

#[test]
fn redrives_set_so_many_sets_of_parameters() {
    let set = |value: usize| std::collections::BTreeMap::from([("rate".to_owned(), value.to_string())]);
    let mut job = World::of(vec![stage("a", numbers(1))]).job;
    assert!(!job.has_sets());
    assert_eq!(job.place_of(Default::default()), None);
    for place in 0..MAX_SETS {
        assert!(job.has_room_for(&set(place)));
        assert_eq!(job.place_of(set(place)).map(|place| place as usize), Some(place));
        assert_eq!(job.place_of(set(place / 2)).map(|place| place as usize), Some(place / 2));
    }
    assert!(job.has_sets());
    assert!(!job.has_room_for(&set(MAX_SETS)));
    assert!(job.has_room_for(&set(0)) && job.has_room_for(&Default::default()), "nothing new");
}

#[test]
fn what_runs_again_is_handed_out_by_and_by() {
    let mut strict = stage("a", numbers(9));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict]);
    world.run(|_| Err(Reason::Exit));
    world.redrive(Redrive::default());
    assert_eq!((world.job.handed_out(), world.send_due()), (0, Vec::new()));
    assert_eq!(world.dispatch(2).len(), 2);
    assert_eq!(world.job.handed_out(), 2);
}

/// First the row of `a` is written alone, then that of `b`; whoever reads the job again fulfils the wish once more.
#[test]
fn a_redrive_of_which_only_some_rows_were_written_is_fulfilled_by_the_next() {
    let mut strict = stage("a", numbers(4));
    strict.retry.attempts = 1;
    let mut world = World::of(vec![strict, stage("b", each(&["a"])), stage("c", each(&["b"]))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!((world.job.skipped(&name("b")), world.job.skipped(&name("c"))), (vec![1], vec![1]));
    world.save();
    world.redrive(Redrive::default());
    for written in ["STAGE#a/", "STAGE#b/"] {
        world.save_only(written);
        world.reload();
        assert!(world.job.wished_redrive().is_some());
        world.job.redrive(&Default::default());
    }
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![4, 4, 4]));
}

#[test]
fn what_was_done_without_a_dead_letter_is_not_undone() {
    let mut tolerant = stage("a", numbers(4));
    tolerant.retry.attempts = 1;
    tolerant.skip = Allowance::Items(1);
    let mut world = World::of(vec![tolerant, stage("b", each(&["a"])), stage("sum", all(&["b"], None))]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.state(), JobState::Succeeded);
    assert_eq!(world.job.redrivable(), []);
}

/// Of `b` one item fails and the others are out. When `a`, which it comes after, runs again in part, they go on: they have the room of
/// the leader's window, and `a` would wait for it.
#[test]
fn what_was_out_in_a_round_before_goes_on_though_what_it_comes_after_runs_again() {
    let mut tolerant = stage("a", numbers(4));
    (tolerant.retry.attempts, tolerant.skip) = (1, Allowance::Items(1));
    let mut later = stage("b", numbers(4));
    (later.after, later.retry.attempts, later.on_failure) = (vec![name("a")], 1, OnFailure::Cancel);
    let mut world = World::of(vec![tolerant, later]);
    loop {
        let messages = world.dispatch(4);
        if messages.iter().any(|message| message.stage == name("b")) {
            break;
        }
        for message in messages {
            world.run_one(&message.stage, |item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
        }
    }
    world.run_one(&name("b"), |_| Err(Reason::Exit));
    world.settle();
    assert_eq!(world.job.state(), JobState::Failed);
    let left: Vec<AttemptKey> = world.job.out().map(|(_, task)| task.key()).collect();
    world.redrive(Redrive::default());
    world.save();
    world.reload();
    left.iter().for_each(|key| world.job.not_found(&name("b"), *key));
    let sent: Vec<AttemptKey> = world.send_due().iter().map(|message| message.key()).collect();
    assert_eq!((sent.is_empty(), sent), (false, left));
}

/// The group of items 1 and 4 runs without item 1, and a rule of its own leaves it out.
#[test]
fn what_left_itself_out_without_a_dead_letter_is_not_undone() {
    let mut tolerant = stage("a", numbers(6));
    (tolerant.retry.attempts, tolerant.skip) = (1, Allowance::Items(1));
    let mut choosy = stage("g", group(&["a"]));
    choosy.retry.rules = vec![RetryRule { when: RetryWhen::default(), then: RetryThen::Skip, memory_factor: None }];
    let mut world = World::of(vec![tolerant, choosy]);
    while !world.job.state().is_final() {
        for message in world.dispatch(4) {
            let fails = |item| if item == 1 { Err(Reason::Exit) } else { Ok(()) };
            let manifest = world.execute(&message.stage, message.key(), message.count, fails);
            world.commit(manifest.clone());
            world.take_in(&manifest);
        }
        world.settle();
    }
    assert_eq!((world.job.dead(&name("a")), world.job.skipped(&name("g"))), (vec![1], vec![1]));
    assert_eq!(world.job.redrivable(), []);
}

/// Three groups of one item, the first of which has failed before anybody told which groups there are.
fn world_with_an_empty_group() -> World {
    let mut tolerant = stage("a", numbers(3));
    (tolerant.retry.attempts, tolerant.skip) = (1, Allowance::Items(1));
    let near = stage("c", each(&["b"]));
    let mut world = World::of(vec![tolerant, stage("b", group(&["a"])), near, stage("d", each(&["c"]))]);
    world.hand_out(1);
    world.run_one(&name("a"), |_| Err(Reason::Exit));
    world.save();
    world.plan();
    world
}

fn assert_left_out_to_the_end(mut world: World) {
    for stage in ["b", "c", "d"] {
        assert_eq!(world.job.skipped(&name(stage)), [0], "{stage}");
    }
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![2, 2, 2, 2]));
}

#[test]
fn what_is_far_behind_an_empty_group_is_left_out_though_the_group_came_late() {
    assert_left_out_to_the_end(world_with_an_empty_group());
}

/// The table took the row that says which groups are left out, and not the one that says how many there are.
#[test]
fn what_is_behind_an_empty_group_is_left_out_though_its_plan_was_not_written() {
    let mut world = world_with_an_empty_group();
    world.save_only("STAGE#b/SHARD");
    world.reload();
    world.plan();
    assert_left_out_to_the_end(world);
}

#[test]
fn after_drain_nothing_new_begins() {
    let mut drained = stage("a", numbers(100));
    (drained.retry.attempts, drained.on_failure) = (1, OnFailure::Drain);
    let mut world = World::of(vec![drained]);
    world.run(|item| if item == 0 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.state(), JobState::Failed);
    assert!(world.ok_counts()[0] < 99);
    assert!(world.job.balance().stages[0].not_run > 0);
    assert_eq!(world.job.balance().faults, Vec::<String>::new(), "what was not run is told, and is no fault");
}

#[test]
fn whoever_takes_over_a_job_that_is_to_stop_hands_out_nothing_more_of_it() {
    let mut drained = stage("a", numbers(10));
    (drained.retry.attempts, drained.on_failure) = (1, OnFailure::Drain);
    let mut world = World::of(vec![drained]);
    world.dispatch(2);
    world.run_one(&name("a"), |_| Err(Reason::Exit));
    assert!(world.job.is_failed(&name("a")));
    world.save();
    world.reload();
    assert_eq!(world.dispatch(2), Vec::new());
}

#[test]
fn too_many_failures_stop_the_job_at_once() {
    for most in [Allowance::Percent(2.0), Allowance::Items(2)] {
        for bad in [2, 3] {
            let mut bounded = stage("a", numbers(100));
            (bounded.retry.attempts, bounded.skip, bounded.max_failures) = (1, Allowance::Items(100), Some(most));
            let mut world = World::of(vec![bounded]);
            world.blame_is_known = true;
            world.run(|item| if item < bad { Err(Reason::Exit) } else { Ok(()) });
            let (state, message) = match bad {
                2 => (JobState::Succeeded, None),
                _ => (JobState::Failed, Some("3 of 100 items of a failed")),
            };
            assert_eq!((world.job.state(), world.job.message()), (state, message), "{most:?}");
            assert_eq!(world.stopped, bad == 3, "{most:?}: what runs is told to stop");
        }
    }
}

/// A share of the items is nothing to go by while some of them are not known.
#[test]
fn a_share_of_failures_is_judged_when_all_items_are_known_and_a_number_at_once() {
    let list = ItemSource::List(List::File("items.txt".into()));
    for (allowed, is_over) in [(Allowance::Percent(10.0), false), (Allowance::Items(1), true)] {
        let mut bounded = stage("a", list.clone());
        (bounded.retry.attempts, bounded.skip, bounded.max_failures) = (1, allowed, Some(allowed));
        let mut world = World::of(vec![bounded]);
        world.job.planned(&name("a"), 2, 0, None, false);
        for _ in 0..2 {
            world.hand_out(1);
            world.run_one(&name("a"), |_| Err(Reason::Exit));
        }
        assert_eq!((world.job.is_failed(&name("a")), world.job.settle(0).is_some()), (is_over, is_over), "{allowed:?}");
        if !is_over {
            world.job.planned(&name("a"), 20, 0, None, true);
            assert!(!world.job.is_failed(&name("a")), "two of 20 are no more than 10 in 100");
        }
    }
}

#[test]
fn cancelling_races_finishing_and_one_of_them_wins() {
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.dispatch(1);
    world.wish(Wish::Cancel);
    let late = world.manifest_of(&name("a"), |_| Ok(()));
    assert_eq!(world.job.apply(&late, 8, &mut || 0.5), Applied::Stale, "it is kept and not counted");
    assert_eq!((world.job.settle(8), world.job.dispatch(8, &Tuning::default(), 9)), (Some(Ending::Stop), 0));
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.run_calmly();
    assert_eq!(world.job.meta().clone().after(&Wish::Cancel, 7), Err(JobState::Succeeded));
}

#[test]
fn a_paused_job_hands_out_nothing_and_counts_what_still_ends() {
    let mut world = World::of(vec![stage("a", numbers(2)), stage("b", each(&["a"]))]);
    world.dispatch(1);
    world.wish(Wish::Pause);
    world.run_one(&name("a"), |_| Ok(()));
    assert_eq!((world.ok_counts(), world.job.dispatch(0, &Tuning::default(), 9)), (vec![1, 0], 0));
    assert_eq!((world.job.settle(0), world.job.state()), (None, JobState::Paused));
    world.save();
    world.reload();
    assert_eq!(world.job.state(), JobState::Paused);
    world.wish(Wish::Resume);
    world.run_calmly();
    assert_eq!((world.ok_counts(), world.job.state()), (vec![2, 2], JobState::Succeeded));
}

#[test]
fn a_task_that_is_due_in_a_paused_job_waits_and_takes_nobodys_place() {
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.job.dispatch(0, &Tuning::default(), 1);
    assert_eq!((world.job.due().len(), world.job.handed_out()), (1, 1));
    world.wish(Wish::Pause);
    assert_eq!((world.job.due().len(), world.job.handed_out()), (0, 0));
    world.wish(Wish::Resume);
    assert_eq!(world.job.due().len(), 1);
}

#[test]
fn a_job_that_the_grid_cannot_go_on_with_ends_and_says_why() {
    let mut world = World::of(vec![stage("a", numbers(1))]);
    world.job.quarantine("its rows contradict each other".into(), 7);
    let told = |world: &World| (world.job.state(), world.job.message().map(str::to_owned), world.job.finished_ms());
    let why = Some("its rows contradict each other".to_owned());
    assert_eq!(told(&world), (JobState::Quarantined, why.clone(), Some(7)));
    assert_eq!(world.job.owed(), Some(Ending::Stop));
    world.job.quarantine("it has ended".into(), 8);
    assert_eq!(told(&world), (JobState::Quarantined, why, Some(7)));
    let message = Some("its receipt does not add up".to_owned());
    world.job.receipt_written(Ended { state: JobState::Quarantined, message: message.clone(), finished_ms: 9 });
    assert_eq!(told(&world), (JobState::Quarantined, message, Some(9)));
    assert_eq!(world.job.owed(), None);
}

#[test]
fn a_job_that_was_ended_from_outside_owes_its_receipt_until_that_is_written() {
    let mut world = World::of(vec![stage("a", numbers(1))]);
    world.job.fail("its input cannot be read".to_owned(), 0);
    assert_eq!([world.job.settle(1), world.job.settle(2)], [Some(Ending::Stop); 2]);
    world.settle();
    assert_eq!((world.job.settle(3), world.job.state()), (None, JobState::Failed));
}

#[test]
fn after_orders_stages_without_data() {
    let mut second = stage("b", numbers(2));
    second.after = vec![name("a")];
    let mut world = World::of(vec![stage("a", numbers(2)), second]);
    let mut order = Vec::new();
    world.run_watched(|_| Ok(()), |message| order.push(message.stage.to_string()));
    assert_eq!((world.job.state(), order), (JobState::Succeeded, ["a", "a", "b", "b"].map(String::from).to_vec()));
}

/// An item of each has failed, and `a` was done without its own.
#[test]
fn what_runs_again_of_a_stage_waits_for_what_runs_again_of_the_one_before() {
    let mut first = stage("a", numbers(2));
    (first.retry.attempts, first.skip) = (1, Allowance::Items(1));
    let mut second = stage("b", numbers(2));
    (second.after, second.retry.attempts) = (vec![name("a")], 1);
    let mut world = World::of(vec![first, second]);
    world.run(|item| if item == 1 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Failed, vec![1, 1]));
    world.redrive(Redrive::default());
    let tuning = Tuning::default();
    assert_eq!((world.job.ready_tasks(world.now_ms, &tuning), world.job.next_wake_ms()), (vec![1, 0], Some(0)));
    assert_eq!(world.job.offer(world.now_ms, &tuning).map(|ready| ready.tasks), Some(1));
    let stages = |messages: Vec<TaskMessage>| messages.iter().map(|task| task.stage.to_string()).collect::<Vec<_>>();
    assert_eq!(stages(world.dispatch(9)), ["a"]);
    assert_eq!(world.job.next_wake_ms(), None, "nothing can be done before the task has ended");
    world.run_one(&name("a"), |_| Err(Reason::Exit));
    assert_eq!(stages(world.dispatch(9)), ["b"]);
}

/// The row that hands out `b` is written, and that by which `a` is done is not.
#[test]
fn what_comes_after_a_stage_waits_until_the_news_of_its_end_has_come_again() {
    let mut second = stage("b", numbers(1));
    second.after = vec![name("a")];
    let mut world = World::of(vec![stage("a", numbers(1)), second]);
    world.dispatch(1);
    let news = world.run_one(&name("a"), |_| Ok(()));
    world.job.dispatch(world.now_ms, &Tuning::default(), 1);
    world.save_only("STAGE#b/");
    world.reload();
    world.job.resend(&name("b"), AttemptKey { first: 0, attempt: 1 });
    assert_eq!(world.send_due(), Vec::new());
    world.take_in(&news);
    assert_eq!(world.send_due().iter().map(|task| task.stage.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_stage_without_items_is_done_and_an_all_over_it_still_runs() {
    let empty = ItemSource::List(List::Inline(Vec::<ListItem>::new()));
    let mut world = World::of(vec![stage("a", empty), stage("b", each(&["a"])), stage("sum", all(&["b"], None))]);
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![0, 0, 1]));
}

#[test]
fn each_over_two_stages_never_mixes_them_in_a_task() {
    let mut world = World::of(vec![stage("a", numbers(5)), stage("b", numbers(5)), stage("c", each(&["a", "b"]))]);
    world.pace(0.001);
    let mut seen = 0;
    world.run_watched(
        |_| Ok(()),
        |message| {
            if message.stage == name("c") {
                let crate::wire::TaskInputs::Upstream { members, .. } = &message.inputs else { panic!("{message:?}") };
                assert_eq!(members.len(), 1);
                assert_eq!(members[0].count, message.count);
                seen += message.count;
            }
        },
    );
    assert_eq!(seen, 10);
}

#[test]
fn giving_back_costs_no_attempt() {
    let mut once = stage("a", numbers(3));
    once.retry.attempts = 1;
    let mut world = World::of(vec![once]);
    world.pace(0.1);
    world.dispatch(1);
    let mut manifest = world.manifest_of(&name("a"), |_| Ok(()));
    manifest.unrun = vec![(manifest.first, manifest.count)];
    assert_eq!(world.job.apply(&manifest, 0, &mut || 0.0), Applied::Counted);
    world.run_calmly();
    assert_eq!((world.job.state(), world.job.view()[0].dead), (JobState::Succeeded, 0));
}

#[test]
fn rows_keep_their_names() {
    let mut job = World::of(vec![stage("n", numbers(8_193))]).job;
    job.stages[0].dirty_shards.extend([0, 1]);
    let names: Vec<String> = job.changes().into_iter().map(|row| row.sort).collect();
    assert_eq!(names, ["STAGE#n/SHARD#000000", "STAGE#n/SHARD#000001", "STAGE#n", "META"]);
}

/// Of two rows the table took the one by which an item was given up on, and not the one by which what reads it was left out.
#[test]
fn what_follows_from_the_rows_is_written_too() {
    let mut world =
        World::of(vec![Stage { skip: Allowance::Items(1), ..stage("a", numbers(1)) }, stage("b", each(&["a"]))]);
    world.run(|_| Err(Reason::Exit));
    world.save();
    world.rows.remove(&shard_place(&name("b"), 0));
    world.rows.insert(META.into(), serde_json::to_vec(&Meta::new("test")).unwrap());
    world.reload();
    let changes: Vec<String> = world.job.changes().into_iter().map(|row| row.sort).collect();
    assert_eq!(changes, [shard_place(&name("b"), 0)]);
}

/// Rows of shards in which every item has ended say nothing else any more, however late they are written.
#[test]
fn what_has_not_ended_is_written_again_when_the_job_fails() {
    let mut world = World::of(vec![stage("a", numbers(3 * SHARD_ITEMS)), stage("b", each(&["a"]))]);
    world.job.stages[0].outcomes.ok.insert_range(0..SHARD_ITEMS);
    world.job.saved();
    world.job.fail("why".into(), 0);
    let changes: Vec<String> = world.job.changes().into_iter().map(|row| row.sort).collect();
    let shards =
        [("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)].map(|(stage, shard)| shard_place(&name(stage), shard));
    let expected = [&shards[..2], &["STAGE#a".into()], &shards[2..], &["STAGE#b".into(), META.into()]].concat();
    assert_eq!(changes, expected);
}

#[test]
fn items_that_end_change_the_rows_of_their_shards() {
    let mut world = World::of(vec![stage("a", numbers(3 * SHARD_ITEMS))]);
    let mut shards = |first, count| {
        world.job.saved();
        world.job.end_items(0, first, count, bits::Outcome::Ok);
        world.job.stages[0].dirty_shards.iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(shards(0, SHARD_ITEMS), [0]);
    assert_eq!(shards(SHARD_ITEMS + 9, 1), [1]);
    assert_eq!(shards(SHARD_ITEMS + 10, SHARD_ITEMS), [1, 2]);
}

#[test]
fn a_last_shard_that_is_not_full_has_ended_with_its_last_item() {
    let mut world = World::of(vec![stage("a", numbers(SHARD_ITEMS + 2))]);
    world.job.stages[0].outcomes.skipped.insert(5);
    world.job.stages[0].outcomes.dead.insert_range(6..8);
    let mut has_ended = |last| {
        world.job.stages[0].outcomes.ok.insert_range(8..last);
        world.job.stages[0].outcomes.ok.insert_range(0..5);
        (world.job.stages[0].has_ended(0), world.job.stages[0].has_ended(1))
    };
    assert_eq!(
        [SHARD_ITEMS - 1, SHARD_ITEMS, SHARD_ITEMS + 1, SHARD_ITEMS + 2].map(&mut has_ended),
        [(false, false), (true, false), (true, false), (true, true)]
    );
    world.job.stages[0].planned.complete = false;
    assert!(!world.job.stages[0].has_ended(1), "there may be more");
}
