//! The arguments of each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use grid_api::JobState;
use grid_core::price::Usd;
use grid_core::terms::{Budget, LEAST_BUDGET, MOST_BUDGET, OnExceed, Priority, Terms};
use grid_core::units::parse_duration;

use super::place::{ManagerFlags, PlaceArgs, StateArgs};
use super::workers::{Workers, workers};

/// The pipeline, and what it is run on.
#[derive(Args, Clone, Debug)]
pub struct PipelineArgs {
    /// The pipeline file (YAML or JSON)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Where an input lies: a path, a glob, a folder, or - for standard input; repeat for several
    #[arg(long, short, value_name = "NAME=URI", value_parser = name_and_value)]
    pub input: Vec<(String, String)>,

    /// The value of a parameter
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub param: Vec<(String, String)>,
}

/// On what terms a job runs, in place of what the pipeline file says.
#[derive(Args, Clone, Debug, Default)]
pub struct TermsArgs {
    /// When the job shall be done, after it was accepted, such as 2h30m
    #[arg(long, value_name = "DURATION", value_parser = some_time, help_heading = "Terms")]
    pub deadline: Option<Duration>,

    /// What the job may cost, in dollars
    #[arg(long, value_name = "USD", value_parser = usd, help_heading = "Terms")]
    pub budget: Option<f64>,

    /// When the budget is spent: finish what runs, or cancel it [default: finish]
    #[arg(long, value_name = "WORD", value_parser = on_exceed, requires = "budget", help_heading = "Terms")]
    pub on_exceed: Option<OnExceed>,

    /// Against other jobs of the tenant, -5 to 5: each step has twice the share of the one below
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i8).range(-5..=5), allow_negative_numbers = true, help_heading = "Terms")]
    pub priority: Option<i8>,

    /// On whose behalf the job runs
    #[arg(long, value_name = "NAME", help_heading = "Terms")]
    pub tenant: Option<String>,
}

impl TermsArgs {
    /// What was said of them.
    pub fn terms(&self) -> Terms {
        Terms {
            deadline: self.deadline,
            budget: self.budget.map(|usd| Budget { usd, on_exceed: self.on_exceed.unwrap_or_default() }),
            priority: self.priority.and_then(Priority::new),
        }
    }
}

/// `gridmill run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,

    #[command(flatten)]
    pub terms: TermsArgs,

    /// What an hour of a slot costs here: the receipt says by it what the job cost, and a budget is kept [default: nothing]
    #[arg(long, value_name = "USD", value_parser = price, help_heading = "Terms")]
    pub usd_per_slot_hour: Option<Usd>,

    /// The folder that outputs are delivered to
    #[arg(long, short, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,

    /// How many items run at once: a number, or a range such as 0..8 within which workers come with the work and go when they
    /// are idle [default: the number of cores]
    #[arg(long, short = 'j', value_name = "N|A..B", value_parser = workers)]
    pub workers: Option<Workers>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    /// The pipeline file (YAML or JSON)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `gridmill plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,

    /// How many items run at once, for the quote [default: the number of cores]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub workers: Option<u32>,

    /// Run the job here for so long first, such as 30s, where nothing tells yet how long it takes. What that has done is
    /// kept in the state folder, and `run` goes on with it
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub pilot: Option<Duration>,

    /// What an hour of a slot costs, for the quote [default: nothing]
    #[arg(long, value_name = "USD", value_parser = price)]
    pub usd_per_slot_hour: Option<Usd>,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// A job.
#[derive(Args, Clone, Debug)]
pub struct JobArgs {
    /// The job: its id, or a part of it that no other has [default: the newest]
    #[arg(value_name = "JOB")]
    pub job: Option<String>,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `gridmill dead`.
#[derive(Args, Clone, Debug)]
pub struct DeadArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Only items of this stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Print the bytes of those items' input instead
    #[arg(long, conflicts_with = "json")]
    pub input: bool,
}

/// A job and one item of it.
#[derive(Args, Clone, Debug)]
pub struct ItemArgs {
    /// `[JOB] STAGE/ITEM`: an item by name, or as STAGE/#INDEX; of the newest job unless one is named
    #[arg(value_name = "[JOB] STAGE/ITEM", required = true, num_args = 1..=2)]
    pub words: Vec<String>,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `gridmill replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// `[JOB] STAGE/ITEM`: an item by name, or as STAGE/#INDEX; of the newest job unless one is named
    #[arg(value_name = "[JOB] STAGE/ITEM", required = true, num_args = 1..=2)]
    pub words: Vec<String>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill rebuild`.
#[derive(Args, Clone, Debug)]
pub struct RebuildArgs {
    #[command(flatten)]
    pub state: StateArgs,

    /// The grid on AWS that GRIDMILL_BUCKET, GRIDMILL_TABLE and the like name, as for job-manager
    #[arg(long)]
    pub aws: bool,

    /// Leave the jobs that the table has as they are, and make again the others
    #[arg(long, conflicts_with = "replace")]
    pub missing: bool,

    /// Write all jobs anew, also those that the table has
    #[arg(long)]
    pub replace: bool,

    /// Jobs that have not ended wait for `gridmill resume`
    #[arg(long)]
    pub paused: bool,
}

/// `gridmill logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// `[JOB] [STAGE[/ITEM]]`: everything of the newest job unless it says otherwise
    #[arg(value_name = "[JOB] [STAGE[/ITEM]]", num_args = 0..=2)]
    pub words: Vec<String>,

    /// Go on with what is written while the job runs
    #[arg(long, short = 'F')]
    pub follow: bool,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `gridmill outputs`.
#[derive(Args, Clone, Debug)]
pub struct OutputsArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Deliver them to this folder, as `run --out` would; what is there already is not fetched again
    #[arg(long = "fetch", short, visible_alias = "out", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `gridmill list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Only jobs in this state: running, paused, committing, succeeded, failed, cancelled or quarantined
    #[arg(long, value_name = "STATE", value_parser = job_state)]
    pub only: Option<JobState>,

    /// How many at most [default: 20; with --json all of them]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `gridmill status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Show its progress until it ends, and end with its exit code
    #[arg(long, short)]
    pub watch: bool,
}

/// `gridmill submit`.
#[derive(Args, Clone, Debug)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,

    #[command(flatten)]
    pub terms: TermsArgs,

    /// Show the job's progress until it ends, and end with its exit code; Ctrl-C leaves it running
    #[arg(long, short)]
    pub watch: bool,

    /// Wait for the job's end as --watch does, and deliver its outputs to this folder, as `run --out` would
    #[arg(long, short, value_name = "DIR")]
    pub fetch: Option<PathBuf>,

    /// The same key is the same job, however often it is submitted [default: a new one each time]
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,

    #[command(flatten)]
    pub manager: ManagerFlags,
}

/// `gridmill redrive`.
#[derive(Args, Clone, Debug)]
pub struct RedriveArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Which dead items, such as `stage=clean and reason=timeout` [default: all]
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,

    /// Another value of a parameter for these items, or `resources.memory=x2`; repeat for several
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub set: Vec<(String, String)>,
}

/// `gridmill workers` and `gridmill pools`.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    #[command(flatten)]
    pub manager: ManagerFlags,
}

/// What `doctor` takes. The settings are those of the daemons, in the environment.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Whose needs to look at
    #[arg(long, value_enum, default_value_t = DoctorRole::Manager)]
    pub role: DoctorRole,
}

/// A daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorRole {
    /// The job manager
    Manager,
    /// A worker: it has no right to the table
    Worker,
}

/// Reads the state of a job.
fn job_state(text: &str) -> Result<JobState, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("`{text}` is no state of a job"))
}

/// Reads a duration longer than zero.
fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("zero is not allowed here".to_owned()),
        time => Ok(time),
    }
}

/// Reads a number of dollars.
fn usd(text: &str) -> Result<f64, String> {
    let usd =
        text.strip_prefix('$').unwrap_or(text).parse().ok().filter(|usd| (LEAST_BUDGET..=MOST_BUDGET).contains(usd));
    usd.ok_or_else(|| format!("`{text}` is no number of dollars from {LEAST_BUDGET} to {MOST_BUDGET}"))
}

/// Reads what something costs in dollars.
fn price(text: &str) -> Result<Usd, String> {
    text.strip_prefix('$').unwrap_or(text).parse()
}

/// Reads what becomes of a job whose budget is spent.
fn on_exceed(text: &str) -> Result<OnExceed, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("`{text}` is neither `finish` nor `cancel`"))
}

/// Reads `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: write NAME=VALUE"))?;
    if name.is_empty() {
        return Err(format!("`{text}` has no name before the `=`"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
