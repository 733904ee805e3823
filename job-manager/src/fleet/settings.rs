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
use infra::aws::open_queue;
use infra::aws::settings::{AWS_FLEET, BUCKET, EVENT_QUEUE, FLEET, GROUPS, PREFIX, REPORT_QUEUE, TASK_QUEUE};
use infra::fleet::{AutoScaling, Fleet, LocalFleet, Process};

use super::FleetConfig;

/// Where machines come from, and how many there may be.
#[derive(Clone, Debug, Args)]
pub struct FleetSettings {
    /// Where workers come from: nowhere, processes on this machine, or Auto Scaling groups.
    #[arg(long, env = FLEET, value_enum, default_value_t = FleetKind::None)]
    pub fleet: FleetKind,
    /// The Auto Scaling groups: NAME=USD for what a machine costs an hour, NAME=USD:RATE for one of which so many machines
    /// are taken away an hour (spot).
    #[arg(long, env = GROUPS, value_name = "NAME=USD[:RATE],..", value_delimiter = ',', value_parser = group)]
    pub groups: Vec<Group>,
    /// The queue of EventBridge's events about the groups' instances, by name or URL: with it a machine that goes is known at once.
    #[arg(long, env = EVENT_QUEUE, value_name = "QUEUE")]
    pub event_queue: Option<String>,
    /// Machines that always stay.
    #[arg(long, env = "GRIDMILL_MIN_MACHINES", default_value_t = 0, value_name = "N")]
    pub min_machines: u32,
    /// Machines at most, all groups together.
    #[arg(long, env = "GRIDMILL_MAX_MACHINES", default_value_t = 8, value_name = "N")]
    pub max_machines: u32,
    /// Slots of a machine: its vCPUs, as a rule.
    #[arg(long, env = "GRIDMILL_MACHINE_SLOTS", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub machine_slots: u32,
    /// How soon the last task of a job without a deadline shall have started, seconds; on this machine at once.
    #[arg(long, env = "GRIDMILL_DRAIN_TARGET_SECS", default_value_t = 900, value_name = "SECONDS")]
    pub drain_target_secs: u64,
    /// A job that machines which are taken away would make late, more likely than this, is bought machines of a group that
    /// stays, if one is named. 1: what is cheapest, always.
    #[arg(long, env = "GRIDMILL_LATE_RISK", default_value_t = Params::default().late_risk, value_name = "CHANCE", value_parser = chance)]
    pub late_risk: f64,
    /// Machine-hours a day, counted from midnight UTC, after which no more machines are asked for; those that are there go on.
    #[arg(long, env = "GRIDMILL_DAILY_MACHINE_HOURS", value_name = "HOURS", value_parser = hours)]
    pub daily_machine_hours: Option<f64>,
}

/// Where workers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FleetKind {
    /// Somebody else starts and ends them.
    None,
    /// Processes on this machine.
    Processes,
    /// Auto Scaling groups.
    #[value(name = AWS_FLEET)]
    Aws,
}

impl FleetSettings {
    /// Where the fleet has one of its things, by the name of the setting.
    pub fn place(&self, name: &str) -> Option<String> {
        match name {
            FLEET => self.fleet.to_possible_value().map(|kind| kind.get_name().to_owned()),
            GROUPS => {
                let groups =
                    self.groups.iter().map(|it| format!("{}={}:{}", it.name, it.usd_per_hour, it.taken_per_hour));
                Some(groups.collect::<Vec<_>>().join(","))
            }
            EVENT_QUEUE => self.event_queue.clone(),
            _ => None,
        }
    }

    /// The fleet, if there is one. `place` tells where the grid has its things.
    pub async fn open(
        &self,
        grid: &Grid,
        place: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<FleetConfig>> {
        ensure!(
            self.min_machines <= self.max_machines,
            "GRIDMILL_MIN_MACHINES is {}, and GRIDMILL_MAX_MACHINES {}",
            self.min_machines,
            self.max_machines
        );
        Ok(match self.fleet {
            FleetKind::None => None,
            FleetKind::Processes => Some(self.processes(grid, place)?),
            FleetKind::Aws => Some(self.aws(grid).await?),
        })
    }

    fn params(&self, groups: Vec<Group>) -> Params {
        let (slots, min_machines, max_machines) = (self.machine_slots, self.min_machines, self.max_machines);
        let drain_target = Some(Duration::from_secs(self.drain_target_secs));
        let (late_risk, daily_machine_hours) = (self.late_risk, self.daily_machine_hours);
        Params {
            slots,
            min_machines,
            max_machines,
            groups,
            drain_target,
            late_risk,
            daily_machine_hours,
            ..Params::default()
        }
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
        Ok(FleetConfig {
            fleet: Arc::new(fleet),
            pool: DEFAULT_POOL.into(),
            params,
            tick: Duration::from_secs(2),
            events: None,
            outlives_manager: false,
        })
    }

    async fn aws(&self, grid: &Grid) -> anyhow::Result<FleetConfig> {
        ensure!(!self.groups.is_empty(), "missing setting GRIDMILL_GROUPS: the Auto Scaling groups of the workers");
        let names = self.groups.iter().map(|group| group.name.clone()).collect();
        let opened = AutoScaling::open(names, self.machine_slots, grid.clock.clone()).await;
        let fleet = opened.context("failed to open Auto Scaling")?;
        match fleet.look().await {
            // It is looked at again and again.
            Err(error) if error.is_transient() => tracing::warn!(%error, "the fleet cannot be looked at yet"),
            looked => _ = looked.context("failed to look at the groups that GRIDMILL_GROUPS names")?,
        }
        let events = match &self.event_queue {
            Some(queue) => Some(open_queue(queue).await.context("failed to open the queue of GRIDMILL_EVENT_QUEUE")?),
            None => None,
        };
        let params = self.params(self.groups.clone());
        Ok(FleetConfig {
            fleet: Arc::new(fleet),
            pool: DEFAULT_POOL.into(),
            params,
            tick: Duration::from_secs(12),
            events,
            outlives_manager: true,
        })
    }
}

/// Reads `NAME=USD` or `NAME=USD:RATE`.
fn group(text: &str) -> Result<Group, String> {
    let wrong = || format!("`{text}` is no group: write NAME=USD or NAME=USD:RATE, such as workers-spot=0.07:0.03");
    let (name, numbers) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    let (usd, rate) = numbers.split_once(':').unwrap_or((numbers, "0"));
    let number = |text: &str| text.parse().ok().filter(|number: &f64| (0.0..=1e4).contains(number)).ok_or_else(wrong);
    Ok(Group { name: GroupName::new(name), usd_per_hour: number(usd)?, taken_per_hour: number(rate)? })
}

/// Reads a chance, from 0 to 1.
fn chance(text: &str) -> Result<f64, String> {
    let chance = text.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
    chance.ok_or_else(|| format!("`{text}` is no chance: write a number from 0 to 1, such as 0.02"))
}

/// Reads hours, more than 0.
fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse().ok().filter(|hours: &f64| hours.is_finite() && *hours > 0.0);
    hours.ok_or_else(|| format!("`{text}` is no number of hours above 0"))
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
    fn groups_have_names_prices_and_rates() {
        let settings = read(&["--fleet", "aws", "--groups", "a-spot=0.07:0.03,a-on-demand=0.17"]).unwrap();
        let group = |name: &str, usd_per_hour, taken_per_hour| Group {
            name: GroupName::new(name),
            usd_per_hour,
            taken_per_hour,
        };
        assert_eq!(settings.groups, [group("a-spot", 0.07, 0.03), group("a-on-demand", 0.17, 0.0)]);
        let place = |name: &str| settings.place(name).unwrap();
        assert_eq!([place(FLEET), place(GROUPS)], [AWS_FLEET, "a-spot=0.07:0.03,a-on-demand=0.17:0"]);
        for wrong in ["a", "=1", "a=", "a=-1", "a=1:x", "a=NaN"] {
            assert!(read(&["--groups", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_law_may_risk_and_spend_is_the_owners_choice() {
        let params = |words: &[&str]| read(words).unwrap().params(Vec::new());
        let of = |params: Params| (params.late_risk, params.daily_machine_hours);
        assert_eq!(of(params(&[])), of(Params::default()));
        assert_eq!(of(params(&["--late-risk", "0.1", "--daily-machine-hours", "48"])), (0.1, Some(48.0)));
        assert_eq!([params(&["--late-risk", "0"]).late_risk, params(&["--late-risk", "1"]).late_risk], [0.0, 1.0]);
        for wrong in ["-0.1", "1.1", "NaN", "2%", ""] {
            assert!(read(&[&format!("--late-risk={wrong}")]).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "inf", "NaN", "a"] {
            assert!(read(&[&format!("--daily-machine-hours={wrong}")]).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_fleet_that_cannot_be_is_refused_by_the_name_of_the_setting() {
        let grid = infra::memory::grid();
        let refused = async |words: &[&str]| {
            let opened = read(words).unwrap().open(&grid, |_| None).await;
            opened.map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused(&["--fleet", "aws"]).await.contains("GRIDMILL_GROUPS"));
        // A test lies in another folder than the programs.
        assert!(refused(&["--fleet", "processes"]).await.contains("grid-worker is missing"));
        assert!(refused(&["--min-machines", "9", "--max-machines", "8"]).await.contains("GRIDMILL_MIN_MACHINES is 9"));
        assert!(read(&[]).unwrap().open(&grid, |_| None).await.unwrap().is_none());
    }
}
