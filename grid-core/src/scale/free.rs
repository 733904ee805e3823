//! When the slots that are in use become free: expected from how long their tasks have run and what their class is known
//! for.
//!
//! Task times are taken as Weibull distributed, by mean and spread: survival `exp(-(t / scale)^shape)`. Tasks that are alike
//! end soon after the mean; of those that are not, the ones that have run for long go on for long.

/// Horizons at which the expectation is worked out, in seconds; between them it is interpolated.
const HORIZONS: [f64; 20] = [
    0.0, 5.0, 10.0, 20.0, 40.0, 70.0, 110.0, 160.0, 230.0, 320.0, 430.0, 560.0, 720.0, 920.0, 1_200.0, 1_800.0,
    3_000.0, 6_000.0, 15_000.0, 40_000.0,
];

/// Ages are told apart in so many steps a stage.
const STEPS: usize = 12;

/// However alike tasks were, the next one may differ.
const LEAST_SPREAD: f64 = 0.3;
const MOST_SPREAD: f64 = 3.0;

/// Slots that are in use, and when they are expected to be free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// Slots that are expected to be free by each horizon.
    slots: [f64; HORIZONS.len()],
    /// Slot-seconds that they are free until then.
    secs: [f64; HORIZONS.len()],
}

impl Release {
    /// Adds the running tasks of a stage: their ages, ascending, what such tasks take in the mean, and their standard deviation
    /// over the mean.
    pub fn add(&mut self, ages: &[f64], share: f64, mean: f64, spread: f64) {
        let shape = shape(spread);
        let scale = mean.max(1e-3) / gamma(1.0 + 1.0 / shape);
        for step in ages.chunks(ages.len().div_ceil(STEPS).max(1)) {
            let count = share * step.len() as f64;
            let age = step.iter().sum::<f64>() / step.len() as f64;
            let hazard = |at: f64| (at / scale).powf(shape);
            let now = hazard(age);
            for (slots, horizon) in self.slots.iter_mut().zip(HORIZONS) {
                *slots += count * (1.0 - (now - hazard(age + horizon)).exp());
            }
        }
        for place in 1..HORIZONS.len() {
            let step = HORIZONS[place] - HORIZONS[place - 1];
            self.secs[place] = self.secs[place - 1] + step * (self.slots[place] + self.slots[place - 1]) / 2.0;
        }
    }

    /// Slots that are expected to be free within so many seconds.
    pub fn slots(&self, within: f64) -> f64 {
        interpolate(&self.slots, within)
    }

    /// Slot-seconds that they are expected to be free until then.
    pub fn secs(&self, within: f64) -> f64 {
        interpolate(&self.secs, within)
    }
}

fn interpolate(values: &[f64; HORIZONS.len()], at: f64) -> f64 {
    let last = HORIZONS.len() - 1;
    if at <= 0.0 {
        return values[0];
    }
    if at >= HORIZONS[last] {
        return values[last];
    }
    let place = HORIZONS.partition_point(|horizon| *horizon <= at);
    let part = (at - HORIZONS[place - 1]) / (HORIZONS[place] - HORIZONS[place - 1]);
    values[place - 1] + part * (values[place] - values[place - 1])
}

/// The shape of a Weibull distribution by its standard deviation over its mean; the power law is within 2 % between 0.3 and 1.
fn shape(spread: f64) -> f64 {
    spread.clamp(LEAST_SPREAD, MOST_SPREAD).powf(-1.086)
}

/// The gamma function from 1 on, after Stirling.
fn gamma(x: f64) -> f64 {
    // Shifted up by three, where the series is exact to four digits.
    let y = x + 3.0;
    let stirling = (std::f64::consts::TAU / y).sqrt() * (y / std::f64::consts::E).powf(y) * (1.0 / (12.0 * y)).exp();
    stirling / (x * (x + 1.0) * (x + 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freed(age: f64, mean: f64, spread: f64, within: f64) -> f64 {
        let mut release = Release::default();
        release.add(&[age], 1.0, mean, spread);
        release.slots(within)
    }

    #[test]
    fn tasks_without_a_memory_end_at_a_constant_rate() {
        // A spread of 1 is the exponential distribution, which has no memory.
        for age in [0.0, 50.0, 500.0] {
            assert!((freed(age, 100.0, 1.0, 110.0) - (1.0 - (-1.1_f64).exp())).abs() < 0.01);
        }
    }

    #[test]
    fn old_tasks_end_sooner_where_tasks_are_alike_and_later_where_they_are_not() {
        assert!(freed(100.0, 100.0, 0.4, 40.0) > 3.0 * freed(10.0, 100.0, 0.4, 40.0));
        assert!(freed(1_000.0, 100.0, 2.0, 40.0) < 0.5 * freed(10.0, 100.0, 2.0, 40.0));
    }

    #[test]
    fn half_of_the_slots_in_use_is_expected_where_half_of_the_tasks_run_on_machines_that_close() {
        let mut release = Release::default();
        release.add(&[10.0, 20.0], 0.5, 30.0, 0.5);
        assert!((release.slots(1e9) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn slot_seconds_are_the_area_under_the_slots() {
        let mut release = Release::default();
        release.add(&[0.0; 100], 1.0, 100.0, 1.0);
        // The integral of 1 - exp(-t / 100) up to 720.
        let exact = 100.0 * (720.0 - 100.0 * (1.0 - (-7.2_f64).exp()));
        assert!((release.secs(720.0) / exact - 1.0).abs() < 0.03, "{} {exact}", release.secs(720.0));
    }

    #[test]
    fn the_gamma_function_is_exact_enough() {
        for (x, exact) in [(1.0, 1.0), (1.5, 0.886_227), (2.0, 1.0), (3.0, 2.0), (5.0, 24.0)] {
            assert!((gamma(x) / exact - 1.0).abs() < 1e-4, "{x}: {}", gamma(x));
        }
    }
}
