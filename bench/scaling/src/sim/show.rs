//! What the law is shown of the simulated grid.

use grid_core::ids::MachineId;
use grid_core::scale::{Fleet, Machine, Observed, Seen, Worker};

use super::Sim;
use crate::outcome::Sample;

impl Sim<'_> {
    pub(super) fn observe(&mut self) -> Observed {
        let now_ms = self.now_ms;
        let refused = std::mem::take(&mut self.refused);
        let machines = self.fleet.iter().map(|(number, machine)| Machine {
            id: MachineId::new(number.to_string()),
            group: self.params.groups[machine.group].name.clone(),
            slots: self.world.slots,
            requested_ms: machine.requested_ms,
            worker: machine.first_heard_ms.map(|first_heard_ms| Worker {
                first_heard_ms,
                heard_ms: now_ms,
                busy: machine.runs.len() as u32,
                idle_since_ms: machine.idle_since_ms,
                is_closed: machine.is_closed,
            }),
            is_closing: machine.is_closing,
            is_leaving: machine.is_leaving,
        });
        let fleet = Fleet { machines: machines.collect(), unfilled: Vec::new(), refused };
        Observed {
            now_ms,
            demand: Some(Seen { as_of_ms: now_ms, value: self.jobs.demand(now_ms) }),
            fleet: Some(Seen { as_of_ms: now_ms, value: fleet }),
        }
    }

    /// Notes capacity and demand for the chart.
    pub(super) fn sample(&mut self) {
        let slots = f64::from(self.world.slots);
        let (ready, booting, busy) = self.fleet.counts();
        let (ready, booting) = (ready as f64 * slots, booting as f64 * slots);
        let demand = (self.jobs.waiting() + busy) as f64;
        self.outcome.samples.push(Sample { at: self.now(), ready, booting, busy: busy as f64, demand });
    }
}
