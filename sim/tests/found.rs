//! Faults that seeds have found, each as small as it could be made. They are told in docs/RELIABILITY.md.

use std::collections::BTreeMap;

use gridmill_sim::seeds::run;
use gridmill_sim::weather::Weather;
use gridmill_sim::workload::{Source, Split, StagePlan, Temper, Workload};
use gridmill_sim::world::{Outcome, Setup};

fn calmly(workload: Workload) -> Outcome {
    let seed = workload.seed;
    run(Setup {
        seed,
        weather: Weather::calm(),
        workload,
        plan: None,
        mutant: None,
        has_wishes: false,
        is_readable: false,
    })
}

#[test]
fn a_slice_that_kills_its_workers_still_counts_as_read() {
    let stage = StagePlan { skip_limit: 1, ..StagePlan::plain("cut", Source::Split(Split::Lines(1))) };
    let tempers = BTreeMap::from([((0, 1), Temper::Poison)]);
    let outcome = calmly(Workload { tempers, ..Workload::of(1, vec![stage]) });
    assert_eq!(outcome.violations, Vec::<String>::new());
}
