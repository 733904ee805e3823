//! Faults that seeds have found, each as small as it could be made. They are told in docs/RELIABILITY.md.

use std::collections::BTreeMap;

use gridmill_sim::seeds::run;
use gridmill_sim::tally::Event;
use gridmill_sim::weather::{Climate, Weather};
use gridmill_sim::workload::{Edition, Source, Split, StagePlan, Temper, Workload};
use gridmill_sim::world::{Outcome, Setup};
use infra::queue::QueueFaults;

/// Nothing is violated in the run of a seed of the days when nobody died at a call.
fn holds(seed: u64) {
    holds_in(None, seed);
}

fn holds_in(climate: Option<Climate>, seed: u64) {
    let violations = run(without_deaths_at_calls(Setup::in_climate(climate, seed))).violations;
    assert_eq!(violations, Vec::<String>::new(), "seed {seed} in the climate {climate:?}");
}

/// Nothing is violated in the run of a seed of today.
fn holds_now(seed: u64) {
    assert_eq!(run(Setup::of(seed)).violations, Vec::<String>::new(), "seed {seed}");
}

fn calmly(workload: Workload) -> Outcome {
    run(Setup::calm(workload.seed, workload))
}

fn without_deaths_at_calls(setup: Setup) -> Setup {
    let [tasks, _, reports] = setup.weather.queues;
    let queues = [tasks, QueueFaults::default(), reports];
    Setup { weather: Weather { death_at_call: 0.0, queues, ..setup.weather }, ..setup }
}

/// A seed of the days when rows of several that are written together did not fail singly.
fn as_found(seed: u64) -> Setup {
    let setup = without_deaths_at_calls(Setup::of(seed));
    Setup { weather: Weather { torn_write: 0.0, ..setup.weather }, ..setup }
}

#[test]
fn a_slice_that_kills_its_workers_still_counts_as_read() {
    let stage = StagePlan { skip_limit: 1, ..StagePlan::plain("cut", Source::Split(Split::Lines(1))) };
    let tempers = BTreeMap::from([((0, 1), Temper::Poison)]);
    let outcome = calmly(Workload { tempers, ..Workload::of(1, vec![stage]) });
    assert_eq!(outcome.violations, Vec::<String>::new());
}

/// Two stages have items with the same keys, and a third makes something of each. When its results are taken again, each item
/// takes its own.
#[test]
fn items_of_two_stages_are_not_the_same_though_their_keys_are() {
    let stages = vec![
        StagePlan::plain("left", Source::Range(3)),
        StagePlan::plain("right", Source::Range(3)),
        StagePlan::plain("each", Source::Each(vec![0, 1])),
        StagePlan::plain("pairs", Source::Group(vec![0, 1], "item")),
        StagePlan::plain("last", Source::Each(vec![2])),
    ];
    let workload = Workload::of(1, stages);
    let editions = vec![Edition { changed: Some(4), ..Edition::default() }];
    let outcome = run(Setup { editions, ..Setup::calm(1, workload) });
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.tally.of(Event::Reuse) > 0, "nothing was taken");
}

/// A receipt or a tombstone was written late, after the job was run again, over that of the next round.
#[test]
fn what_is_written_late_of_a_round_does_not_touch_the_next() {
    for seed in [30_120_044_969_070_377, 30_120_044_969_071_443, 30_120_044_969_075_373] {
        assert_eq!(run(as_found(seed)).violations, Vec::<String>::new(), "seed {seed}");
    }
}

/// A round that was stopped takes the messages of its tasks away; that they are sent again in the next is no waste.
#[test]
fn a_task_of_a_stopped_round_is_sent_again_in_the_next() {
    assert_eq!(run(as_found(30_120_023_326_458_542)).violations, Vec::<String>::new());
}

/// An item that wants more memory is in one bundle with an item that always fails. Alone it has its attempts, and gets what it wants.
#[test]
fn an_item_is_not_given_up_on_for_what_its_neighbour_did() {
    assert_eq!(run(as_found(2_754)).violations, Vec::<String>::new());
}

/// What a bundle wrote counts as its first item's. Another job bundles the items in another way, so that what was made of the old
/// bundles is not what is made of the new ones.
#[test]
fn what_was_made_of_other_bundles_is_not_taken() {
    assert_eq!(run(as_found(30_120_234_803_266_061)).violations, Vec::<String>::new());
}

/// `each: [b, c]`, where items of both come from the same items of another stage by different ways: by the first stage that one
/// reads, and by the second that the other reads.
#[test]
fn items_that_come_by_different_ways_from_one_item_are_not_the_same() {
    for seed in [30_120_255_388_912_304, 30_120_255_388_916_188] {
        assert_eq!(run(as_found(seed)).violations, Vec::<String>::new(), "seed {seed}");
    }
}

/// Two items of a bundle fail, each by itself, and go on together. When their workers die they are halved: what each has failed
/// itself is spent.
#[test]
fn an_item_that_is_alone_has_no_more_attempts_than_its_stage_says() {
    assert_eq!(run(as_found(30_120_264_532_495_712)).violations, Vec::<String>::new());
}

/// A worker that stood still for longer than its lease took a message for the first time and, at once, for the second: what it had
/// in hand then was committed by a copy of the message.
#[test]
fn a_message_that_comes_again_to_who_has_it_in_hand_is_looked_up() {
    assert_eq!(run(as_found(30_120_323_638_624_827)).violations, Vec::<String>::new());
}

/// A job that was stopped has as many tasks out as its window is wide, of which nothing is known, and runs again with one that failed.
#[test]
fn what_runs_again_does_not_exceed_the_window() {
    assert_eq!(run(as_found(30_120_333_956_622_805)).violations, Vec::<String>::new());
}

/// Of two rows the table took the one by which a stage is handed out, and not the one by which the stage before it is done.
#[test]
fn a_stage_is_not_sent_again_before_it_is_known_that_the_one_before_is_done() {
    holds(30_120_427_120_498_412);
}

/// Of the rows of a redrive one failed, after those of what runs again, and before those of what reads it.
#[test]
fn what_was_left_out_runs_again_though_the_redrive_was_written_in_two_parts() {
    holds(657);
}

/// A planner was still at work when the job failed: what it found was written into the rows of a round that was over.
#[test]
fn a_plan_that_is_found_after_the_end_changes_nothing() {
    holds(30_120_427_120_493_444);
}

/// An attempt has two messages, since the first was sent and its sender told that it was not. A slow worker executes it, and the other
/// message comes to it again and again until the queue gives that up.
#[test]
fn what_runs_is_not_sent_again_because_a_second_message_of_it_is_given_up() {
    [30_120_450_105_280_280, 30_120_450_105_280_702].into_iter().for_each(holds);
}

/// A round was held for one stage that failed, and the next, as soon as it began, for another: what the next has handed out is not late.
#[test]
fn what_a_round_has_handed_out_is_not_held_against_the_round_before() {
    holds(30_120_510_335_486_386);
}

/// A group ran without what was given up on, and a rule of its own left it out. When what was given up on ran again, so did the group, once
/// more as its first attempt.
#[test]
fn what_left_itself_out_does_not_run_again_as_the_attempt_that_it_was() {
    holds(30_120_520_032_719_507);
}

/// A job was taken off the list of active ones twice, the second time when it ran again and was on the list anew.
#[test]
fn a_job_that_runs_again_stays_on_the_list() {
    holds(30_120_520_032_720_702);
}

/// Tasks of a stage that comes after another were out when their round was stopped. In the next the stage before ran again in part: they
/// waited for it, and it waited for the room in the window that they had.
#[test]
fn what_was_out_in_a_round_before_does_not_wait_for_what_waits_for_its_room() {
    [30_120_530_518_474_831, 30_120_530_518_479_870, 30_120_530_518_482_004].into_iter().for_each(holds);
}

/// A job was paused in its row, and whoever paused it took seven seconds to tell the leader.
#[test]
fn a_wish_that_nobody_was_told_of_yet_binds_nobody() {
    holds(30_120_614_438_112_145);
}

/// Three heartbeats of a worker were not taken by the queue, one after the other: what it had told before made up for what it had in hand.
#[test]
fn nothing_is_sent_again_before_those_that_are_busy_have_told() {
    holds(1_054_815);
}

/// A leader took over while groups had been found and not told. The third item had left its group empty by then: what reads the group was
/// left out, and what reads that was not.
#[test]
fn what_reads_the_readers_of_an_empty_group_is_left_out() {
    holds(1_139_781);
}

/// A leader deleted the report of a round that was over, and it took so long that the next round ran by then.
#[test]
fn what_was_heard_in_a_round_that_was_over_is_deleted_in_the_next() {
    holds(1_334_338);
}

/// Rows that hand out a task were written two seconds after a stage had failed that stops the rest, long after whoever wrote them had given up.
#[test]
fn what_was_handed_out_by_rows_that_came_late_is_sent() {
    holds(1_292_729);
}

/// The first values of a matrix were left out, and not those of another that has only one: what was grouped by them was looked for in other groups.
#[test]
fn values_that_are_left_out_of_one_matrix_are_looked_for_in_no_other_group() {
    holds(1_375_871);
}

/// A task of a round that was over came late, the item had been given a parameter since, and had ended.
#[test]
fn what_comes_late_of_a_round_has_no_parameters_of_a_later_one() {
    holds(1_316_287);
}

/// Items of a stage, and of one that comes after it, were given up on, and ran again at the same time.
#[test]
fn what_runs_again_waits_for_what_runs_again_of_the_stage_before() {
    holds(5_223);
    holds_in(Some(Climate::LateCalls), 885);
}

/// Rows that hand out a task were written in part, or late, as its stage failed: nobody but they knew of it.
#[test]
fn what_was_handed_out_before_it_can_be_known_that_the_rest_is_to_stop_is_sent() {
    [51_000_018, 6_201_751].into_iter().for_each(|seed| holds_in(Some(Climate::TornRows), seed));
}

/// A row that leaves items out was written when its leader had long given it up.
#[test]
fn what_is_written_late_of_a_round_leaves_nothing_out_of_the_next() {
    [1_807_796, 1_235_406, 1_612_127, 1_624_363, 1_813_492, 1_837_482].into_iter().for_each(holds);
}

/// The table had taken the row of a group, and not that of the plan that it is made of, when the job ended.
#[test]
fn what_comes_from_a_plan_that_was_not_written_is_not_counted() {
    [1_189_158, 1_202_390, 1_309_993, 1_747_666].into_iter().for_each(holds);
}

/// A worker gave a task back, which was lost on its way, and was told to go.
#[test]
fn a_worker_is_not_held_to_have_kept_what_it_gave_back() {
    [1_369_739, 1_447_196].into_iter().for_each(holds);
}

/// A client resumed a job within the milliseconds in which its leader told others of a commit and wrote it: the row was refused.
#[test]
fn a_leader_whose_row_was_refused_tells_others_again() {
    holds_now(43_161_441_218_020);
}

/// A job ran again. Of the rows that say that a stage is done, and that the next one has begun, the table took the second alone.
#[test]
fn what_a_refused_row_has_opened_waits_in_a_later_round() {
    holds_now(155_982_398_490_316);
    [61_000_174, 61_003_427, 61_006_517].into_iter().for_each(|seed| holds_in(Some(Climate::TornRows), seed));
}

/// Four and more heartbeats of a worker in a row were refused, and the tasks that were sent with its own had long ended.
#[test]
fn what_a_worker_has_of_which_nothing_is_heard_is_sent_again() {
    [61_007_485, 61_008_678].into_iter().for_each(|seed| holds_in(Some(Climate::Refusals), seed));
}

/// The first items of a stage killed every worker, and the others take minutes.
#[test]
fn what_is_left_of_a_stage_is_not_one_task_since_its_first_items_were_given_up_on() {
    holds_in(Some(Climate::Stragglers), 62_003_386);
}

/// An item failed for the last time after its round had ended, and the write that says so says already that it runs again.
#[test]
fn what_runs_again_when_it_is_known_to_have_failed_has_another_set_of_attempts() {
    holds_now(206_064_058_408_584);
}

/// A job was cancelled while its leader knew, and no row said, what runs again in the round that had just begun.
#[test]
fn what_was_to_run_again_is_read_again_when_somebody_cancels_the_job() {
    holds_now(4_033_959);
}
