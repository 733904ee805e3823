//! Every call of two small jobs fails once, in every way: before it takes effect, after it, and with its caller's death at
//! either moment.

use gridmill_sim::net::{CallPlan, Planned};
use gridmill_sim::seeds::run;
use gridmill_sim::tally::Event;
use gridmill_sim::workload::Workload;
use gridmill_sim::world::{Outcome, Setup};

/// Its people run the items again that were given up on, and submit the job once more with other commands.
const REDRIVEN: u64 = 23;

/// What happens when nothing is done to any call, after it was done to each.
fn every_call(setup: impl Fn() -> Setup) -> Outcome {
    let calm = run(setup());
    assert_eq!(calm.violations, Vec::<String>::new());
    assert!((50..2_000).contains(&calm.calls), "{} calls", calm.calls);
    for what in [Planned::FailBefore, Planned::FailAfter, Planned::KillBefore, Planned::KillAfter] {
        for call in 0..calm.calls {
            let outcome = run(Setup { plan: Some(CallPlan { call, what }), ..setup() });
            assert_eq!(outcome.violations, Vec::<String>::new(), "call {call} of {}: {what:?}", calm.calls);
        }
    }
    calm
}

#[test]
fn any_call_may_fail_and_any_caller_may_die_at_it() {
    every_call(|| Setup::calm(1, Workload::small(1)));
}

#[test]
fn so_it_is_when_items_fail_and_run_again() {
    let calm = every_call(|| Setup { has_wishes: true, ..Setup::calm(REDRIVEN, Workload::troubled(REDRIVEN)) });
    let events = [
        Event::BlameUnknown,
        Event::OutOfMemory,
        Event::Retry,
        Event::ItemDead,
        Event::ItemSkipped,
        Event::SuccessRedriven,
        Event::Reuse,
    ];
    let missing: Vec<Event> = events.into_iter().filter(|event| calm.tally.of(*event) == 0).collect();
    assert_eq!(missing, Vec::<Event>::new());
}
