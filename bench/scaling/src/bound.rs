//! What a fleet costs that knows everything: no schedule that ends every job in time has fewer machine-hours.
//!
//! The relaxation: machines and tasks are divisible, a machine that is launched costs its boot time once and is ready when
//! it is wanted, a job has at most as many slots as tasks, reclaims never happen. With `r` machines in each step of length
//! `d` and `x` the machines' worth of work of each job in it:
//!
//! ```text
//! least  sum d r_t + boot sum max(0, r_t - r_(t-1))      with r_t >= sum over jobs of x_jt,
//!        sum over t of d x_jt = work_j / slots,  0 <= x_jt <= tasks_j / slots,  only between arrival and deadline
//! ```
//!
//! It is solved by the primal-dual method of Chambolle and Pock (2011) with diagonal steps. What is printed is the *dual*
//! value of a feasible point, so it is a bound whether the method has converged or not; the primal value says how far it
//! can be from the best bound of this kind. Windows are rounded outwards to steps.

mod parts;

use crate::trace::Trace;
use parts::{Mean, project};

/// A bound on what a trace costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Machine-seconds that nothing can be below.
    pub machine_secs: f64,
    /// Machine-seconds of a solution of the relaxation: the best such bound lies between the two.
    pub relaxed_secs: f64,
}

/// What the bound is about.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Slots a machine.
    pub slots: f64,
    /// Mean seconds from a launch to the first task.
    pub boot: f64,
    /// After the arrival, plus the longest task: the deadline of a job without one.
    pub drain_target: f64,
}

/// Steps at most; a trace of weeks has longer ones.
const MAX_STEPS: f64 = 6_000.0;
const LEAST_STEP_SECS: f64 = 15.0;
const ROUNDS: usize = 3_000;
const ROUNDS_BETWEEN_LOOKS: usize = 50;
/// It ends when bound and relaxation are this close.
const CLOSE: f64 = 0.005;
/// Tasks of a job are told apart by length in so many groups.
const GROUPS: usize = 6;

/// Work that may be done between two steps.
struct Piece {
    from: usize,
    /// Machines' worth of work, in machine-steps.
    work: f64,
    /// Machines at most.
    most: f64,
    /// Of every step of its window.
    x: Vec<f64>,
}

/// Computes the bound.
pub fn bound(trace: &Trace, setting: &Setting) -> Bound {
    let end = trace.jobs.iter().map(|job| job.due(setting.drain_target)).fold(0.0, f64::max);
    let step = (end / MAX_STEPS).max(LEAST_STEP_SECS);
    let mut solver = Solver::new(pieces(trace, setting, step), step, setting.boot);
    let mut best = Bound { machine_secs: 0.0, relaxed_secs: f64::INFINITY };
    for round in 0..ROUNDS {
        solver.improve();
        if (round + 1).is_power_of_two() {
            solver.mean = Mean::default();
        }
        if round % ROUNDS_BETWEEN_LOOKS == ROUNDS_BETWEEN_LOOKS - 1 {
            let (launch, fleet) = solver.mean.of(&solver.launch, &solver.fleet());
            best.machine_secs = best.machine_secs.max(solver.dual(&solver.launch)).max(solver.dual(&launch));
            best.relaxed_secs = best.relaxed_secs.min(solver.primal(&solver.fleet())).min(solver.primal(&fleet));
            if best.relaxed_secs <= best.machine_secs * (1.0 + CLOSE) {
                break;
            }
        }
    }
    best
}

fn pieces(trace: &Trace, setting: &Setting, step: f64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for job in trace.jobs.iter().filter(|job| !job.is_poison && job.work() > 0.0) {
        let from = (job.arrival / step).floor() as usize;
        let until = ((job.due(setting.drain_target) / step).ceil() as usize).max(from + 1);
        let mut tasks = job.tasks.clone();
        tasks.sort_unstable_by(f64::total_cmp);
        for group in tasks.chunks(tasks.len().div_ceil(GROUPS)) {
            let work = group.iter().sum::<f64>() / setting.slots / step;
            let most = group.len() as f64 / setting.slots;
            let steps = until - from;
            // One length: one piece; so the five thousand tasks of a burst are one.
            if let Some(last) = pieces.last_mut().filter(|last| {
                last.from == from && last.x.len() == steps && (last.work / last.most - work / most).abs() < 1e-9
            }) {
                (last.work, last.most) = (last.work + work, last.most + most);
            } else {
                pieces.push(Piece { from, work, most, x: vec![0.0; steps] });
            }
        }
    }
    for piece in &mut pieces {
        let even = piece.work / piece.x.len() as f64;
        piece.x.fill(even);
    }
    pieces
}

struct Solver {
    pieces: Vec<Piece>,
    step: f64,
    boot: f64,
    /// The price of one more machine launched at a step, 0 to `boot` seconds; one more entry, 0, at the end.
    launch: Vec<f64>,
    /// Machines that are kept though nothing runs on them.
    kept: Vec<f64>,
    /// Fleet of the iterate extrapolated.
    leaning: Vec<f64>,
    /// Pieces that touch a step.
    touching: Vec<f64>,
    /// The mean of the iterates: it converges where they themselves circle.
    mean: Mean,
    /// How large steps in work are against steps in prices.
    balance: f64,
}

impl Solver {
    fn new(pieces: Vec<Piece>, step: f64, boot: f64) -> Self {
        let steps = pieces.iter().map(|piece| piece.from + piece.x.len()).max().unwrap_or(1);
        let mut touching = vec![1.0; steps + 1];
        for piece in &pieces {
            touching[piece.from..piece.from + piece.x.len()].iter_mut().for_each(|count| *count += 1.0);
        }
        let size: f64 =
            pieces.iter().map(|piece| piece.work / piece.x.len() as f64).sum::<f64>() / pieces.len().max(1) as f64;
        let mut solver = Self {
            pieces,
            step,
            boot,
            launch: vec![0.0; steps + 1],
            kept: vec![0.0; steps],
            leaning: Vec::new(),
            touching,
            mean: Mean::default(),
            balance: size.max(1e-6) / boot,
        };
        solver.leaning = solver.fleet();
        solver
    }

    /// Machines in each step.
    fn fleet(&self) -> Vec<f64> {
        let mut fleet = self.kept.clone();
        for piece in &self.pieces {
            fleet[piece.from..].iter_mut().zip(&piece.x).for_each(|(all, x)| *all += x);
        }
        fleet
    }

    /// The price of a machine in each step, in seconds.
    fn prices(&self, launch: &[f64]) -> Vec<f64> {
        launch.windows(2).map(|pair| self.step + pair[0] - pair[1]).collect()
    }

    fn improve(&mut self) {
        for t in 0..self.kept.len() {
            let before = if t == 0 { 0.0 } else { self.leaning[t - 1] };
            let rate = 1.0 / (self.touching[t] + if t == 0 { 0.0 } else { self.touching[t - 1] });
            let moved = self.launch[t] + rate / self.balance * (self.leaning[t] - before);
            self.launch[t] = moved.clamp(0.0, self.boot);
        }
        let before = self.fleet();
        let prices = self.prices(&self.launch);
        let rate = 0.5 * self.balance;
        for (kept, price) in self.kept.iter_mut().zip(&prices) {
            *kept = (*kept - rate * price).max(0.0);
        }
        for piece in &mut self.pieces {
            let prices = &prices[piece.from..piece.from + piece.x.len()];
            piece.x.iter_mut().zip(prices).for_each(|(x, price)| *x -= rate * price);
            project(&mut piece.x, piece.work, piece.most);
        }
        let after = self.fleet();
        self.mean.add(&self.launch, &after);
        self.leaning = after.iter().zip(&before).map(|(after, before)| 2.0 * after - before).collect();
    }

    /// What a fleet costs.
    fn primal(&self, fleet: &[f64]) -> f64 {
        let mut before = 0.0;
        let mut cost = 0.0;
        for machines in fleet {
            cost += self.step * machines + self.boot * (machines - before).max(0.0);
            before = *machines;
        }
        cost
    }

    /// What all work costs at these prices, each piece in its cheapest steps.
    fn dual(&self, launch: &[f64]) -> f64 {
        let mut launch = launch.to_vec();
        for t in (0..self.kept.len()).rev() {
            // No price is negative.
            launch[t] = launch[t].max(launch[t + 1] - self.step);
        }
        let prices = self.prices(&launch);
        let cheapest = |piece: &Piece| {
            let mut prices = prices[piece.from..piece.from + piece.x.len()].to_vec();
            prices.sort_unstable_by(f64::total_cmp);
            let mut left = piece.work;
            let mut cost = 0.0;
            for price in prices {
                let done = left.min(piece.most);
                cost += done * price.max(0.0);
                left -= done;
            }
            cost
        };
        self.pieces.iter().map(cheapest).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Job;

    const SETTING: Setting = Setting { slots: 4.0, boot: 75.0, drain_target: 900.0 };

    fn job(arrival: f64, tasks: usize, secs: f64) -> Job {
        Job { arrival, tasks: vec![secs; tasks], deadline: None, class: String::new(), is_poison: false }
    }

    fn of(jobs: Vec<Job>) -> Bound {
        let bound = bound(&Trace::new("t", jobs).unwrap(), &SETTING);
        assert!(
            bound.relaxed_secs >= bound.machine_secs && bound.relaxed_secs < 1.01 * bound.machine_secs,
            "{bound:?}"
        );
        bound
    }

    #[test]
    fn a_burst_costs_its_work_and_the_boots_of_the_machines_that_do_it_just_in_time() {
        let work: f64 = 5_000.0 * 30.0 / 4.0;
        // The window is 930 s: 62 steps of 15 s.
        let expected = work + work / 930.0 * 75.0;
        let bound = of(vec![job(0.0, 5_000, 30.0)]).machine_secs;
        assert!((bound / expected - 1.0).abs() < 0.005, "{bound} {expected}");
    }

    #[test]
    fn two_bursts_far_apart_boot_twice_and_near_ones_once() {
        let one = of(vec![job(0.0, 1_000, 30.0)]).machine_secs;
        let far = of(vec![job(0.0, 1_000, 30.0), job(50_000.0, 1_000, 30.0)]).machine_secs;
        let near = of(vec![job(0.0, 1_000, 30.0), job(930.0, 1_000, 30.0)]).machine_secs;
        assert!((far / one - 2.0).abs() < 0.01 && near < 0.97 * far, "{one} {near} {far}");
    }

    #[test]
    fn a_task_has_one_slot() {
        // 40 tasks of 9,000 s within 9,900 s: at best 9.1 machines for all of it.
        let best = 90_000.0 + 90_000.0 / 9_900.0 * 75.0;
        let bound = of(vec![job(0.0, 40, 9_000.0)]).machine_secs;
        assert!((0.995 * best..=best).contains(&bound), "{bound} {best}");
    }
}
