//! Every call of a small job fails once, in every way: before it takes effect, after it, and with its caller's death at
//! either moment.

use gridmill_sim::net::{CallPlan, Planned};
use gridmill_sim::seeds::{note_panics, run};
use gridmill_sim::workload::Workload;
use gridmill_sim::world::Setup;

fn small(plan: Option<CallPlan>) -> Setup {
    Setup { plan, ..Setup::calm(1, Workload::small(1)) }
}

#[test]
fn any_call_may_fail_and_any_caller_may_die_at_it() {
    note_panics();
    let calm = run(small(None));
    assert_eq!(calm.violations, Vec::<String>::new());
    assert!((50..2_000).contains(&calm.calls), "{} calls", calm.calls);
    for what in [Planned::FailBefore, Planned::FailAfter, Planned::KillBefore, Planned::KillAfter] {
        for call in 0..calm.calls {
            let outcome = run(small(Some(CallPlan { call, what })));
            assert_eq!(outcome.violations, Vec::<String>::new(), "call {call} of {}: {what:?}", calm.calls);
        }
    }
}
