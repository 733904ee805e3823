//! Copies: another execution of the same attempt, and never an attempt of its own.

use super::*;
use crate::ids::AttemptKey;
use crate::pipeline::Stragglers;
use crate::wire::Manifest;

const FIRST: AttemptKey = AttemptKey { first: 0, attempt: 1 };

/// Two items in a task each, of which the first one gets a copy.
fn copied() -> World {
    let mut world = World::of(vec![stage("a", numbers(2))]);
    world.dispatch(2);
    assert_eq!(world.job.copyable(&name("a"), FIRST), Some(1));
    world.job.copy(&name("a"), FIRST);
    world
}

fn of_copy(world: &World, run: impl FnMut(u32) -> Result<(), Reason>) -> Manifest {
    Manifest { copy: 1, ..world.manifest_of(&name("a"), run) }
}

#[test]
fn a_copy_is_the_message_of_the_same_attempt_with_its_number() {
    let mut world = copied();
    world.save();
    let messages = world.job.due_copies();
    let said: Vec<_> = messages.iter().map(|message| (message.task.key(), message.task.copy)).collect();
    assert_eq!(said, [(FIRST, 1)]);
    assert_eq!(world.job.due(), [], "the attempt itself is not sent again");
    world.job.copy_sent(&name("a"), FIRST);
    assert_eq!((world.job.due_copies(), world.job.copies_out()), (Vec::new(), 1));
    assert_eq!(world.job.copyable(&name("a"), FIRST), None, "no second one");
    world.job.copy(&name("a"), FIRST);
    assert_eq!((world.job.due_copies(), world.job.copies_out()), (Vec::new(), 1), "whoever asks for it");
}

#[test]
fn a_manager_that_takes_over_knows_of_the_copy_and_sends_no_other() {
    let mut world = copied();
    world.save();
    world.reload();
    assert_eq!((world.job.due_copies(), world.job.copies_out()), (Vec::new(), 1));
    assert_eq!(world.job.copyable(&name("a"), FIRST), None);
}

#[test]
fn whichever_ends_first_is_how_the_attempt_ends() {
    let mut world = copied();
    let (won, lost) = (of_copy(&world, |_| Ok(())), world.manifest_of(&name("a"), |_| Err(Reason::Exit)));
    world.take_in(&won);
    world.job.charge_lost(&name("a"), FIRST, 70);
    assert_eq!(world.job.apply(&lost, 0, &mut || 0.5), Applied::Stale);
    let view = &world.job.view()[0];
    assert_eq!((view.ok, view.attempts, view.copies), (1, 1, Copies { started: 1, won: 1, lost_us: 70 }));
    assert_eq!(world.job.copies_out(), 0);
}

#[test]
fn a_copy_that_fails_first_uses_up_the_one_attempt_and_no_other() {
    let mut world = copied();
    let failed = of_copy(&world, |_| Err(Reason::Exit));
    let late = world.manifest_of(&name("a"), |_| Err(Reason::Exit));
    world.take_in(&failed);
    let again: Vec<_> = world.job.out().map(|(_, task)| (task.key(), task.spent.failures, task.copies)).collect();
    let next = AttemptKey { first: 0, attempt: 2 };
    assert_eq!(again, [(next, 1, 0), (AttemptKey { first: 1, attempt: 1 }, 0, 0)]);
    assert_eq!(world.job.apply(&late, 0, &mut || 0.5), Applied::Stale);
    assert_eq!(world.job.view()[0].attempts, 1);
}

#[test]
fn what_is_not_to_be_copied_is_not() {
    let mut waited_for = stage("a", numbers(1));
    waited_for.stragglers = Stragglers::Wait;
    let mut world = World::of(vec![waited_for]);
    world.dispatch(1);
    assert_eq!(world.job.copyable(&name("a"), FIRST), None);

    let mut world = World::of(vec![stage("a", numbers(1))]);
    assert_eq!(world.job.copyable(&name("a"), FIRST), None, "it is not out");
    world.plan();
    world.job.dispatch(0, &Tuning::default(), 1);
    assert_eq!(world.job.copyable(&name("a"), FIRST), None, "it was not sent");
    world.send_due();
    assert_eq!(world.job.copyable(&name("a"), FIRST), Some(1));
    world.save();
    world.job.spent = Some("its budget is spent".into());
    assert_eq!(world.job.copyable(&name("a"), FIRST), None, "a budget that is spent is not spent on copies");
    world.job.spent = None;
    world.wish(Wish::Pause);
    assert_eq!(world.job.copyable(&name("a"), FIRST), None, "a job that is held begins nothing");
}

#[test]
fn the_time_of_executions_that_lost_is_paid() {
    let mut world = copied();
    let won = of_copy(&world, |_| Ok(()));
    world.job.apply(&won, 0, &mut || 0.5);
    let alone = world.job.spent_usd(3_600.0);
    world.job.charge_lost(&name("a"), FIRST, 1_000_000);
    assert!((world.job.spent_usd(3_600.0) - alone - 1.0).abs() < 1e-9);
}
