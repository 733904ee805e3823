//! Scenarios from a seed.

use clap::ValueEnum;
use grid_core::random::Random;

use crate::lublin;
use crate::trace::{Job, Trace};
use crate::world::{World, exponential, lognormal, normal};

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 5,000 tasks of 30 s at once, of a class that was measured before
    Burst,
    /// The same, of a class never seen
    BurstCold,
    /// Half a day of jobs with heavy tails in size and task time, classes measured before
    Mixed,
    /// The same, of classes never seen
    MixedCold,
    /// Mixed, each job with a deadline of its own, five minutes to an hour beyond its longest task
    Deadlines,
    /// A week of parallel jobs by a model after Lublin and Feitelson
    Lublin,
    /// Now and then a job of a few tasks, for half a day
    Trickle,
    /// Mixed, and a job of 2,000 tasks that all fail
    Poison,
    /// Mixed; twice, most machines are reclaimed at once
    Waves,
    /// Mixed; launches are refused for twenty minutes, and again for an hour
    Drought,
    /// A burst; the manager dies in the midst of it, twice
    Restart,
    /// Mixed; what was measured before is three times too short, or too long
    Drift,
}

const HOUR: f64 = 3_600.0;
const HALF_DAY: f64 = 12.0 * HOUR;

/// What a scenario is: what arrives, in which world, and which mean task times are known before, by class.
pub struct Generated {
    /// What arrives.
    pub trace: Trace,
    /// Around it.
    pub world: World,
    /// Class, mean, longest.
    pub history: Vec<(String, f64, f64)>,
}

impl Scenario {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Generates it; the same seed gives the same scenario.
    pub fn generate(self, world: &World, seed: u64) -> anyhow::Result<Generated> {
        let mut random = Random::from_seed(seed);
        let mut world = world.clone();
        let (jobs, classes) = match self {
            Self::Burst | Self::BurstCold | Self::Restart => burst(&mut random),
            Self::Lublin => (lublin::jobs(&mut random), Vec::new()),
            Self::Trickle => trickle(&mut random),
            Self::Mixed | Self::MixedCold | Self::Waves | Self::Drought | Self::Drift => mixed(&mut random),
            Self::Poison => poison(&mut random),
            Self::Deadlines => deadlines(&mut random),
        };
        match self {
            Self::Waves => world.waves = vec![(3.0 * HOUR, 0.6), (7.5 * HOUR, 0.9)],
            Self::Drought => world.droughts = vec![(2.0 * HOUR, 2.0 * HOUR + 1_200.0), (6.0 * HOUR, 7.0 * HOUR)],
            Self::Restart => world.restarts = vec![340.0, 700.0],
            _ => {}
        }
        let history = match self {
            Self::BurstCold | Self::MixedCold | Self::Lublin => Vec::new(),
            Self::Drift => classes
                .into_iter()
                .map(|(class, mean, longest)| {
                    let wrong = if random.chance(0.5) { 3.0 } else { 1.0 / 3.0 };
                    (class, mean * wrong, longest * wrong)
                })
                .collect(),
            _ => classes,
        };
        Ok(Generated { trace: Trace::new(self.name(), jobs)?, world, history })
    }
}

type Jobs = (Vec<Job>, Vec<(String, f64, f64)>);

fn burst(random: &mut Random) -> Jobs {
    let tasks: Vec<f64> = (0..5_000).map(|_| lognormal(random, 30.0, 0.3)).collect();
    let longest = tasks.iter().copied().fold(0.0, f64::max);
    (vec![job(300.0 * random.unit(), tasks, "burst")], vec![("burst".to_owned(), 30.0, longest)])
}

/// Jobs of 40 classes, a hundred and eighty or so; sizes are Pareto distributed, task times lognormal by class and
/// within it. Half of them come in the hour of the day when everybody comes.
fn mixed(random: &mut Random) -> Jobs {
    let classes: Vec<(String, f64, f64)> = (0..40)
        .map(|n| {
            let mean = (60.0 * (1.3 * normal(random)).exp()).clamp(3.0, 2_400.0);
            (format!("class-{n}"), mean, mean * 3.5)
        })
        .collect();
    let mut jobs = Vec::new();
    let mut at = 0.0;
    while at < HALF_DAY {
        let is_rush = (4.0 * HOUR..5.0 * HOUR).contains(&at);
        at += exponential(random, if is_rush { 40.0 } else { 400.0 });
        let (class, mean, _) = &classes[random.below(classes.len() as u64) as usize];
        let size = pareto(random, 20.0, 1.1, 3_000.0);
        // No job of long tasks is so large that the fleet could not do it in time.
        let size = size.min(400.0 * 900.0 / mean).max(1.0) as usize;
        let own = lognormal(random, *mean, 0.2);
        jobs.push(job(at, (0..size).map(|_| lognormal(random, own, 0.5)).collect(), class));
    }
    (jobs, classes)
}

fn deadlines(random: &mut Random) -> Jobs {
    let (mut jobs, classes) = mixed(random);
    for job in &mut jobs {
        job.deadline = Some(job.arrival + job.longest() + 300.0 + 3_300.0 * random.unit());
    }
    (jobs, classes)
}

fn trickle(random: &mut Random) -> Jobs {
    let mut jobs = Vec::new();
    let mut at = 0.0;
    while at < HALF_DAY {
        at += exponential(random, 300.0);
        let size = 1 + random.below(8);
        jobs.push(job(at, (0..size).map(|_| lognormal(random, 45.0, 0.5)).collect(), "trickle"));
    }
    (jobs, vec![("trickle".to_owned(), 45.0, 150.0)])
}

fn poison(random: &mut Random) -> Jobs {
    let (mut jobs, classes) = mixed(random);
    let tasks = (0..2_000).map(|_| lognormal(random, 20.0, 0.3)).collect();
    jobs.push(Job { is_poison: true, ..job(2.0 * HOUR, tasks, "poison") });
    (jobs, classes)
}

fn job(arrival: f64, tasks: Vec<f64>, class: &str) -> Job {
    Job { arrival, tasks, deadline: None, class: class.to_owned(), is_poison: false }
}

/// Drawn from a Pareto distribution, cut off.
fn pareto(random: &mut Random, least: f64, shape: f64, most: f64) -> f64 {
    (least * (1.0 - random.unit()).powf(-1.0 / shape)).min(most)
}
