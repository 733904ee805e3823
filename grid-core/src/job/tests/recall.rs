//! Jobs that are made again of their manifests and messages.

use std::collections::BTreeMap;

use super::super::*;
use super::world::{World, all, each, name, numbers, stage};
use crate::ids::AttemptKey;
use crate::limits::SHARD_ITEMS;
use crate::reason::Reason;
use crate::wire::{Manifest, TaskMessage};

/// A world of so many items, and a recall of which nothing is recalled yet.
fn begin(items: u32) -> (World, Recall) {
    let world = World::of(vec![stage("a", numbers(items))]);
    let recall = Recall::new(world.job.submission().clone(), &BTreeMap::new());
    (world, recall)
}

/// How an attempt of `count` items ended; `bytes_in` is the input of those that failed.
fn ended(world: &World, key: (u32, u32), count: u32, bytes_in: u64, failed: &[u32]) -> Manifest {
    let key = AttemptKey { first: key.0, attempt: key.1 };
    let run = |item| if failed.contains(&item) { Err(Reason::Exit) } else { Ok(()) };
    let mut manifest = world.execute(&name("a"), key, count, run);
    manifest.failed.iter_mut().for_each(|failed| failed.bytes_in = bytes_in);
    Manifest { bytes_in, ..manifest }
}

fn tell(recall: &mut Recall, manifest: &Manifest) -> Result<(), String> {
    recall.ended(manifest, 0, &mut || 0.5)
}

fn tasks(job: &Job) -> Vec<(u32, u32, u32)> {
    job.out().map(|(_, task)| (task.first, task.count, task.attempt)).collect()
}

#[test]
fn a_job_that_was_redriven_is_recalled_with_what_ran_again() {
    let mut world = World::of(vec![stage("a", numbers(6)), stage("b", each(&["a"])), stage("sum", all(&["b"], None))]);
    world.run(|item| if item == 3 { Err(Reason::Exit) } else { Ok(()) });
    assert_eq!(world.job.state(), JobState::Failed);
    world.redrive(Redrive { params: [("year".to_owned(), "2024".to_owned())].into(), ..Redrive::default() });
    world.run_calmly();
    assert_eq!((world.job.state(), world.ok_counts()), (JobState::Succeeded, vec![6, 6, 1]));
    let recalled = world.recalled(&[]);
    for (ran, recalled) in world.job.stages.iter().zip(&recalled.job.stages) {
        assert_eq!((&ran.outcomes, &ran.committed), (&recalled.outcomes, &recalled.committed));
        assert_eq!((&ran.tallies, &recalled.out), (&recalled.tallies, &Default::default()));
    }
}

#[test]
fn manifests_that_contradict_each_other_are_not_recalled() {
    let (world, mut recall) = begin(4);
    let whole = ended(&world, (0, 1), 4, 0, &[]);
    let part = ended(&world, (2, 1), 1, 0, &[]);
    let outside = ended(&world, (4, 1), 1, 0, &[]);
    tell(&mut recall, &whole).unwrap();
    let twice = tell(&mut recall, &part).unwrap_err();
    assert_eq!(twice, "manifest 0000000002.1 of a: items of it were committed before");
    assert!(tell(&mut recall, &outside).unwrap_err().contains("not all among the 4 planned"));
    assert_eq!(recall.finish(Meta::new("test")).view()[0].ok, 4);
}

#[test]
fn manifests_are_looked_for_in_every_shard_of_what_is_planned() {
    let (_, recall) = begin(SHARD_ITEMS + 1);
    assert_eq!((recall.shards_of(&name("a")), recall.shards_of(&name("other"))), (2, 0));
}

#[test]
fn a_task_does_not_reach_into_another_shard() {
    let (world, mut recall) = begin(2 * SHARD_ITEMS);
    let across = ended(&world, (SHARD_ITEMS - 1, 1), 2, 0, &[]);
    assert!(tell(&mut recall, &across).unwrap_err().contains("reach into another shard"));
    let nothing = ended(&world, (SHARD_ITEMS, 1), 0, 0, &[]);
    assert!(tell(&mut recall, &nothing).unwrap_err().contains("its 0 items"));
    let whole = ended(&world, (SHARD_ITEMS, 1), SHARD_ITEMS, 0, &[]);
    assert_eq!(tell(&mut recall, &whole), Ok(()));
}

/// The same item of two shards fails until it is given up on, and one of them is run again.
#[test]
fn the_input_of_what_was_run_again_is_counted_once() {
    let mut strict = stage("a", numbers(2 * SHARD_ITEMS));
    strict.retry.attempts = 1;
    let world = World::of(vec![strict]);
    let mut recall = Recall::new(world.job.submission().clone(), &BTreeMap::new());
    let item = SHARD_ITEMS + 3;
    for manifest in [
        ended(&world, (3, 1), 2, 30, &[3]),
        ended(&world, (item, 1), 1, 500, &[item]),
        ended(&world, (item, 2), 1, 500, &[]),
    ] {
        tell(&mut recall, &manifest).unwrap();
    }
    let job = recall.finish(Meta::new("test"));
    assert_eq!((job.view()[0].bytes_in, job.dead(&name("a"))), (530, vec![3]));
}

#[test]
fn a_copy_that_committed_was_started() {
    let (world, mut recall) = begin(1);
    let manifest = Manifest { copy: 1, ..ended(&world, (0, 1), 1, 0, &[]) };
    tell(&mut recall, &manifest).unwrap();
    let copies = recall.finish(Meta::new("test")).view()[0].copies;
    assert_eq!(copies, Copies { started: 1, won: 1, lost_us: 0 });
}

#[test]
fn what_a_redrive_has_set_is_recalled_with_the_attempts_that_it_holds_for() {
    let (world, mut recall) = begin(2);
    let params = BTreeMap::from([("rate".to_owned(), "2".to_owned())]);
    let manifest = Manifest { params: params.clone(), ..ended(&world, (1, 2), 1, 0, &[1]) };
    tell(&mut recall, &manifest).unwrap();
    let mut job = recall.finish(Meta::new("test"));
    job.dispatch(60_000, &Tuning::default(), 9);
    let due: Vec<_> =
        job.due().into_iter().map(|message| (message.task.key().to_string(), message.task.params)).collect();
    assert_eq!(due, [("0000000000.1".to_owned(), BTreeMap::new()), ("0000000001.3".to_owned(), params)]);
}

#[test]
fn of_a_task_of_which_items_went_on_by_themselves_the_rest_is_out() {
    let (world, mut recall) = begin(9);
    let whole = ended(&world, (0, 1), 3, 0, &[0, 1, 2]);
    let next = ended(&world, (3, 1), 3, 0, &[3, 4, 5]);
    tell(&mut recall, &whole).unwrap();
    tell(&mut recall, &next).unwrap();
    tell(&mut recall, &ended(&world, (1, 2), 1, 0, &[])).unwrap();
    tell(&mut recall, &ended(&world, (4, 3), 1, 0, &[])).unwrap();
    let late = tell(&mut recall, &ended(&world, (2, 1), 1, 0, &[])).unwrap_err();
    assert_eq!(late, "manifest 0000000002.1 of a: 0000000002.2 has come after it");
    let job = recall.finish(Meta::new("test"));
    assert_eq!(tasks(&job), [(0, 1, 2), (2, 1, 2), (3, 1, 2), (5, 1, 2)]);
    assert_eq!(job.view()[0].ok, 2);
}

#[test]
fn what_a_message_says_was_spent_counts() {
    let mut stubborn = stage("a", numbers(1));
    stubborn.retry.attempts = 4;
    let mut world = World::of(vec![stubborn]);
    world.job.dispatch(0, &Tuning::default(), 9);
    let sent = world.job.due().remove(0).task;
    let mut recall = Recall::new(world.job.submission().clone(), &BTreeMap::new());
    recall.handed_out(&TaskMessage { attempt: 3, failures: 2, memory_factor: 4.0, ..sent }).unwrap();

    let mut job = recall.finish(Meta::new("test"));
    job.apply(&ended(&world, (0, 3), 1, 0, &[0]), 0, &mut || 0.5);
    job.dispatch(60_000, &Tuning::default(), 9);
    let next = job.due().remove(0).task;
    assert_eq!((next.attempt, next.failures, next.memory_factor), (4, 3, 4.0));
    job.apply(&ended(&world, (0, 4), 1, 0, &[0]), 60_000, &mut || 0.5);
    assert_eq!(job.dead(&name("a")), [0]);
}
