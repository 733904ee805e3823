//! Rounds: every tool once a round, so that what else the machine does meets all of them alike.

use std::time::Duration;

use crate::cost::Cost;

/// Five clock ticks: less CPU than this is not told.
const LEAST_CPU: Duration = Duration::from_millis(50);

/// Something to measure.
pub struct Tool<'a> {
    /// What it is called.
    pub name: String,
    /// Equal parts of what it does: costs are told of each.
    pub parts: u64,
    /// Does it once.
    pub run: Box<dyn FnMut() -> anyhow::Result<Cost> + 'a>,
}

/// What the rounds say of one tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What it is called.
    pub name: String,
    /// Its median cost of a part.
    pub cost: Cost,
    /// The medians, over the rounds, of its cost over that of the first tool in the same round: CPU, time.
    pub ratio: (f64, f64),
    /// Whether it, and the first tool, took enough CPU for the kernel's clock ticks to be exact.
    pub has_cpu: bool,
}

impl<'a> Tool<'a> {
    /// A tool that does `parts` equal parts.
    pub fn new(name: impl Into<String>, parts: u64, run: impl FnMut() -> anyhow::Result<Cost> + 'a) -> Self {
        Self { name: name.into(), parts, run: Box::new(run) }
    }
}

/// Runs all tools in turn, `rounds` times. The first one is the limit that the others are compared with.
pub fn in_turn(rounds: usize, tools: &mut [Tool<'_>]) -> anyhow::Result<Vec<Measured>> {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); tools.len()];
    for _ in 0..rounds {
        for (tool, costs) in tools.iter_mut().zip(&mut costs) {
            costs.push((tool.run)()?);
        }
    }
    let runs: Vec<Runs<'_>> =
        tools.iter().zip(&costs).map(|(tool, costs)| Runs { name: &tool.name, parts: tool.parts, costs }).collect();
    Ok(runs.iter().map(|tool| measured(tool, &runs[0])).collect())
}

/// What one tool cost, round by round.
struct Runs<'a> {
    name: &'a str,
    parts: u64,
    costs: &'a [Cost],
}

fn measured(tool: &Runs<'_>, limit: &Runs<'_>) -> Measured {
    let each = |runs: &Runs<'_>| -> Vec<Cost> { runs.costs.iter().map(|cost| cost.each(runs.parts)).collect() };
    let has_cpu = tool.costs.iter().chain(limit.costs).all(|cost| cost.cpu >= LEAST_CPU);
    let (costs, limit) = (each(tool), each(limit));
    let middle = |of: fn(&Cost) -> Duration| Duration::from_secs_f64(median(costs.iter().map(of).map(secs)));
    let over = |of: fn(&Cost) -> Duration| {
        median(costs.iter().zip(&limit).map(|(cost, limit)| secs(of(cost)) / secs(of(limit)).max(1e-9)))
    };
    let cost = Cost { cpu: middle(|cost| cost.cpu), wall: middle(|cost| cost.wall) };
    let ratio = (over(|cost| cost.cpu), over(|cost| cost.wall));
    Measured { name: tool.name.to_owned(), cost, ratio, has_cpu }
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// The middle one; of an even number, the mean of the two in the middle. 0 of none.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu: u64, wall: u64) -> Cost {
        Cost { cpu: Duration::from_secs(cpu), wall: Duration::from_secs(wall) }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median([].into_iter()), 0.0);
    }

    #[test]
    fn a_ratio_is_taken_inside_a_round() {
        // The machine became ten times slower for the second round: both tools saw that.
        let (limit, tool) = ([cost(1, 2), cost(10, 20), cost(1, 2)], [cost(2, 3), cost(20, 30), cost(2, 3)]);
        let runs = |costs| Runs { name: "tool", parts: 1, costs };
        let expected = Measured { name: "tool".into(), cost: cost(2, 3), ratio: (2.0, 1.5), has_cpu: true };
        assert_eq!(measured(&runs(&tool), &runs(&limit)), expected);
    }

    #[test]
    fn little_cpu_is_not_told() {
        let costs = [Cost { cpu: Duration::from_millis(20), wall: Duration::from_secs(1) }];
        let runs = Runs { name: "tool", parts: 1, costs: &costs };
        assert!(!measured(&runs, &runs).has_cpu);
    }
}
