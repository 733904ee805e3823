//! What reclaims make of the bound. A clairvoyant loses nothing to them: it takes the machines that stay. Who does not know
//! which those are, and has machines of one kind only, has to do what is lost again.

use crate::trace::{Job, Trace};

/// What no law can be below where all machines are reclaimed alike, whatever it does, but for copies of tasks.
#[derive(Clone, Copy, Debug)]
pub struct Restarts {
    /// Times the work that is done if nothing is lost. A task of m hours at a rate r takes `(exp(r m) - 1) / r` in the mean.
    pub work: f64,
    /// The share of jobs that are late.
    pub late: f64,
}

impl Restarts {
    /// Of a trace, if machines of so many slots are reclaimed so often an hour.
    pub fn of(trace: &Trace, reclaims: f64, slots: f64, drain_target: f64) -> Self {
        let rate = reclaims / 3_600.0;
        let again = |secs: f64| if rate > 0.0 { (rate * secs).exp_m1() / rate } else { secs };
        let tasks = || trace.jobs.iter().flat_map(|job| &job.tasks);
        let work = tasks().map(|secs| again(*secs)).sum::<f64>() / tasks().sum::<f64>();
        let late: f64 = trace.jobs.iter().map(|job| late(job, rate, slots, drain_target)).sum();
        Self { work, late: late / trace.jobs.len() as f64 }
    }
}

/// The chance that one of its tasks is lost when it is too late to do it again, with the tasks side by side on as few machines as
/// they fit on, and all of them begun at once.
fn late(job: &Job, rate: f64, slots: f64, drain_target: f64) -> f64 {
    let within = job.due(drain_target) - job.arrival;
    let mut tasks = job.tasks.clone();
    tasks.sort_unstable_by(|a, b| b.total_cmp(a));
    let exposed: f64 = tasks.chunks(slots as usize).map(|machine| (2.0 * machine[0] - within).max(0.0)).sum();
    1.0 - (-rate * exposed).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_an_hour_at_one_reclaim_an_hour_takes_1_72_hours() {
        let job = Job { arrival: 0.0, tasks: vec![3_600.0; 4], deadline: None, class: String::new(), is_poison: false };
        let restarts = Restarts::of(&Trace::new("t", vec![job]).unwrap(), 1.0, 4.0, 900.0);
        assert!((restarts.work - (1_f64.exp() - 1.0)).abs() < 1e-12, "{restarts:?}");
        // A quarter of the hour may be lost, three quarters not.
        assert!((restarts.late - (1.0 - (-0.75_f64).exp())).abs() < 1e-12, "{restarts:?}");
    }
}
