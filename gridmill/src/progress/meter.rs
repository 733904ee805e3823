//! How fast a stage goes, from what was seen of it before. Pure: time comes in as an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_api::{JobStatus, StageStatus};
use grid_core::ids::StageName;

/// How much the rate follows the last seconds: after this time an old rate counts 1/e.
const MEMORY: Duration = Duration::from_secs(8);

/// How fast a stage goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Items that end in a second.
    pub items: f64,
    /// Bytes of their input in a second.
    pub bytes: f64,
    /// Until its last item, as far as that can be said.
    pub left: Option<Duration>,
}

/// Measures every stage of one job.
#[derive(Debug, Default)]
pub struct Meter {
    stages: BTreeMap<StageName, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Duration,
    ended: u64,
    bytes: u64,
    items_rate: f64,
    bytes_rate: f64,
    /// The time that the rates stand for, so that a young rate is not taken for zero.
    weight: f64,
}

/// Items of a stage that will not change any more.
pub fn ended(stage: &StageStatus) -> u64 {
    stage.ok + stage.skipped + stage.dead
}

/// Whether every item of the stage has ended.
pub fn complete(stage: &StageStatus) -> bool {
    stage.planned && ended(stage) >= stage.items
}

impl Meter {
    /// Takes in what is known at `at` (since any fixed time) and tells the pace of every stage, in their order.
    pub fn observe(&mut self, status: &JobStatus, at: Duration) -> Vec<Pace> {
        status.stages.iter().map(|stage| self.stage(stage, at)).collect()
    }

    fn stage(&mut self, stage: &StageStatus, at: Duration) -> Pace {
        let (done, bytes) = (ended(stage), stage.bytes_in);
        let first = Seen { at, ended: done, bytes, items_rate: 0.0, bytes_rate: 0.0, weight: 0.0 };
        let seen = self.stages.entry(stage.name.clone()).or_insert(first);
        let elapsed = at.saturating_sub(seen.at).as_secs_f64();
        if elapsed > 0.0 {
            let keep = (-elapsed / MEMORY.as_secs_f64()).exp();
            let mix = |old: f64, fresh: u64| old * keep + fresh as f64 / elapsed * (1.0 - keep);
            seen.items_rate = mix(seen.items_rate, done.saturating_sub(seen.ended));
            seen.bytes_rate = mix(seen.bytes_rate, bytes.saturating_sub(seen.bytes));
            seen.weight = seen.weight * keep + 1.0 - keep;
            (seen.at, seen.ended, seen.bytes) = (at, done, bytes);
        }
        seen.pace(stage)
    }
}

impl Seen {
    fn pace(&self, stage: &StageStatus) -> Pace {
        if self.weight <= 0.0 {
            return Pace::default();
        }
        let items = self.items_rate / self.weight;
        let waiting = stage.items.saturating_sub(self.ended);
        // A stage that waits for others slows down to nothing, and would seem to need for ever.
        let known = stage.planned && waiting > 0 && items > 0.0 && stage.running > 0;
        let left = known.then(|| Duration::try_from_secs_f64(waiting as f64 / items).ok()).flatten();
        Pace { items, bytes: self.bytes_rate / self.weight, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::{job, stage};

    #[test]
    fn a_steady_stage_shows_its_rate_and_when_it_ends() {
        let mut meter = Meter::default();
        for second in 0..=60 {
            let mut clean = stage("clean", 1_000);
            (clean.ok, clean.bytes_in, clean.running) = (second * 10, second * 2_048, 8);
            let pace = meter.observe(&job(vec![clean]), Duration::from_secs(second))[0];
            if second > 0 {
                assert!((pace.items - 10.0).abs() < 0.001 && (pace.bytes - 2_048.0).abs() < 0.5, "{second}: {pace:?}");
                let left = pace.left.expect("it moves").as_secs_f64();
                assert!((left - (1_000 - second * 10) as f64 / 10.0).abs() < 0.1, "{second}: {left}");
            }
        }
    }

    #[test]
    fn a_stage_that_stands_still_or_is_not_planned_has_no_end_in_sight() {
        let mut meter = Meter::default();
        let mut growing = stage("clean", 10);
        (growing.planned, growing.ok) = (false, 0);
        meter.observe(&job(vec![growing.clone()]), Duration::ZERO);
        growing.ok = 5;
        let pace = meter.observe(&job(vec![growing]), Duration::from_secs(1))[0];
        assert_eq!((pace.items.round(), pace.left), (5.0, None));
        let idle = meter.observe(&job(vec![stage("idle", 10)]), Duration::from_secs(2))[0];
        assert_eq!(idle, Pace::default());
    }

    #[test]
    fn a_stage_that_waits_for_others_has_no_end_in_sight() {
        let mut meter = Meter::default();
        let mut each = stage("each", 1_000);
        each.running = 4;
        meter.observe(&job(vec![each.clone()]), Duration::ZERO);
        each.ok = 10;
        let second = |meter: &mut Meter, each: &StageStatus, n| {
            meter.observe(&job(vec![each.clone()]), Duration::from_secs(n))[0]
        };
        assert_eq!(second(&mut meter, &each, 1).left.map(|left| left.as_secs()), Some(99));
        each.running = 0;
        assert_eq!(second(&mut meter, &each, 60).left, None);
    }

    #[test]
    fn work_that_was_done_before_this_run_is_not_taken_for_speed() {
        let mut meter = Meter::default();
        let mut resumed = stage("clean", 1_000);
        resumed.ok = 900;
        meter.observe(&job(vec![resumed.clone()]), Duration::ZERO);
        let pace = meter.observe(&job(vec![resumed]), Duration::from_secs(1))[0];
        assert_eq!(pace.items, 0.0);
    }
}
