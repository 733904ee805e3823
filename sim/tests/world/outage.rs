//! Everything is out of reach for a minute in the middle of a job (L4): what comes after is what was left to do, and not much more,
//! or repair would keep up the load that broke things.

use std::time::Duration;

use gridmill_sim::seeds::run;
use gridmill_sim::tally::Event;
use gridmill_sim::weather::Weather;
use gridmill_sim::workload::{Source, StagePlan, Workload};
use gridmill_sim::world::{Outcome, Setup};

const LASTS: Duration = Duration::from_secs(60);

/// After it, a job takes no longer than the rest of it would have taken, and the two minutes that recovery may cost.
const RECOVERY: Duration = Duration::from_secs(120);

fn outcome(seed: u64, outage: Option<Duration>) -> Outcome {
    let stage = |name: &str, source| StagePlan { item_ms: 3_000, ..StagePlan::plain(name, source) };
    let stages = vec![stage("first", Source::Range(40)), stage("second", Source::Each(vec![0]))];
    let lasts = outage.map_or(Duration::ZERO, |at| at + LASTS);
    let weather = Weather { outage: outage.map(|at| (at, LASTS)), lasts, ..Weather::calm() };
    let workload = Workload::of(seed, stages);
    run(Setup { weather, ..Setup::calm(seed, workload) })
}

#[test]
fn after_an_outage_the_grid_does_what_is_left_and_little_more() {
    for seed in 0..20 {
        let calm = outcome(seed, None);
        assert_eq!(calm.violations, Vec::<String>::new());
        let outage = outcome(seed, Some(calm.took / 3));
        assert_eq!(outage.violations, Vec::<String>::new());
        assert!(outage.tally.of(Event::Outage) > 0 && outage.took > calm.took, "seed {seed}: nobody met the outage");
        let limit = calm.took + LASTS + RECOVERY;
        assert!(outage.took <= limit, "seed {seed}: {:?}, and {:?} without it", outage.took, calm.took);
        let (most, many) = (calm.tally.of(Event::Execution) * 3 / 2, outage.tally.of(Event::Execution));
        assert!(many <= most, "seed {seed}: {many} executions, and {most} would be much");
    }
}
