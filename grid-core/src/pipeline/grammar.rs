//! Every key of the pipeline file, once: the parser refuses and suggests by this table, and `gridmill schema` prints it. The keys of
//! `split:` and of retry rules stand with what they belong to.

use crate::job::retry::rule::RULE;
use crate::split::rule::SPLIT;
use crate::terms::{LEAST_BUDGET, MOST};

/// A map with known keys.
pub(crate) struct Section {
    /// What it is, for messages: "unknown key in {what}".
    pub what: &'static str,
    pub keys: &'static [Key],
}

/// A known key.
pub(crate) struct Key {
    pub name: &'static str,
    pub need: Need,
    pub shape: Shape,
    /// Help for people who hover over it.
    pub help: &'static str,
}

/// Whether a key must, may or cannot yet be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Optional,
    Required,
    /// In the interface, and refused by name until its machinery exists.
    NotBuilt,
}

/// What a value looks like.
pub(crate) enum Shape {
    Text,
    /// Text that matches a pattern.
    Named(&'static str),
    Boolean,
    /// A whole number of at least this.
    Integer(i64),
    /// A whole number from the first to the second.
    Between(i64, i64),
    /// A number of at least this.
    Number(f64),
    /// Text, number or boolean.
    Scalar,
    Size,
    Duration,
    Allowance,
    /// One of these words.
    Word(&'static [Word]),
    /// One or a list of them.
    OneOrMany(&'static Shape),
    List(&'static Shape),
    /// A map with free keys that match a pattern.
    Map(&'static str, &'static Shape),
    Section(&'static Section),
    Either(&'static [Shape]),
    /// The map of a matrix: dimensions beside known keys.
    Matrix(&'static Section),
}

/// A known word.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    pub name: &'static str,
    pub is_built: bool,
}

/// Names of stages and inputs.
pub(crate) const STAGE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$";
/// Names of parameters, dimensions and environment variables.
pub(crate) const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// Names of pipelines and pools.
pub(crate) const PLAIN_NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";
/// Names of tenants.
pub(crate) const TENANT_NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";
const RANGE: &str = r"^\s*-?[0-9]+\s*\.\.\s*-?[0-9]+(\s+step\s+[0-9]+)?\s*$";
/// A word.
pub(crate) const fn word(name: &'static str) -> Word {
    Word { name, is_built: true }
}

/// A word that is refused by name.
pub(crate) const fn later(name: &'static str) -> Word {
    Word { name, is_built: false }
}

/// A key that may be there.
pub(crate) const fn may(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, help }
}

/// A key that must be there.
pub(crate) const fn must(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, need: Need::Required, shape, help }
}

/// A key that is refused by name.
pub(crate) const fn not_built(name: &'static str, help: &'static str) -> Key {
    Key { name, need: Need::NotBuilt, shape: Shape::Scalar, help }
}

pub(crate) const PARAM_TYPES: &[Word] = &[word("string"), word("integer"), word("number"), word("boolean")];
pub(crate) const INPUT_FORMATS: &[Word] =
    &[word("text"), word("csv"), word("ndjson"), word("binary"), later("parquet")];
pub(crate) const OUTPUT_FORMATS: &[Word] = &[word("text"), word("csv"), word("ndjson"), word("binary")];
pub(crate) const PER: &[Word] = &[word("item"), word("bundle"), word("worker")];
pub(crate) const INPUT_AS: &[Word] = &[word("stdin"), word("file"), word("files")];
pub(crate) const STRAGGLERS: &[Word] = &[word("copy"), word("wait")];
pub(crate) const ON_FAILURE: &[Word] = &[word("continue"), word("drain"), word("cancel")];
pub(crate) const ON_EXCEED: &[Word] = &[word("finish"), word("cancel")];
pub(crate) const REASONS: &[Word] = &[
    word("exit"),
    word("signal"),
    word("timeout"),
    word("oom"),
    word("disk_full"),
    word("input"),
    word("output"),
    word("setup"),
    word("lease_lost"),
    word("spot"),
    word("drain"),
    word("cancelled"),
    word("internal"),
];

const STAGE_REFS: Shape = Shape::OneOrMany(&Shape::Named(STAGE_NAME));
const COMMAND: Shape = Shape::Either(&[Shape::Text, Shape::List(&Shape::Scalar)]);
const DIMENSIONS: Shape = Shape::Map(IDENTIFIER, &Shape::Scalar);

pub(crate) static PIPELINE: Section = Section {
    what: "the pipeline",
    keys: &[
        must("name", Shape::Named(PLAIN_NAME), "The name of the pipeline."),
        may("params", Shape::Map(IDENTIFIER, &Shape::Section(&PARAM)), "Parameters, set with `--param NAME=VALUE`."),
        may("inputs", Shape::Map(STAGE_NAME, &Shape::Section(&INPUT)), "Inputs, given with `--input NAME=URI`."),
        must("stages", Shape::Map(STAGE_NAME, &Shape::Section(&STAGE)), "The stages, by name."),
        may("outputs", STAGE_REFS, "The stages whose outputs are delivered. Default: those that nothing consumes."),
        may(
            "deadline",
            Shape::Duration,
            "When the job shall be done, after it was accepted: machines come in time for it.",
        ),
        may("budget", Shape::Section(&BUDGET), "What the job may cost."),
        may(
            "priority",
            Shape::Between(-(MOST as i64), MOST as i64),
            "Against other jobs of the tenant: each step has twice the share of the one below. Default: 0.",
        ),
        may(
            "tenant",
            Shape::Named(TENANT_NAME),
            "On whose behalf the job runs. Default: the tenant of who submits it.",
        ),
    ],
};

pub(crate) static BUDGET: Section = Section {
    what: "`budget`",
    keys: &[
        must("usd", Shape::Number(LEAST_BUDGET), "How many dollars."),
        may(
            "on_exceed",
            Shape::Word(ON_EXCEED),
            "When they are spent: `finish` what runs and start nothing more, or `cancel`. Default: finish.",
        ),
    ],
};

pub(crate) static PARAM: Section = Section {
    what: "a parameter",
    keys: &[
        may("type", Shape::Word(PARAM_TYPES), "What its values look like. Default: string."),
        may("default", Shape::Scalar, "Used when none is given. Without it the parameter must be given."),
        may("description", Shape::Text, "Help for people."),
    ],
};

pub(crate) static INPUT: Section = Section {
    what: "an input",
    keys: &[
        may("format", Shape::Word(INPUT_FORMATS), "How its records look. Default: text (lines)."),
        may("header", Shape::Boolean, "Every file begins with a header line, repeated to every item (csv and text)."),
        may(
            "default",
            Shape::OneOrMany(&Shape::Text),
            "Paths, globs and folders, relative to the pipeline file, unless the submission says where it lies.",
        ),
        may("max_record", Shape::Size, "The longest record accepted. Default: 16MiB."),
    ],
};

pub(crate) static STAGE: Section = Section {
    what: "a stage",
    keys: &[
        may("split", Shape::Section(&SPLIT), "Items: partitions of an input, cut on record borders."),
        may("matrix", Shape::Matrix(&MATRIX), "Items: the product of dimensions, as in GitHub Actions."),
        may(
            "range",
            Shape::Either(&[Shape::Named(RANGE), Shape::Section(&RANGE_KEYS)]),
            "Items: numbers, both ends included: `1..1000`, `0..100 step 5`.",
        ),
        may(
            "list",
            Shape::Either(&[Shape::Text, Shape::List(&Shape::Either(&[Shape::Scalar, DIMENSIONS]))]),
            "Items: values, or a FILE with one item a line or NDJSON objects.",
        ),
        may("each", STAGE_REFS, "Items: one per item of these stages, started as soon as that one is committed."),
        may("group", STAGE_REFS, "Items: one per value of the dimensions `by`, started when that group is complete."),
        may("by", Shape::OneOrMany(&Shape::Named(IDENTIFIER)), "The dimensions of `group`."),
        may("all", STAGE_REFS, "Items: one, after every item of these stages."),
        may("fan_in", Shape::Integer(2), "With `all`: at most so many inputs an item, as a tree of combiners."),
        not_built("tasks", "Items: an explicit task graph, NDJSON."),
        may("after", STAGE_REFS, "Stages that must be finished first; no data is taken from them."),
        may("run", COMMAND, "The command: text for `/bin/sh -ec`, or a list of arguments without a shell."),
        not_built("step", "A built-in step instead of a command."),
        may("per", Shape::Word(PER), "How many items one process serves. Default: item."),
        may("input_as", Shape::Word(INPUT_AS), "How an item's input arrives. Default: stdin."),
        may("env", Shape::Map(IDENTIFIER, &Shape::Scalar), "Environment variables of the command."),
        may("setup", COMMAND, "Run once per worker and stage, before the first item."),
        may("pool", Shape::Named(PLAIN_NAME), "The workers that serve it. Default: default."),
        may("resources", Shape::Section(&RESOURCES), "What an item needs of a machine."),
        may(
            "checkpoint",
            Shape::Section(&CHECKPOINT),
            "Keeps the folder GRIDMILL_CHECKPOINT_DIR for the next attempt.",
        ),
        may("output", Shape::Section(&OUTPUT), "What outputs are called."),
        may("notify", Shape::Section(&NOTIFY), "Puts an event on a queue of yours for every task that is committed."),
        may("cache", Shape::Boolean, "Take results of earlier jobs with the same identity. Default: true."),
        may("retry", Shape::Section(&RETRY), "What is tried again."),
        may("timeout", Shape::Duration, "The longest time an item may run. Default and maximum: 11h."),
        may("grace", Shape::Duration, "The time between SIGTERM and SIGKILL. Default: 10s."),
        may("skip", Shape::Section(&SKIP), "Items that may end as dead letters without failing the stage."),
        may("on_failure", Shape::Word(ON_FAILURE), "The rest of the job when this stage fails. Default: continue."),
        may("stragglers", Shape::Word(STRAGGLERS), "A task that takes far longer than the others. Default: copy."),
        may("max_failures", Shape::Allowance, "More dead letters than this stop the job at once."),
    ],
};

pub(crate) static NOTIFY: Section =
    Section { what: "`notify`", keys: &[must("queue", Shape::Text, "The queue: its name, its URL or its ARN.")] };

pub(crate) static CHECKPOINT: Section = Section {
    what: "`checkpoint`",
    keys: &[must("interval", Shape::Duration, "How often the folder is kept while an item runs, at least 1s.")],
};

/// The keys of a stage of which there is exactly one.
pub(crate) const SOURCES: [&str; 8] = ["split", "matrix", "range", "list", "each", "group", "all", "tasks"];
/// The keys of a stage that say what it does: exactly one.
pub(crate) const ACTIONS: [&str; 2] = ["run", "step"];

pub(crate) static MATRIX: Section = Section {
    what: "`matrix`",
    keys: &[
        may("include", Shape::List(&DIMENSIONS), "Combinations to add, or to extend, as in GitHub Actions."),
        may("exclude", Shape::List(&DIMENSIONS), "Combinations to leave out."),
    ],
};

pub(crate) static RANGE_KEYS: Section = Section {
    what: "`range`",
    keys: &[
        must("from", Shape::Integer(i64::MIN), "The first number."),
        must("to", Shape::Integer(i64::MIN), "The last number that may occur."),
        may("step", Shape::Integer(1), "Default: 1."),
    ],
};

pub(crate) static RESOURCES: Section = Section {
    what: "`resources`",
    keys: &[
        may("cpus", Shape::Number(0.0), "Worker slots that an item fills."),
        may("memory", Shape::Size, "Address space that it may use."),
        may("disk", Shape::Size, "Scratch that it may use."),
    ],
};

pub(crate) static OUTPUT: Section = Section {
    what: "`output`",
    keys: &[
        may("format", Shape::Word(OUTPUT_FORMATS), "Decides the extension: txt, csv, ndjson, bin. Default: text."),
        may("name", Shape::Text, "The file name of standard output, instead of `{item}.{ext}`."),
        not_built("shuffle", "Repartitions the output by key."),
    ],
};

pub(crate) static RETRY: Section = Section {
    what: "`retry`",
    keys: &[
        may("attempts", Shape::Integer(1), "Executions of an item in all. Default: 3."),
        may("backoff", Shape::Section(&BACKOFF), "How long to wait in between."),
        may("rules", Shape::List(&Shape::Section(&RULE)), "The first rule that matches decides."),
    ],
};

pub(crate) static BACKOFF: Section = Section {
    what: "`backoff`",
    keys: &[
        may("initial", Shape::Duration, "Before the second attempt. Default: 1s."),
        may("factor", Shape::Number(1.0), "Longer by this factor each time. Default: 2."),
        may("max", Shape::Duration, "Never longer than this. Default: 60s."),
        may("jitter", Shape::Number(0.0), "The share of the wait that is drawn at random, 0 to 1. Default: 1."),
    ],
};

pub(crate) static SKIP: Section = Section {
    what: "`skip`",
    keys: &[must("limit", Shape::Allowance, "So many items, or a share of them: `10` or `0.1%`.")],
};

impl Section {
    /// The entry of a key.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of the keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}
