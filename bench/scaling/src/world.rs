//! The world around the law: how machines come and go, and what goes wrong.

use grid_core::random::Random;

/// What the simulated cloud is like. The defaults are those under which the goals are held.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Slots a machine.
    pub slots: u32,
    /// Machines at most.
    pub max_machines: u32,
    /// Seconds that every boot takes at least.
    pub boot_least: f64,
    /// Mean of what comes on top, drawn from a lognormal distribution.
    pub boot_more: f64,
    /// Its shape: the standard deviation of the logarithm.
    pub boot_spread: f64,
    /// Spot reclaims of a machine per hour, each by itself.
    pub reclaims: f64,
    /// Times at which this share of all machines is reclaimed at once.
    pub waves: Vec<(f64, f64)>,
    /// From, until: every launch is refused.
    pub droughts: Vec<(f64, f64)>,
    /// When the manager dies and another one takes over after `takeover` seconds, without the law's memory.
    pub restarts: Vec<f64>,
    /// Seconds without a manager.
    pub takeover: f64,
    /// Mean seconds between two decisions, jittered by a sixth.
    pub tick: f64,
    /// A machine is billed for at least so many seconds.
    pub least_billed: f64,
    /// Somebody cancels a job so many seconds after the alarm that it is poison.
    pub cancelled_after: f64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            slots: 4,
            max_machines: 200,
            boot_least: 15.0,
            boot_more: 60.0,
            boot_spread: 0.5,
            reclaims: 0.03,
            waves: Vec::new(),
            droughts: Vec::new(),
            restarts: Vec::new(),
            takeover: 60.0,
            tick: 12.0,
            least_billed: 60.0,
            cancelled_after: 1_800.0,
        }
    }
}

impl World {
    /// Mean seconds from a launch to the first task.
    pub fn mean_boot(&self) -> f64 {
        self.boot_least + self.boot_more
    }

    /// Seconds of one boot.
    pub fn boot(&self, random: &mut Random) -> f64 {
        self.boot_least + lognormal(random, self.boot_more, self.boot_spread)
    }

    /// Seconds until a machine is reclaimed.
    pub fn life(&self, random: &mut Random) -> f64 {
        if self.reclaims > 0.0 { exponential(random, 3_600.0 / self.reclaims) } else { f64::INFINITY }
    }

    /// Seconds until the next decision.
    pub fn next_tick(&self, random: &mut Random) -> f64 {
        self.tick * (5.0 + 2.0 * random.unit()) / 6.0
    }

    /// Whether launches are refused.
    pub fn is_dry(&self, at: f64) -> bool {
        self.droughts.iter().any(|(from, until)| (*from..*until).contains(&at))
    }
}

/// Drawn from an exponential distribution.
pub fn exponential(random: &mut Random, mean: f64) -> f64 {
    -mean * (1.0 - random.unit()).ln()
}

/// Drawn from a lognormal distribution with this mean (not median).
pub fn lognormal(random: &mut Random, mean: f64, spread: f64) -> f64 {
    mean * (spread * normal(random) - spread * spread / 2.0).exp()
}

/// Drawn from the standard normal distribution (Box and Muller 1958).
pub fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}
