//! How many: the slots that are missing so that every job starts its last task in time, in the order of the queue.
//!
//! Plain numbers: seconds from now, and slots. Where they come from is not known here.

use super::free::Release;

/// Slots become free later than expected about once in four times by this many standard deviations.
const DOUBT: f64 = 0.7;

/// .. and where they did not become free in time, less is expected of them.
const DOUBT_WHEN_LATE: f64 = 2.0;

/// Tasks are never more alike than this.
const ALIKE_SPREAD: f64 = 0.02;

/// The tasks of one stage of one job that wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// How many, at least 0.
    pub tasks: f64,
    /// Slot time of one, with safety, in seconds.
    pub task_secs: f64,
    /// Their standard deviation over the mean.
    pub spread: f64,
    /// Within so many seconds the last one shall have started; negative: it should have. None: no hurry.
    pub start_within: Option<f64>,
}

impl Claim {
    /// Tasks that a slot starts in a window: one, and one more for each that ends in it.
    ///
    /// These are the renewals of D. R. Cox, "Renewal Theory" (1962), chapters 3 and 4. In a window of x times the mean there are
    /// `x - (1 - v^2) / 2` of them where the spread v has blurred when the last ones end; before, `n` of them with the chance that n
    /// times add up to no more than x, which is about normal with mean n and deviation `v sqrt(n)`. Of spreads above 1, which are
    /// more often between jobs than within one, nothing more is expected than of 1.
    fn starts(&self, window: f64) -> f64 {
        let x = window / self.task_secs.max(1e-3);
        let spread = self.spread.clamp(ALIKE_SPREAD, 1.0);
        if spread * spread * x >= 0.25 {
            return 1.0 + x - (1.0 - spread * spread) / 2.0;
        }
        // Whether one less or two more end is as good as certain.
        let before = x.floor();
        let ends = |n: f64| if n < 1.0 { 1.0 } else { normal((x - n) / (spread * n.sqrt())) };
        1.0 + (before - 1.0 + ends(before) + ends(before + 1.0)).min(x)
    }

    /// The chance that one of its machines, of so many slots and taken so often an hour, goes when it is too late to do what
    /// is lost again.
    pub fn risk(&self, taken_per_hour: f64, slots: f64) -> f64 {
        let spare = self.start_within.map_or(f64::INFINITY, |within| within.max(0.0));
        let machines = (self.tasks / slots).ceil();
        1.0 - (-taken_per_hour / 3_600.0 * machines * (self.task_secs - spare).max(0.0)).exp()
    }
}

/// What there is to do them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supply {
    /// Slots of machines that take tasks, and are not in use.
    pub idle: f64,
    /// Those that are in use.
    pub release: Release,
    /// Machines that are on their way: in how many seconds each is there, and its slots.
    pub coming: Vec<(f64, f64)>,
    /// Seconds until a machine that is asked for now takes its first task.
    pub boot: f64,
}

/// What is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Missing {
    /// Slots, at least 0.
    pub slots: f64,
    /// The place of the claim that asks for the most.
    pub binding: Option<usize>,
}

impl Supply {
    /// Slots that are free at some time within so many seconds, and their slot-seconds, what is coming included; so many
    /// standard deviations fewer than expected of those in use.
    fn within(&self, secs: f64, doubt: f64) -> (f64, f64) {
        let in_time = || self.coming.iter().filter(|(there, _)| *there < secs);
        let coming: f64 = in_time().map(|(_, slots)| slots).sum();
        let coming_secs: f64 = in_time().map(|(there, slots)| slots * (secs - there)).sum();
        // As many as are expected end with a deviation of the root of their number, if each ends by itself.
        let expected = self.release.slots(secs);
        let sure = (1.0 - doubt / expected.max(1e-9).sqrt()).max(0.0);
        let (freed, freed_secs) = (sure * expected, sure * self.release.secs(secs));
        (self.idle + freed + coming, self.idle * secs + freed_secs + coming_secs)
    }

    /// Waiting tasks that will not have started when a machine asked for now comes, and for which none was asked for just now.
    fn left_after_boot(&self, claims: &[Claim], doubt: f64) -> f64 {
        let (mut starts, mut room) = self.within(self.boot, doubt);
        let asked: f64 = self.coming.iter().filter(|(there, _)| *there >= self.boot).map(|(_, slots)| slots).sum();
        let mut left = -asked;
        for claim in claims {
            let first = starts.min(claim.tasks);
            let done = (room / claim.task_secs.max(1e-3)).clamp(0.0, claim.tasks - first);
            starts -= first;
            room -= done * claim.task_secs;
            left += claim.tasks - first - done;
        }
        left
    }
}

/// Slots that are missing for claims in the order in which the queue serves them. With `w` the time that a new machine
/// has until claim j must have started, and `S` the time until then:
///
/// ```text
/// k_i                                                               tasks that a new slot starts in w
/// new_j  = sum over i up to j of tasks_i / k_i                      new slots for all of them
/// one_j  = new_j / sum over i up to j of tasks_i                    of a slot's tasks, the part that one is
/// need_j = new_j - one_j slots(S) - (1 - one_j) slot-seconds(S) / w      the largest counts
/// ```
///
/// where `slots(S)` are idle, come, or are expected to become free until S, and `slot-seconds(S)` the time that they have from then.
/// A slot starts whole tasks, so that one that becomes free just in time starts one more however long that is. New machines
/// have no part in the boot time, which is also the test whether they are worth it: what the fleet does before they
/// could start asks for none.
pub fn missing(claims: &[Claim], supply: &Supply) -> Missing {
    let mut most = Missing::default();
    for (place, claim) in claims.iter().enumerate() {
        let Some(start_within) = claim.start_within else { continue };
        // What is late already is done within a boot time after the machine came: sooner would buy machines that
        // boot for longer than they work.
        let window = (start_within - supply.boot).max(supply.boot);
        let tasks: f64 = claims[..=place].iter().map(|claim| claim.tasks).sum();
        let new: f64 = claims[..=place].iter().map(|claim| claim.tasks / claim.starts(window)).sum();
        if tasks <= 0.0 {
            continue;
        }
        let (free, secs) = supply.within(window + supply.boot, doubt(claim));
        // One start each, and the others by the time that they are free.
        let one = new / tasks;
        let slots = new - one * free - (1.0 - one) * secs / window;
        if slots > most.slots {
            most = Missing { slots, binding: Some(place) };
        }
    }
    let coming: f64 = supply.coming.iter().map(|(_, slots)| slots).sum();
    let waiting: f64 = claims.iter().map(|claim| claim.tasks).sum();
    let doubt = most.binding.and_then(|place| claims.get(place)).map_or(DOUBT, doubt);
    let useful = (waiting - supply.idle - coming).min(supply.left_after_boot(claims, doubt)).max(0.0);
    Missing { slots: most.slots.min(useful), ..most }
}

/// How many standard deviations fewer slots than expected are counted on.
fn doubt(claim: &Claim) -> f64 {
    if claim.start_within.is_some_and(|within| within < 0.0) { DOUBT_WHEN_LATE } else { DOUBT }
}

/// The normal distribution function, within 0.01.
fn normal(deviations: f64) -> f64 {
    1.0 / (1.0 + (-1.702 * deviations).exp())
}

/// The fleet for work without a deadline. Doing `work` slot-seconds with n machines takes `boot + work / (slots n)` and
/// costs `usd (work / slots + n boot)`; the least of `value time + cost` is at `n = sqrt(value work / (usd slots boot))`:
/// four times the work doubles the fleet and doubles the time. At most a quarter of the cost goes into booting.
/// `value_usd` is of an hour saved, `machine_usd` of a machine-hour.
pub fn square_root_fleet(work: f64, slots_each: f64, boot: f64, value_usd: f64, machine_usd: f64) -> f64 {
    if work <= 0.0 {
        return 0.0;
    }
    let fleet = (value_usd * work / (machine_usd.max(1e-9) * slots_each * boot)).sqrt();
    let quarter_boots = work / slots_each / (3.0 * boot);
    fleet.min(quarter_boots).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(tasks: f64, task_secs: f64, start_within: f64) -> Claim {
        Claim { tasks, task_secs, spread: 0.0, start_within: Some(start_within) }
    }

    /// To a thousandth: what ends is never quite certain.
    fn slots(claims: &[Claim], supply: &Supply) -> f64 {
        (missing(claims, supply).slots * 1e3).round() / 1e3
    }

    fn running(tasks: usize, age: f64, mean: f64) -> Release {
        let mut release = Release::default();
        release.add(&vec![age; tasks], 1.0, mean, 0.5);
        release
    }

    fn nothing() -> Supply {
        Supply { boot: 75.0, ..Supply::default() }
    }

    #[test]
    fn new_machines_have_no_part_in_the_boot_time() {
        // 825 s of window hold 28 tasks of 30 s: the last one starts just before the end.
        assert_eq!(slots(&[claim(5_600.0, 30.0, 900.0)], &nothing()), 200.0);
    }

    #[test]
    fn a_task_longer_than_the_window_has_a_slot_of_its_own() {
        assert_eq!(slots(&[claim(10.0, 5_000.0, 900.0)], &nothing()), 10.0);
    }

    #[test]
    fn a_slot_starts_more_tasks_where_some_end_soon() {
        let starts = |spread, window| Claim { spread, ..claim(1.0, 100.0, 0.0) }.starts(window);
        // Tasks that are alike: none ends sooner than the others.
        assert!((starts(0.0, 84.0) - 1.0).abs() < 1e-3 && (starts(0.0, 250.0) - 3.0).abs() < 1e-3);
        // Without a memory they end at a constant rate; spreads above that are of jobs, not of tasks.
        for window in [0.0, 10.0, 84.0, 840.0] {
            assert!((starts(1.0, window) - 1.0 - window / 100.0).abs() < 1e-9, "{window}");
            assert_eq!(starts(1.0, window), starts(2.5, window));
        }
        // For every spread, the means of 60,000 draws of lognormal tasks in these windows.
        let windows = [50.0, 84.0, 150.0, 400.0];
        let lognormal =
            [(0.25, [1.00, 1.28, 2.02, 4.53]), (0.5, [1.11, 1.46, 2.12, 4.62]), (0.8, [1.27, 1.62, 2.30, 4.82])];
        for (spread, drawn) in lognormal {
            for (window, drawn) in windows.into_iter().zip(drawn) {
                let started = starts(spread, window);
                assert!((started / drawn - 1.0).abs() < 0.07, "{spread} {window}: {started}");
            }
        }
    }

    #[test]
    fn what_is_coming_is_counted() {
        let supply = Supply { coming: vec![(75.0, 150.0)], ..nothing() };
        assert_eq!(slots(&[claim(5_600.0, 30.0, 900.0)], &supply), 50.0);
    }

    #[test]
    fn what_runs_is_counted() {
        let busy = Supply { release: running(40, 10.0, 2_000.0), ..nothing() };
        let idle = Supply { idle: 40.0, ..nothing() };
        let work = [claim(1_000.0, 30.0, 900.0)];
        assert_eq!(slots(&work, &idle), 0.0);
        assert!(slots(&work, &busy) > 30.0);
    }

    #[test]
    fn work_that_the_fleet_ends_before_a_new_machine_comes_asks_for_none() {
        let supply = Supply { idle: 40.0, ..nothing() };
        assert_eq!(slots(&[claim(80.0, 30.0, 0.0)], &supply), 0.0);
        assert!(slots(&[claim(800.0, 30.0, 0.0)], &supply) > 0.0);
    }

    #[test]
    fn slots_that_become_free_in_time_start_long_tasks_too() {
        let long = [claim(40.0, 5_000.0, 900.0)];
        let none_ends = Supply { release: running(80, 100.0, 5_000.0), ..nothing() };
        let half_end = Supply { release: running(80, 900.0, 1_500.0), ..nothing() };
        let left = [slots(&long, &none_ends), slots(&long, &half_end)];
        assert!(left[0] > 36.0 && left[1] < 10.0, "{left:?}");
    }

    #[test]
    fn less_is_expected_of_the_others_once_it_is_late() {
        let supply = Supply { release: running(100, 3_000.0, 6_000.0), ..nothing() };
        let left = [slots(&[claim(1.0, 30.0, 100.0)], &supply), slots(&[claim(1.0, 30.0, -10.0)], &supply)];
        assert!(left[0] == 0.0 && left[1] > 0.3, "{left:?}");
    }

    #[test]
    fn the_risk_is_of_what_cannot_be_done_again() {
        let hours = |tasks, hours: f64, within| claim(tasks, 3_600.0 * hours, 3_600.0 * within);
        assert_eq!(hours(1.0, 1.0, 2.0).risk(0.03, 4.0), 0.0, "it may be lost at its very end");
        assert!((hours(4.0, 5.0, 0.0).risk(0.03, 4.0) - (1.0 - (-0.15_f64).exp())).abs() < 1e-12);
        assert!(hours(40.0, 5.0, 0.0).risk(0.03, 4.0) > 0.7);
        assert_eq!(hours(40.0, 5.0, 0.0).risk(0.0, 4.0), 0.0);
        assert_eq!(Claim { start_within: None, ..hours(40.0, 5.0, 0.0) }.risk(0.03, 4.0), 0.0);
    }

    #[test]
    fn never_more_slots_than_waiting_tasks() {
        assert_eq!(slots(&[claim(3.0, 30.0, -1_000.0)], &nothing()), 1.0);
        assert_eq!(slots(&[claim(3.0, 3_000.0, 10.0)], &nothing()), 3.0);
    }

    #[test]
    fn a_job_waits_for_those_ahead_of_it() {
        let patient = claim(10_000.0, 30.0, 100_000.0);
        let urgent = claim(100.0, 30.0, 400.0);
        let behind = missing(&[patient, urgent], &nothing());
        let first = missing(&[urgent, patient], &nothing());
        assert_eq!((behind.binding, first.binding), (Some(1), Some(0)));
        assert!(behind.slots > 10.0 * first.slots, "{behind:?} {first:?}");
    }

    #[test]
    fn four_times_the_work_doubles_the_fleet() {
        let fleet = |work| square_root_fleet(work, 4.0, 75.0, 10.0, 0.17);
        assert!((fleet(4e6) / fleet(1e6) - 2.0).abs() < 1e-9);
        assert_eq!(square_root_fleet(1e6, 4.0, 75.0, 0.0, 0.17), 1.0);
        assert_eq!(fleet(0.0), 0.0);
        assert!((square_root_fleet(3e5, 4.0, 75.0, 1e9, 0.17) - 333.3).abs() < 0.1, "a quarter goes into booting");
    }
}
