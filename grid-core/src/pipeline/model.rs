//! A checked pipeline. Every value here holds what its type says; the parser refuses everything else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::StageName;
use crate::limits::{DEFAULT_GRACE, MAX_TIMEOUT};
use crate::terms::Terms;
use crate::units::{self, Allowance, ByteSize};

/// The pool of stages that name none.
pub const DEFAULT_POOL: &str = "default";

pub use crate::job::retry::rule::{RetryRule, RetryThen, RetryWhen};
pub use crate::split::rule::SplitBy;

/// A pipeline that passed every check: stage references exist, there is no cycle, templates name what exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Its parameters, by name.
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// Its inputs, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
    /// Its stages, every one after those it takes from or waits for (otherwise in the order of the file).
    pub stages: Vec<Stage>,
    /// The stages whose outputs are delivered: as listed in `outputs:`, else those that nothing consumes.
    pub outputs: Vec<StageName>,
    /// On what terms its jobs run. Of a job that was submitted: on what terms it does.
    #[serde(default, skip_serializing_if = "Terms::is_empty")]
    pub terms: Terms,
    /// On whose behalf its jobs run, unless the submission says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A parameter of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// What its values look like. Default: text.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Used when the submission does not give one; a parameter without a default must be given.
    #[serde(default)]
    pub default: Option<String>,
    /// Help for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// What a parameter's values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// A named input of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// How its records look. Default: lines of text.
    pub format: Format,
    /// Whether every file begins with a header line, repeated to every item; only `csv` and `text` have one. Default: no.
    #[serde(default)]
    pub header: bool,
    /// Where it lies unless the submission says so: paths, globs and folders, relative to the pipeline file.
    #[serde(default)]
    pub default: Vec<String>,
    /// Longest record accepted. Default: [`MAX_RECORD_BYTES`](crate::limits::MAX_RECORD_BYTES).
    pub max_record: ByteSize,
}

/// How the records of an input or output look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Lines.
    Text,
    /// RFC 4180: quoted fields may hold newlines.
    Csv,
    /// One JSON value a line.
    Ndjson,
    /// Bytes without records: never cut except by `bytes` and `even`, at any byte.
    Binary,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// Where its items come from.
    pub items: ItemSource,
    /// Stages that must be finished before this one begins.
    #[serde(default)]
    pub after: Vec<StageName>,
    /// What an item does.
    pub run: Command,
    /// How many items one process serves. Default: one.
    pub per: Per,
    /// How an item's input arrives. Default: on standard input.
    pub input_as: InputAs,
    /// Environment of its commands, templates not yet substituted.
    #[serde(default)]
    pub env: BTreeMap<String, Template>,
    /// Run once per worker before the first item.
    #[serde(default)]
    pub setup: Option<Command>,
    /// Workers that may serve it. Default: the pool [`DEFAULT_POOL`].
    pub pool: String,
    /// What an item needs of a machine.
    #[serde(default)]
    pub resources: Resources,
    /// What its outputs are called.
    pub output: Output,
    /// Whether results of earlier jobs with the same identity are taken. Default: yes.
    pub cache: bool,
    /// What is kept of an item that runs, for its next attempt. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Who is told of every task of it that is committed. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// What is tried again. Default: 3 attempts; 1 s, then twice as long up to 60 s, all of it drawn at random.
    pub retry: Retry,
    /// Longest time an item may run (`per: bundle`: the process). Default and maximum: [`MAX_TIMEOUT`].
    #[serde(rename = "timeout_secs", with = "units::secs")]
    pub timeout: Duration,
    /// Between SIGTERM and SIGKILL. Default: [`DEFAULT_GRACE`].
    #[serde(rename = "grace_secs", with = "units::secs")]
    pub grace: Duration,
    /// Items that may end as dead letters without failing the stage. Default: none.
    pub skip: Allowance,
    /// What becomes of the rest of the job when the stage fails. Default: continue.
    pub on_failure: OnFailure,
    /// What becomes of a task that takes far longer than the others. Default: it is copied.
    #[serde(default, skip_serializing_if = "Stragglers::is_default")]
    pub stragglers: Stragglers,
    /// More dead letters than this stop the job at once, whatever `on_failure` says. Default: no limit.
    #[serde(default)]
    pub max_failures: Option<Allowance>,
}

/// Where a stage's items come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemSource {
    /// Partitions of an input.
    Split(Split),
    /// The product of dimensions.
    Matrix(Matrix),
    /// Numbers.
    Range(Range),
    /// Given values.
    List(List),
    /// One item per item of these stages, in this order.
    Each(Vec<StageName>),
    /// One item per value of the dimensions.
    Group {
        /// The stages whose items are grouped.
        stages: Vec<StageName>,
        /// The dimensions.
        by: Vec<String>,
    },
    /// One item after every item of these stages.
    All {
        /// The stages.
        stages: Vec<StageName>,
        /// At most so many inputs an item: makes a tree of combiners. At least 2.
        fan_in: Option<u32>,
    },
}

impl ItemSource {
    /// The stages that data comes from.
    pub fn upstream(&self) -> &[StageName] {
        match self {
            Self::Split(_) | Self::Matrix(_) | Self::Range(_) | Self::List(_) => &[],
            Self::Each(stages) | Self::Group { stages, .. } | Self::All { stages, .. } => stages,
        }
    }
}

/// How an input is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The input.
    pub input: String,
    /// The rule.
    pub by: SplitBy,
}

/// A product of dimensions, as in GitHub Actions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Dimensions in the order of the file, each with its values; the last one varies fastest.
    pub dims: Vec<(String, Vec<String>)>,
    /// Combinations to add, or dimensions to add to combinations that match.
    #[serde(default)]
    pub include: Vec<BTreeMap<String, String>>,
    /// Combinations to leave out.
    #[serde(default)]
    pub exclude: Vec<BTreeMap<String, String>>,
}

/// `first ..= last`, both inclusive, by `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first number.
    pub first: i64,
    /// The last number that may occur, not before the first.
    pub last: i64,
    /// At least 1.
    pub step: u64,
}

/// Given values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// In the pipeline file itself.
    Inline(Vec<ListItem>),
    /// In a file, one item a line: text, or NDJSON objects. The path is relative to the pipeline file.
    File(String),
}

/// One given value: text (dimension `item`), or an object whose scalar fields are the dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ListItem {
    /// The dimension `item`.
    Text(String),
    /// One dimension a field, in the order written.
    Fields(Vec<(String, String)>),
}

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// By `/bin/sh -ec`; templates are substituted shell-quoted.
    Shell(Template),
    /// Without a shell; templates are substituted as they are. Never empty.
    Argv(Vec<Template>),
}

/// Text with `${{ .. }}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template {
    /// The pieces, in order.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplatePart {
    /// As it stands.
    Text(String),
    /// `${{ params.NAME }}`.
    Param(String),
    /// `${{ key.DIM }}`.
    Key(String),
    /// `${{ item }}`: the item's name.
    Item,
}

/// How many items one process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// One process an item.
    Item,
    /// One process for a task's items: their bytes one after the other on stdin, one output for all of them.
    Bundle,
    /// A co-process that serves items as NDJSON for as long as the worker lives.
    Worker,
}

/// How an item's input arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputAs {
    /// On standard input.
    Stdin,
    /// As the file `GRIDMILL_INPUT`.
    File,
    /// As the folder `GRIDMILL_INPUT_DIR`, one file an upstream item.
    Files,
}

/// What an item needs of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Worker slots it fills.
    pub cpus: Option<f64>,
    /// Address space it may use, as an rlimit.
    pub memory: Option<ByteSize>,
    /// Scratch it may use.
    pub disk: Option<ByteSize>,
}

/// What outputs are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Decides the extension: `txt`, `csv`, `ndjson`, `bin`. Default: text.
    pub format: Format,
    /// The file name of standard output, instead of `{item}.{ext}`.
    #[serde(default)]
    pub name: Option<Template>,
}

/// What is tried again. Default: three attempts; 1 s, then twice as long each time up to 60 s, drawn at random from zero
/// on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Executions of an item in all, at least 1.
    pub attempts: u32,
    /// How long to wait in between.
    pub backoff: Backoff,
    /// The first rule that matches decides; without one a failure is tried again while attempts are left.
    #[serde(default)]
    pub rules: Vec<RetryRule>,
}

/// Exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt.
    #[serde(rename = "initial_secs", with = "units::secs")]
    pub initial: Duration,
    /// Longer by this factor each time, at least 1.
    pub factor: f64,
    /// Never longer than this.
    #[serde(rename = "max_secs", with = "units::secs")]
    pub max: Duration,
    /// The share of the wait that is drawn at random, 0 to 1.
    pub jitter: f64,
}

/// What becomes of the rest of the job when a stage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Everything that does not need the failed items goes on.
    Continue,
    /// What runs may finish; nothing new is started.
    Drain,
    /// What runs is killed.
    Cancel,
}

/// What becomes of a task that takes far longer than the others of its stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stragglers {
    /// It is executed a second time, on another worker, while the first one goes on; whichever commits first counts.
    #[default]
    Copy,
    /// It is waited for.
    Wait,
}

impl Stragglers {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is kept of an item that runs: the folder `GRIDMILL_CHECKPOINT_DIR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How often it is kept, at least [`MIN_CHECKPOINT_INTERVAL`](crate::limits::MIN_CHECKPOINT_INTERVAL).
    #[serde(rename = "interval_secs", with = "units::secs")]
    pub interval: Duration,
}

/// Who is told of the tasks of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// The queue: its name, its URL or its ARN. The grid says which ones may be named.
    pub queue: String,
}

impl Default for Retry {
    fn default() -> Self {
        let (initial, max) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { attempts: 3, backoff: Backoff { initial, factor: 2.0, max, jitter: 1.0 }, rules: Vec::new() }
    }
}

impl Stage {
    /// A stage of which a pipeline file says no more than this: everything else has its default.
    pub fn new(name: StageName, items: ItemSource, run: Command) -> Self {
        Self {
            name,
            items,
            after: Vec::new(),
            run,
            per: Per::Item,
            input_as: InputAs::Stdin,
            env: BTreeMap::new(),
            setup: None,
            pool: DEFAULT_POOL.to_owned(),
            resources: Resources::default(),
            output: Output { format: Format::Text, name: None },
            cache: true,
            checkpoint: None,
            notify: None,
            retry: Retry::default(),
            timeout: MAX_TIMEOUT,
            grace: DEFAULT_GRACE,
            skip: Allowance::Items(0),
            on_failure: OnFailure::Continue,
            stragglers: Stragglers::Copy,
            max_failures: None,
        }
    }
}

impl Pipeline {
    /// A pipeline of these stages, without parameters and inputs, that delivers nothing.
    pub fn new(name: impl Into<String>, stages: Vec<Stage>) -> Self {
        let (params, inputs) = (BTreeMap::new(), BTreeMap::new());
        let (outputs, terms, tenant) = (Vec::new(), Terms::default(), None);
        Self { name: name.into(), params, inputs, stages, outputs, terms, tenant }
    }

    /// The stage of that name.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == *name)
    }

    /// The place of the stage of that name in [`stages`](Self::stages).
    pub fn position(&self, name: &StageName) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == *name)
    }
}

impl Format {
    /// The extension of a file of this format.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Binary => "bin",
        }
    }
}
