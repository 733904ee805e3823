//! Parts of the method: the mean of its iterates, and the projection onto what a job allows.

/// The mean of prices and fleets since it was begun.
#[derive(Default)]
pub struct Mean {
    count: f64,
    launch: Vec<f64>,
    fleet: Vec<f64>,
}

impl Mean {
    pub fn add(&mut self, launch: &[f64], fleet: &[f64]) {
        self.launch.resize(launch.len(), 0.0);
        self.fleet.resize(fleet.len(), 0.0);
        self.launch.iter_mut().zip(launch).for_each(|(sum, value)| *sum += value);
        self.fleet.iter_mut().zip(fleet).for_each(|(sum, value)| *sum += value);
        self.count += 1.0;
    }

    /// The mean; what is given if nothing was added.
    pub fn of(&self, launch: &[f64], fleet: &[f64]) -> (Vec<f64>, Vec<f64>) {
        if self.count == 0.0 {
            return (launch.to_vec(), fleet.to_vec());
        }
        let mean = |sums: &[f64]| sums.iter().map(|sum| sum / self.count).collect();
        (mean(&self.launch), mean(&self.fleet))
    }
}

/// The nearest point with `0 <= x <= most` and the sum `work`.
pub fn project(x: &mut [f64], work: f64, most: f64) {
    if work >= most * x.len() as f64 {
        x.fill(most);
        return;
    }
    let (mut low, mut high) = x.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(-x), high.max(most - x)));
    let mut by = 0.0;
    // Newton's method on a sum that is piecewise linear and rises, held between borders.
    for _ in 0..40 {
        let (mut sum, mut inside) = (0.0, 0.0);
        for x in x.iter() {
            let moved = x + by;
            sum += moved.clamp(0.0, most);
            inside += f64::from(u8::from(moved > 0.0 && moved < most));
        }
        if (sum - work).abs() <= 1e-9 * work {
            break;
        }
        if sum < work {
            low = by
        } else {
            high = by
        }
        let newton = by + (work - sum) / inside;
        by = if inside > 0.0 && newton > low && newton < high { newton } else { 0.5 * (low + high) };
    }
    x.iter_mut().for_each(|x| *x = (*x + by).clamp(0.0, most));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_keeps_sum_and_limits() {
        let mut x = vec![5.0, -1.0, 0.2];
        project(&mut x, 2.5, 2.0);
        assert!((x.iter().sum::<f64>() - 2.5).abs() < 1e-6 && x.iter().all(|x| (0.0..=2.0).contains(x)), "{x:?}");
    }
}
