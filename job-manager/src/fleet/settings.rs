//! What the daemon is told of its fleet.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use grid_core::ids::GroupName;
use grid_core::pipeline::DEFAULT_POOL;
use grid_core::scale::{Group, Params};
use infra::Grid;
use infra::aws::settings::{BUCKET, PREFIX, REPORT_QUEUE, TASK_QUEUE};
use infra::fleet::{LocalFleet, Process};

use super::FleetConfig;

/// Where machines come from, and how many there may be.
#[derive(Clone, Debug, Args)]
pub struct FleetSettings {
    /// Where workers come from: nowhere, or processes on this machine, which end with this manager.
    #[arg(long, env = "GRIDMILL_FLEET", value_enum, default_value_t = FleetKind::None)]
    pub fleet: FleetKind,
    /// Machines that always stay.
    #[arg(long, env = "GRIDMILL_MIN_MACHINES", default_value_t = 0, value_name = "N")]
    pub min_machines: u32,
    /// Machines at most, all groups together.
    #[arg(long, env = "GRIDMILL_MAX_MACHINES", default_value_t = 8, value_name = "N")]
    pub max_machines: u32,
    /// Slots of a machine: its vCPUs, as a rule.
    #[arg(long, env = "GRIDMILL_MACHINE_SLOTS", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub machine_slots: u32,
}

/// Where workers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FleetKind {
    /// Somebody else starts and ends them.
    None,
    /// Processes on this machine.
    Processes,
}

impl FleetSettings {
    /// The fleet, if there is one. `place` tells where the grid has its things.
    pub fn open(&self, grid: &Grid, place: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<FleetConfig>> {
        ensure!(
            self.min_machines <= self.max_machines,
            "GRIDMILL_MIN_MACHINES is {}, and GRIDMILL_MAX_MACHINES {}",
            self.min_machines,
            self.max_machines
        );
        Ok(match self.fleet {
            FleetKind::None => None,
            FleetKind::Processes => Some(self.processes(grid, place)?),
        })
    }

    fn params(&self, groups: Vec<Group>) -> Params {
        let (slots, min_machines, max_machines) = (self.machine_slots, self.min_machines, self.max_machines);
        Params { slots, min_machines, max_machines, groups, ..Params::default() }
    }

    fn processes(&self, grid: &Grid, place: impl Fn(&str) -> Option<String>) -> anyhow::Result<FleetConfig> {
        let own = std::env::current_exe().context("failed to find this program")?;
        let program = own.with_file_name("grid-worker");
        ensure!(program.is_file(), "{} is missing: processes of a fleet lie beside job-manager", program.display());
        let places = [BUCKET, PREFIX, TASK_QUEUE, REPORT_QUEUE].map(|name| (name, place(name)));
        let slots = self.machine_slots.to_string();
        let group = GroupName::new("processes");
        let fleet = LocalFleet::new(group.clone(), grid.clock.clone(), move |machine| {
            let mut command = Command::new(&program);
            command.args(["--machine", machine.as_str(), "--with-stdin", "--slots", &slots, "--heartbeat-secs", "2"]);
            command.envs(places.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
            Process::start(&mut command)
        });
        let params = Params {
            // They cost nothing, so that every hour saved is worth more.
            drain_target: None,
            usd_per_hour_saved: 1e6,
            boot: Duration::from_secs(2),
            slack: Duration::from_secs(5),
            ..self.params(vec![Group { name: group, usd_per_hour: 1e-3, taken_per_hour: 0.0 }])
        };
        Ok(FleetConfig { fleet: Arc::new(fleet), pool: DEFAULT_POOL.into(), params, tick: Duration::from_secs(2) })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        fleet: FleetSettings,
    }

    fn read(words: &[&str]) -> Result<FleetSettings, clap::Error> {
        Cli::try_parse_from([&["m"], words].concat()).map(|cli| cli.fleet)
    }

    #[test]
    fn a_fleet_that_cannot_be_is_refused_by_the_name_of_the_setting() {
        let grid = infra::memory::grid();
        let refused = |words: &[&str]| read(words).unwrap().open(&grid, |_| None).map(|_| ()).unwrap_err().to_string();
        assert!(refused(&["--min-machines", "9", "--max-machines", "8"]).contains("GRIDMILL_MIN_MACHINES is 9"));
        // A test lies in another folder than the programs.
        assert!(refused(&["--fleet", "processes"]).contains("grid-worker is missing"));
        assert!(read(&[]).unwrap().open(&grid, |_| None).unwrap().is_none());
    }
}
