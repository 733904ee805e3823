//! Parallel jobs as supercomputer centres see them, after the model of Lublin and Feitelson, "The workload on parallel
//! supercomputers: modeling the characteristics of rigid jobs" (JPDC 63, 2003): sizes are two-stage uniform in the
//! logarithm with a preference for powers of two, run times hyper-gamma with a mix that depends on the size, arrivals
//! gamma in the logarithm with a daily cycle. Parameters are the paper's for batch jobs; gamma is drawn after Marsaglia and
//! Tsang (2000).

use grid_core::random::Random;

use crate::trace::Job;
use crate::world::normal;

const DAYS: f64 = 7.0;
/// Sizes, as binary logarithms: serial with this chance, a power of two with that one.
const SERIAL: f64 = 0.244;
const POWER_OF_TWO: f64 = 0.576;
const SIZE_LOW: f64 = 0.8;
const SIZE_MIDDLE: f64 = 4.5;
const SIZE_HIGH: f64 = 7.0;
const SIZE_LOWER_CHANCE: f64 = 0.86;
/// Run times, as natural logarithms of seconds: two gammas.
const SHORT: (f64, f64) = (4.2, 0.94);
const LONG: (f64, f64) = (312.0, 0.03);
const MIX: (f64, f64) = (-0.0054, 0.78);
/// Gaps between arrivals, as natural logarithms of seconds.
const GAP: (f64, f64) = (10.23, 0.4871);
/// Jobs are kept to what a batch queue allows: 18 hours.
const LONGEST: f64 = 18.0 * 3_600.0;
/// Share of the day's peak, by hour.
const DAY: [f64; 24] = [
    0.35, 0.25, 0.2, 0.15, 0.15, 0.15, 0.2, 0.35, 0.6, 0.85, 0.95, 1.0, 0.95, 0.95, 1.0, 1.0, 0.95, 0.85, 0.7, 0.6,
    0.55, 0.5, 0.45, 0.4,
];

/// A week of jobs. The model knows no users, so that all are of one class: the hardest case for a history of task times.
pub fn jobs(random: &mut Random) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut at = 0.0;
    while at < DAYS * 86_400.0 {
        // The model's gap is that of the busiest hours; about a third of the day's mean.
        let gap = gamma(random, GAP.0, GAP.1).exp().clamp(1.0, 7_200.0);
        at += gap / DAY[(at / 3_600.0) as usize % 24];
        let size = size(random);
        let secs = run_time(random, size as f64);
        let class = "all".to_owned();
        jobs.push(Job { arrival: at, tasks: vec![secs; size], deadline: None, class, is_poison: false });
    }
    jobs
}

fn size(random: &mut Random) -> usize {
    if random.chance(SERIAL) {
        return 1;
    }
    let (low, high) = if random.chance(SIZE_LOWER_CHANCE) { (SIZE_LOW, SIZE_MIDDLE) } else { (SIZE_MIDDLE, SIZE_HIGH) };
    let log = low + (high - low) * random.unit();
    let log = if random.chance(POWER_OF_TWO) { log.round() } else { log };
    log.exp2().round().max(1.0) as usize
}

fn run_time(random: &mut Random, size: f64) -> f64 {
    let is_short = random.chance((MIX.0 * size + MIX.1).clamp(0.0, 1.0));
    let (shape, scale) = if is_short { SHORT } else { LONG };
    gamma(random, shape, scale).exp().clamp(1.0, LONGEST)
}

/// Drawn from a gamma distribution of a shape of at least 1.
fn gamma(random: &mut Random, shape: f64, scale: f64) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - random.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v * scale;
        }
    }
}
