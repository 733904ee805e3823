//! How long tasks take, by class, kept across jobs: without it the first minutes of every job are a guess.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::observed::{Demand, Ended};
use super::params::Params;
use crate::ids::ClassName;

/// Tasks that a class's history counts for at most: what a class did long ago fades behind what it does now.
const HISTORY_TASKS: f64 = 100.0;

/// Tasks that the history is worth at most against what the job itself shows.
const PRIOR_TASKS: f64 = 3.0;

/// A guess is worth less than the first result.
const GUESS_TASKS: f64 = 0.5;

/// A class whose tasks differ by more than this many times their mean (standard deviation) tells nothing of the next job.
const TELLING_SPREAD: f64 = 1.5;

/// A running task is expected to take at least this many times its age. Without it, long tasks are invisible until the
/// first of them ends.
const AGE_FACTOR: f64 = 1.5;

/// Classes that are remembered; those used last stay. At about 150 bytes each they fit in one row of the state table.
const MAX_CLASSES: usize = 1_000;

/// The times of all classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    classes: BTreeMap<ClassName, ClassTimes>,
}

/// What is known of a class's tasks. Seconds of slot time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassTimes {
    /// Tasks that this stands for, at most a hundred: what a class did long ago fades.
    pub tasks: f64,
    /// Their mean.
    pub mean: f64,
    /// The mean of their squares.
    pub mean_square: f64,
    /// The longest; it shrinks slowly while shorter ones are seen.
    pub longest: f64,
    /// When it was learned from last, Unix milliseconds.
    pub used_ms: u64,
}

/// What to expect of the tasks of a job that have not started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean slot time, seconds.
    pub mean: f64,
    /// The longest to be expected, seconds.
    pub longest: f64,
    /// Their standard deviation over the mean.
    pub spread: f64,
    /// Whether it rests on tasks that have ended, and that were like each other.
    pub is_measured: bool,
}

impl Times {
    /// What is known of a class.
    pub fn of(&self, class: &ClassName) -> Option<&ClassTimes> {
        self.classes.get(class)
    }

    /// Takes over what was known before, for a class that has not been seen since.
    pub fn remember(&mut self, class: ClassName, times: ClassTimes) {
        self.classes.entry(class).or_insert(times);
    }

    /// Learns from tasks that have succeeded: the difference of two looks at the same counters.
    pub fn learn(&mut self, class: &ClassName, ended: &Ended, now_ms: u64) {
        if ended.ok == 0 {
            return;
        }
        match self.classes.get_mut(class) {
            Some(times) => times.learn(ended, now_ms),
            None => {
                self.classes.insert(class.clone(), ClassTimes::first(ended, now_ms));
                self.forget_oldest();
            }
        }
    }

    /// What to expect of a job's tasks:
    /// `m = (prior + sum of ended + sum over running of max(1.5 age, m)) / (prior tasks + ended + running)`.
    pub fn estimate(&self, demand: &Demand, params: &Params) -> Estimate {
        let history = self.of(&demand.class);
        let ended = &demand.ended;
        let (prior_tasks, prior_mean) = match history {
            Some(times) => (times.credibility(ended), times.mean),
            None => (GUESS_TASKS, params.task.as_secs_f64()),
        };
        let tasks = prior_tasks + ended.ok as f64;
        let oldest = demand.running.iter().max().map_or(0.0, std::time::Duration::as_secs_f64);
        let mean = with_running(prior_tasks * prior_mean + ended.ok_secs, tasks, demand);
        let longest = history.map_or(0.0, |times| times.longest).max(ended.longest_secs).max(oldest).max(mean);
        let is_measured = ended.ok > 0 || history.is_some_and(ClassTimes::is_telling);
        let spread = own_spread(ended).or(history.map(ClassTimes::spread)).unwrap_or(1.0);
        Estimate { mean, longest, spread, is_measured }
    }

    fn forget_oldest(&mut self) {
        while self.classes.len() > MAX_CLASSES {
            let oldest = self.classes.iter().min_by_key(|(_, times)| times.used_ms).map(|(class, _)| class.clone());
            let Some(oldest) = oldest else { return };
            self.classes.remove(&oldest);
        }
    }
}

/// Standard deviation over mean of what has ended of a job, once it is enough.
fn own_spread(ended: &Ended) -> Option<f64> {
    let count = ended.ok as f64;
    let mean = ended.ok_secs / count;
    (ended.ok >= 8 && mean > 0.0).then(|| (ended.ok_secs_squared / count / (mean * mean) - 1.0).max(0.0).sqrt())
}

/// The mean with the running tasks in it: those that are older than expected pull it up, the others are as expected.
fn with_running(sum: f64, tasks: f64, demand: &Demand) -> f64 {
    let mut ages: Vec<f64> = demand.running.iter().map(|age| AGE_FACTOR * age.as_secs_f64()).collect();
    ages.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tasks) = (sum, tasks);
    for age in ages {
        if age <= sum / tasks {
            break;
        }
        sum += age;
        tasks += 1.0;
    }
    sum / tasks
}

impl ClassTimes {
    fn variance(&self) -> f64 {
        (self.mean_square - self.mean * self.mean).max(0.0)
    }

    fn spread(&self) -> f64 {
        self.variance().sqrt() / self.mean.max(1e-3)
    }

    fn is_telling(&self) -> bool {
        self.variance().sqrt() <= TELLING_SPREAD * self.mean
    }

    /// How many tasks of the job this history is worth: the variance within the job over that of the class, as in
    /// Bühlmann's credibility ("Experience rating and credibility", ASTIN Bulletin 4, 1967). Where the tasks of a job are
    /// alike and jobs differ, three results of its own outweigh whatever others did.
    fn credibility(&self, job: &Ended) -> f64 {
        let most = PRIOR_TASKS.min(self.tasks);
        if job.ok < 3 {
            return if self.is_telling() { most } else { GUESS_TASKS };
        }
        let mean = job.ok_secs / job.ok as f64;
        let within = (job.ok_secs_squared / job.ok as f64 - mean * mean).max(0.0);
        let between = self.variance() + (self.mean - mean) * (self.mean - mean);
        if between > 0.0 { (within / between).min(1.0) * most } else { most }
    }

    fn first(ended: &Ended, now_ms: u64) -> Self {
        let ok = ended.ok as f64;
        Self {
            tasks: ok.sqrt(),
            mean: ended.ok_secs / ok,
            mean_square: ended.ok_secs_squared / ok,
            longest: ended.longest_secs,
            used_ms: now_ms,
        }
    }

    fn learn(&mut self, ended: &Ended, now_ms: u64) {
        // Results that end together are mostly of one job, and alike: a thousand of them tell less than a thousand jobs.
        let ok = ended.ok as f64;
        let weight = ok.sqrt();
        let both = self.tasks + weight;
        self.mean = (self.mean * self.tasks + ended.ok_secs / ok * weight) / both;
        self.mean_square = (self.mean_square * self.tasks + ended.ok_secs_squared / ok * weight) / both;
        self.tasks = both.min(HISTORY_TASKS);
        let shrunk = self.longest - (self.longest - self.mean).max(0.0) * (ok / (10.0 * HISTORY_TASKS)).min(1.0);
        self.longest = shrunk.max(ended.longest_secs);
        self.used_ms = now_ms;
    }
}

impl Ended {
    /// What was added since an earlier look. Counters that are lower than before have begun anew.
    pub(super) fn since(&self, before: &Self) -> Self {
        if self.ok < before.ok || self.failed < before.failed {
            return *self;
        }
        Self {
            ok: self.ok - before.ok,
            failed: self.failed - before.failed,
            ok_secs: (self.ok_secs - before.ok_secs).max(0.0),
            ok_secs_squared: (self.ok_secs_squared - before.ok_secs_squared).max(0.0),
            longest_secs: self.longest_secs,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::JobId;

    fn ended(ok: u64, secs: f64) -> Ended {
        let all = ok as f64 * secs;
        Ended { ok, failed: 0, ok_secs: all, ok_secs_squared: all * secs, longest_secs: secs }
    }

    fn demand(running: &[u64], ended: Ended) -> Demand {
        Demand {
            job: JobId::new("j"),
            class: ClassName::new("c"),
            waiting: 1,
            running: running.iter().map(|secs| Duration::from_secs(*secs)).collect(),
            arrived_ms: 0,
            deadline_ms: None,
            ended,
        }
    }

    fn mean(times: &Times, running: &[u64], ended: Ended) -> f64 {
        times.estimate(&demand(running, ended), &Params::default()).mean
    }

    #[test]
    fn a_class_never_seen_is_guessed_and_the_first_results_outweigh_the_guess() {
        let times = Times::default();
        assert_eq!(mean(&times, &[], Ended::default()), 60.0);
        assert_eq!(mean(&times, &[], ended(2, 10.0)), 20.0);
        assert!(!times.estimate(&demand(&[], Ended::default()), &Params::default()).is_measured);
    }

    #[test]
    fn history_is_worth_three_tasks() {
        let mut times = Times::default();
        times.learn(&ClassName::new("c"), &ended(500, 100.0), 7);
        assert_eq!(mean(&times, &[], Ended::default()), 100.0);
        assert_eq!(mean(&times, &[], ended(2, 200.0)), 140.0);
    }

    #[test]
    fn results_that_are_alike_outweigh_a_class_whose_jobs_differ() {
        let mut times = Times::default();
        for secs in [10.0, 400.0, 10.0, 400.0] {
            times.learn(&ClassName::new("c"), &ended(50, secs), 7);
        }
        assert_eq!(mean(&times, &[], ended(3, 10.0)), 10.0);
        assert!(mean(&times, &[], ended(2, 10.0)) > 100.0);
        let jumpy = Ended { ok: 4, failed: 0, ok_secs: 820.0, ok_secs_squared: 320_200.0, longest_secs: 400.0 };
        assert!(mean(&times, &[], jumpy) > 204.0, "they differ as much as the class does");
    }

    #[test]
    fn a_class_of_tasks_that_have_nothing_in_common_tells_nothing() {
        let mut times = Times::default();
        for secs in [1.0, 1.0, 1.0, 1.0, 1.0, 10_000.0] {
            times.learn(&ClassName::new("c"), &ended(4, secs), 7);
        }
        let estimate = times.estimate(&demand(&[], Ended::default()), &Params::default());
        assert!(!estimate.is_measured, "{estimate:?}");
    }

    #[test]
    fn running_tasks_that_are_older_than_expected_raise_the_mean_before_any_has_ended() {
        let mut times = Times::default();
        times.learn(&ClassName::new("c"), &ended(9, 10.0), 7);
        assert_eq!(mean(&times, &[5, 6], Ended::default()), 10.0, "1.5 times their age is below the mean");
        assert_eq!(mean(&times, &[100, 100, 100], Ended::default()), (3.0 * 10.0 + 3.0 * 150.0) / 6.0);
    }

    #[test]
    fn old_news_fade() {
        let mut times = Times::default();
        times.learn(&ClassName::new("c"), &ended(10_000, 10.0), 1);
        for _ in 0..10 {
            times.learn(&ClassName::new("c"), &ended(1_000, 100.0), 2);
        }
        let now = times.of(&ClassName::new("c")).unwrap();
        assert!(now.mean > 80.0 && now.tasks <= HISTORY_TASKS, "{now:?}");
    }

    #[test]
    fn counters_that_fell_have_begun_anew() {
        assert_eq!(ended(5, 1.0).since(&ended(3, 1.0)).ok, 2);
        assert_eq!(ended(2, 1.0).since(&ended(3, 1.0)).ok, 2);
    }

    #[test]
    fn the_classes_that_were_used_longest_ago_are_forgotten_first() {
        let mut times = Times::default();
        for n in 0..=MAX_CLASSES as u64 {
            times.learn(&ClassName::new(format!("c{n}")), &ended(1, 1.0), n);
        }
        assert_eq!(times.classes.len(), MAX_CLASSES);
        assert_eq!(times.of(&ClassName::new("c0")), None);
    }
}
