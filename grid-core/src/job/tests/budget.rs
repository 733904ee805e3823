//! Jobs and what they may cost.

use std::sync::Arc;

use super::super::*;
use super::world::{World, name, numbers, stage};
use crate::pipeline::OnFailure;
use crate::terms::{Budget, OnExceed};

/// At this price an item of a test, which takes a millisecond, costs a dollar.
const PRICE: f64 = 3.6e6;

fn world(items: i64, usd: f64, on_exceed: OnExceed) -> World {
    let mut world = World::of(vec![stage("a", numbers(items))]);
    let pipeline = &mut Arc::make_mut(&mut world.job.submission).pipeline;
    pipeline.terms.budget = Some(Budget { usd, on_exceed });
    world
}

/// Hands out up to `room` items, each a task of its own.
fn hand_out(world: &mut World, room: usize) -> usize {
    world.job.dispatch(world.now_ms, &Tuning { max_items: 1, ..Tuning::default() }, room);
    world.send_due().len()
}

/// Hands out what may be handed out, one task at a time, and runs it, until the job has ended.
fn run(world: &mut World) {
    for _ in 0..100 {
        world.job.keep_to_budget(PRICE, world.now_ms);
        let handed_out = hand_out(world, 1);
        world.settle();
        if world.job.state().is_final() {
            return;
        }
        assert_eq!(handed_out, 1, "it neither goes on nor ends");
        world.run_one(&name("a"), |_| Ok(()));
    }
}

fn ends(items: i64, usd: f64, on_exceed: OnExceed) -> (JobState, u64, bool) {
    let mut world = world(items, usd, on_exceed);
    run(&mut world);
    let is_told = world.job.message().is_some_and(|why| why.starts_with(&format!("its budget of ${usd} is spent")));
    assert!(world.job.balance().faults.is_empty() || world.job.state() != JobState::Succeeded);
    (world.job.state(), world.ok_counts()[0], is_told)
}

#[test]
fn a_job_within_its_budget_is_done_as_if_there_were_none() {
    assert_eq!(ends(5, 6.0, OnExceed::Cancel), (JobState::Succeeded, 5, false));
    assert_eq!(ends(5, 6.0, OnExceed::Finish), (JobState::Succeeded, 5, false));
}

#[test]
fn a_spent_budget_ends_the_job_and_says_so() {
    assert_eq!(ends(9, 4.0, OnExceed::Finish), (JobState::Failed, 4, true));
    assert_eq!(ends(9, 4.0, OnExceed::Cancel), (JobState::Cancelled, 4, true));
}

#[test]
fn a_budget_that_is_spent_by_the_last_item_fails_nothing() {
    assert_eq!(ends(4, 4.0, OnExceed::Finish), (JobState::Succeeded, 4, false));
}

#[test]
fn what_runs_is_let_finish_and_what_it_may_cost_is_held_back() {
    let mut world = world(9, 4.0, OnExceed::Finish);
    world.pace(0.001);
    assert_eq!(hand_out(&mut world, 4), 4);
    assert_eq!((world.job.spent_usd(PRICE), world.job.running_usd(PRICE)), (0.0, 4.0));
    assert!(!world.job.is_spent());
    world.job.keep_to_budget(PRICE, 0);
    assert!(world.job.is_spent());
    assert_eq!((hand_out(&mut world, 1), world.job.offer(0, &Tuning::default())), (0, None));
    world.settle();
    assert_eq!(world.job.state(), JobState::Running, "four run, and may turn out cheaper");
}

#[test]
fn nobody_is_cancelled_for_an_estimate() {
    let mut world = world(9, 4.0, OnExceed::Cancel);
    world.pace(1.0);
    hand_out(&mut world, 1);
    world.job.keep_to_budget(PRICE, 0);
    assert_eq!((world.job.state(), hand_out(&mut world, 1)), (JobState::Running, 0));
    world.run_one(&name("a"), |_| Ok(()));
    world.job.keep_to_budget(PRICE, 0);
    assert_eq!(hand_out(&mut world, 1), 1, "it cost a dollar, not a thousand");
}

#[test]
fn a_failed_stage_is_told_before_a_spent_budget() {
    let mut world = world(9, 1.0, OnExceed::Finish);
    Arc::make_mut(&mut world.job.submission).pipeline.stages[0].on_failure = OnFailure::Drain;
    Arc::make_mut(&mut world.job.submission).pipeline.stages[0].retry.attempts = 1;
    hand_out(&mut world, 1);
    world.run_one(&name("a"), |_| Err(crate::reason::Reason::Exit));
    world.job.keep_to_budget(PRICE, 0);
    world.settle();
    assert_eq!((world.job.state(), world.job.message()), (JobState::Failed, Some("1 of 9 items of a failed")));
}
