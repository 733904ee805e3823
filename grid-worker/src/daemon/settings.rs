//! What `grid-worker` is told on its command line and in its environment.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use ::daemon::{Log, Places};
use clap::{Args, Parser, Subcommand, value_parser};
use grid_core::limits::{MANAGER_SIGN_EVERY, MAX_HEARTBEAT};
use grid_core::pipeline::DEFAULT_POOL;
use infra::aws::WorkerSettings;
use infra::aws::settings::{DEFAULT_HOOK, GROUP, HOOK};

use super::metadata::MetadataSettings;

/// Executes the tasks of a grid: takes them from a queue, runs their commands, and writes what they make to the bucket.
///
/// Region, credentials and endpoint are those of the AWS SDK (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, roles of the
/// instance ..). The worker runs until SIGTERM or SIGINT: then it takes no more tasks, finishes the items in hand and gives
/// the rest back. A second signal ends the items in hand, too.
///
/// It ends with status 0 after a drain, 1 when it can no longer work (its disk is full, its rights were taken away), 2 when a
/// setting is wrong or missing, 5 when the grid refuses it at the start, 6 when it was idle for long and there is no manager.
#[derive(Debug, Parser)]
#[command(name = "grid-worker", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub special: Option<Special>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What this program is used for beside work.
#[derive(Debug, Subcommand)]
pub enum Special {
    /// Ends what a killed worker has left behind.
    #[command(hide = true)]
    Guard { cookie: String },
    /// Stands before the instance's metadata, as another user, so that commands need no way to it.
    Metadata(MetadataSettings),
}

/// What a worker is told.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Where the grid has its things.
    #[command(flatten)]
    pub places: Places,
    /// The pool that this worker serves, as the manager shows it. A pool is a task queue of its own; managers hand out
    /// tasks of the pool `default` only, and refuse jobs that want another one.
    #[arg(long, env = "GRIDMILL_POOL", default_value = DEFAULT_POOL, value_name = "NAME")]
    pub pool: String,
    /// Tasks executed side by side; one a core unless said.
    #[arg(long, env = "GRIDMILL_SLOTS", value_name = "N", value_parser = value_parser!(u32).range(1..=4_096))]
    pub slots: Option<u32>,
    /// Where commands get their scratch folders: on a disk with room for what they write. What a worker that was killed has
    /// left there is removed.
    #[arg(long, env = "GRIDMILL_SCRATCH", value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
    /// How long a task message is leased, seconds; extended three times as often. The work of a worker that was killed
    /// is done again after so long.
    #[arg(long, env = "GRIDMILL_LEASE_SECS", default_value_t = 60, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(3..=43_000))]
    pub lease_secs: u64,
    /// How often the manager is told what runs here, seconds.
    #[arg(long, env = "GRIDMILL_HEARTBEAT_SECS", default_value_t = 20, value_name = "SECONDS",
        value_parser = value_parser!(u64).range(1..=MAX_HEARTBEAT.as_secs()))]
    pub heartbeat_secs: u64,
    /// How long the items in hand may take after the first signal before they are ended, seconds. Two minutes before a spot
    /// instance is taken away there is a notice.
    #[arg(long, env = "GRIDMILL_DRAIN_SECS", default_value_t = 90, value_name = "SECONDS")]
    pub drain_secs: u64,
    /// Variables of this process that commands see, beside PATH, HOME, USER, LOGNAME, SHELL, LANG, LC_*, TZ and TMPDIR. Those
    /// that begin with AWS_ or GRIDMILL_ are never handed on.
    #[arg(long, env = "GRIDMILL_PASS_ENV", value_name = "NAME,..", value_delimiter = ',')]
    pub pass_env: Vec<String>,
    /// The log.
    #[command(flatten)]
    pub log: Log,
    /// The machine of the manager's fleet that this worker lives on: an instance's id. It then takes no more tasks when the manager
    /// is about to end the machine, and says so.
    #[arg(long, env = "GRIDMILL_MACHINE", value_name = "ID", value_parser = machine)]
    pub machine: Option<String>,
    /// The instance metadata service, 169.254.169.254:80 on EC2: with it the worker drains on a spot notice, and when its group
    /// ends the instance, whose id is the machine.
    #[arg(long, env = "GRIDMILL_INSTANCE_METADATA", value_name = "IP:PORT")]
    pub instance_metadata: Option<String>,
    /// The Auto Scaling group of this instance: its hook is held while the worker drains, and let go when it has. Without it the
    /// instance goes when the hook runs out.
    #[arg(long, env = GROUP, value_name = "NAME", requires = "instance_metadata")]
    pub group: Option<String>,
    /// What the group's hook of termination is called.
    #[arg(long, env = HOOK, default_value = DEFAULT_HOOK, value_name = "NAME")]
    pub hook: String,
    /// End with status 6 when there was neither a task nor a sign of a manager for so long, seconds; at least 900. A manager with
    /// a fleet gives a sign every five minutes, others give none. Without it a worker waits for ever.
    #[arg(long, env = "GRIDMILL_ORPHAN_SECS", value_name = "SECONDS",
        value_parser = value_parser!(u64).range(3 * MANAGER_SIGN_EVERY.as_secs()..))]
    pub orphan_secs: Option<u64>,
    /// Drain when standard input ends: with it whoever started this worker has gone.
    #[arg(long, hide = true)]
    pub with_stdin: bool,
    /// Look at what a worker needs - settings, rights, bucket, queues - say what is wrong, and end.
    #[arg(long)]
    pub check: bool,
}

/// A name that can be a part of an object's key.
fn machine(text: &str) -> Result<String, String> {
    let is_plain =
        !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_plain { Ok(text.to_owned()) } else { Err(format!("`{text}` is no machine: letters, digits and `-`")) }
}

impl Settings {
    /// Where the grid is; the error names every setting that is missing.
    pub fn grid(&self) -> infra::Result<WorkerSettings> {
        WorkerSettings::from_vars(|name| self.place(name))
    }

    /// Where the grid has one of its things, by the name of the setting.
    pub fn place(&self, name: &str) -> Option<String> {
        match name {
            GROUP => self.group.clone(),
            HOOK => Some(self.hook.clone()),
            _ => self.places.place(name),
        }
    }

    pub fn slots(&self) -> u32 {
        self.slots.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get) as u32)
    }

    /// The folder that all workers of this machine share.
    pub fn scratch(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(|| std::env::temp_dir().join("grid-worker"))
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }

    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_secs)
    }

    pub fn orphan(&self) -> Option<Duration> {
        self.orphan_secs.map(Duration::from_secs)
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_missing_is_named() {
        let cli = Cli::parse_from(["grid-worker", "--bucket", "b", "--task-queue", ""]);
        let missing = cli.settings.grid().unwrap_err().to_string();
        assert!(missing.contains("GRIDMILL_TASK_QUEUE") && missing.contains("GRIDMILL_REPORT_QUEUE"), "{missing}");
        assert!(!missing.contains("GRIDMILL_BUCKET"), "{missing}");
    }

    #[test]
    fn numbers_that_cannot_work_are_refused() {
        for wrong in [["--slots", "0"], ["--lease-secs", "43200"], ["--heartbeat-secs", "0"], ["--orphan-secs", "899"]]
        {
            assert!(Cli::try_parse_from([&["grid-worker"][..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
