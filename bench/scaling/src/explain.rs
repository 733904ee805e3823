//! Where a run loses: what the machine-hours went into, and why jobs were late.

use std::collections::BTreeMap;

use crate::outcome::{Late, Outcome, Why};
use crate::report::Row;

/// Late jobs of a run that are listed one by one.
const LISTED: usize = 12;

/// Prints what the machine-hours of all runs of a trace went into, as shares of the bound's, and the late jobs.
pub fn explain(rows: &[Row]) {
    let bound: f64 = rows.iter().map(|row| row.bound.machine_secs).sum();
    let of = |part: &dyn Fn(&Row) -> f64| rows.iter().map(part).sum::<f64>() / bound;
    let of_idle = |part: &dyn Fn(&Outcome) -> f64| of(&|row| part(&row.outcome));
    println!(
        "    of the bound: worked {:.3}, lost {:.3}, booting {:.3}, idle before work {:.3}, between {:.3}, beside {:.3}, \
         after {:.3}; billed {:.3}",
        of(&|row| row.outcome.worked / row.slots),
        of(&|row| row.outcome.lost / row.slots),
        of_idle(&|outcome| outcome.booting),
        of_idle(&|outcome| outcome.idle.before_work),
        of_idle(&|outcome| outcome.idle.between),
        of_idle(&|outcome| outcome.idle.beside),
        of_idle(&|outcome| outcome.idle.after_work),
        of_idle(&|outcome| outcome.billed),
    );
    let runs = rows.len() as f64;
    println!(
        "    without machines that stay, reclaims would make it at least {:.3} times the work and {:.1} % of the jobs late",
        rows.iter().map(|row| row.restarts.work).sum::<f64>() / runs,
        100.0 * rows.iter().map(|row| row.restarts.late).sum::<f64>() / runs,
    );
    let mut reasons: BTreeMap<Why, usize> = BTreeMap::new();
    rows.iter().flat_map(|row| &row.outcome.late).for_each(|late| *reasons.entry(late.why()).or_default() += 1);
    if !reasons.is_empty() {
        println!("    late: {reasons:?} of {}", rows.iter().map(|row| row.jobs).sum::<usize>());
    }
    for row in rows {
        row.outcome.late.iter().take(LISTED).for_each(|late| list(row, late));
    }
}

fn list(row: &Row, late: &Late) {
    let known = late.known.map_or("unknown".to_owned(), |known| format!("{known:.0} s"));
    println!(
        "      seed {}: job {} of {} x {:.0} s (known as {known}) late by {:.0} of {:.0} s: {:?}; its last task of {:.0} s \
         started after {:.0} s, handed back {} times; fleet full for {:.0} s",
        row.seed,
        late.job,
        late.tasks,
        late.mean,
        late.by,
        late.within,
        late.why(),
        late.last_secs,
        late.last_started,
        late.handed_back,
        late.full,
    );
}
