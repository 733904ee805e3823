//! How many: the slots that are missing so that every job starts its last task in time, in the order of the queue.
//!
//! Plain numbers: seconds from now, and slots. Where they come from is not known here.

/// The tasks of one stage of one job that wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// How many, at least 0.
    pub tasks: f64,
    /// Slot time of one, with safety, in seconds.
    pub task_secs: f64,
    /// Within so many seconds the last one shall have started; negative: it should have. None: no hurry.
    pub start_within: Option<f64>,
}

/// What there is to do them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supply {
    /// Slots of machines that take tasks.
    pub slots: f64,
    /// Slots of those that are in use.
    pub busy: f64,
    /// Slot-seconds that the running tasks still need.
    pub rest: f64,
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
    /// Slot-seconds that the fleet has within so many seconds from now, what is coming included.
    fn within(&self, secs: f64) -> f64 {
        let coming: f64 = self.coming.iter().map(|(there, slots)| slots * (secs - there).max(0.0)).sum();
        self.slots * secs.max(0.0) + coming
    }

    /// Waiting tasks that will not have started when a machine asked for now comes.
    fn left_after_boot(&self, claims: &[Claim]) -> f64 {
        let mut room = self.within(self.boot) - self.rest.min(self.busy * self.boot);
        let mut left = 0.0;
        for claim in claims {
            let done = (room / claim.task_secs.max(1e-3)).clamp(0.0, claim.tasks);
            room -= done * claim.task_secs;
            left += claim.tasks - done;
        }
        left
    }
}

/// Slots that are missing for claims in the order in which the queue serves them. With `w` the time that a new machine
/// has until claim j must have started, and `S` the time until then:
///
/// ```text
/// work_j = min(rest, slots S) + sum over i up to j of tasks_i w / (floor(w / task_i) + 1)
/// need_j = (work_j - slots S - coming until S) / w          the largest counts
/// ```
///
/// A slot starts whole tasks: `floor(w / task) + 1` of them in a window, so that a task takes `w / (floor(w / task) + 1)`
/// of it, and one that is longer than the window a slot of its own. New machines have no part in the boot time, which
/// is also the test whether they are worth it: what the fleet does before they could start asks for none.
pub fn missing(claims: &[Claim], supply: &Supply) -> Missing {
    let mut most = Missing::default();
    for (place, claim) in claims.iter().enumerate() {
        let Some(start_within) = claim.start_within else { continue };
        // What is late already is done within a boot time after the machine came: sooner would buy machines that
        // boot for longer than they work.
        let window = (start_within - supply.boot).max(supply.boot);
        let until = window + supply.boot;
        let ahead: f64 = claims[..=place].iter().map(|claim| claim.tasks * share(window, claim.task_secs)).sum();
        let work = supply.rest.min(supply.slots * until) + ahead;
        let slots = (work - supply.within(until)) / window;
        if slots > most.slots {
            most = Missing { slots, binding: Some(place) };
        }
    }
    let coming: f64 = supply.coming.iter().map(|(_, slots)| slots).sum();
    let waiting: f64 = claims.iter().map(|claim| claim.tasks).sum();
    let idle = (supply.slots - supply.busy).max(0.0);
    let useful = (waiting - idle - coming).min(supply.left_after_boot(claims)).max(0.0);
    Missing { slots: most.slots.min(useful), ..most }
}

/// What a task takes of a slot's window.
fn share(window: f64, task_secs: f64) -> f64 {
    window / ((window / task_secs.max(1e-3)).floor() + 1.0)
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
        Claim { tasks, task_secs, start_within: Some(start_within) }
    }

    fn slots(claims: &[Claim], supply: &Supply) -> f64 {
        missing(claims, supply).slots
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
    fn what_is_coming_is_counted() {
        let supply = Supply { coming: vec![(75.0, 150.0)], ..nothing() };
        let left = slots(&[claim(5_600.0, 30.0, 900.0)], &supply);
        assert!((left - 50.0).abs() < 1e-9, "{left}");
    }

    #[test]
    fn what_runs_is_counted() {
        let busy = Supply { slots: 40.0, busy: 40.0, rest: 40.0 * 900.0, ..nothing() };
        let idle = Supply { slots: 40.0, ..nothing() };
        let work = [claim(1_000.0, 30.0, 900.0)];
        assert_eq!(slots(&work, &idle), 0.0);
        assert!(slots(&work, &busy) > 35.0);
    }

    #[test]
    fn work_that_the_fleet_ends_before_a_new_machine_comes_asks_for_none() {
        let supply = Supply { slots: 40.0, ..nothing() };
        assert_eq!(slots(&[claim(80.0, 30.0, 0.0)], &supply), 0.0);
        assert!(slots(&[claim(800.0, 30.0, 0.0)], &supply) > 0.0);
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
