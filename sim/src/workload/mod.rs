//! What is computed: a pipeline drawn from a seed, items that behave and misbehave by arithmetic, and what comes out.
//!
//! Every item turns a list of numbers into another: it maps them with a salt of its stage, or, in a stage that puts things
//! together, passes them on. So whatever is lost, doubled, changed or out of order is seen at the end.

mod draw;
mod edition;
mod temper;
mod text;

use std::collections::BTreeMap;

use grid_core::random::Random;

pub use self::edition::{Edition, command_of};
pub use self::temper::Temper;

/// A pipeline, and how its items behave.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Everything about it follows from this.
    pub seed: u64,
    /// In the order of the file.
    pub stages: Vec<StagePlan>,
    /// The files of the input, each a list of numbers.
    pub files: Vec<Vec<u64>>,
    /// Whether every file begins with a line that is no number.
    pub has_header: bool,
    /// Items whose temper is given, by stage and index; that of others follows from the seed.
    pub tempers: BTreeMap<(usize, u32), Temper>,
    /// What failed is tried again after a time that is not drawn.
    pub is_steady: bool,
    /// Which of its submissions it is.
    pub edition: Edition,
}

/// A stage.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Its name.
    pub name: String,
    /// Where its items come from.
    pub source: Source,
    /// Stages that come before it, beside those that it reads.
    pub after: Vec<usize>,
    /// One process serves all items of a task.
    pub per_bundle: bool,
    /// Attempts that an item has.
    pub attempts: u32,
    /// Items that may be given up on without the stage having failed.
    pub skip_limit: u32,
    /// What becomes of the rest once the stage has failed.
    pub on_failure: &'static str,
    /// How common items are that misbehave.
    pub malice: f64,
    /// The longest that an item usually takes, milliseconds.
    pub item_ms: u64,
    /// Numbers are written with so many digits at least: small outputs ride in manifests, others lie in objects.
    pub digits: usize,
    /// Others are told of what it commits.
    pub notifies: bool,
}

/// Where the items of a stage come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// So many numbers.
    Range(u32),
    /// So many values of `a`, times so many of `b`.
    Matrix(u32, u32),
    /// So many values.
    List(u32),
    /// Slices of the input.
    Split(Split),
    /// One per item of these stages.
    Each(Vec<usize>),
    /// One per value of a dimension of the items of these stages.
    Group(Vec<usize>, &'static str),
    /// One, or a tree of combiners, over these stages.
    All(Vec<usize>, Option<u32>),
}

/// How the input is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// So many lines an item.
    Lines(u32),
    /// So many files an item.
    Files(u32),
    /// So many items.
    Even(u32),
    /// About so many bytes an item.
    Bytes(u32),
}

impl Workload {
    /// The numbers that an item makes of what its key says, where it reads none; `command` is that of its stage.
    pub fn made(&self, stage: usize, value: u32, command: u32) -> Vec<u64> {
        (0..1 + value % 3).map(|part| self.mix(stage, u64::from(value) << 8 | u64::from(part), command)).collect()
    }

    /// What a stage makes of numbers that it reads.
    pub fn mapped(&self, stage: usize, numbers: &[u64], command: u32) -> Vec<u64> {
        match self.stages[stage].source {
            // A combiner reads what combiners wrote: it must not matter how many there were in between.
            Source::All(..) => numbers.to_vec(),
            _ => numbers.iter().map(|number| self.mix(stage, *number, command)).collect(),
        }
    }

    fn mix(&self, stage: usize, number: u64, command: u32) -> u64 {
        let salt = self.seed.wrapping_add(stage as u64 * 0x1_0001).wrapping_add(u64::from(command) << 40);
        Random::from_seed(number ^ Random::from_seed(salt).next_u64()).next_u64() >> 40
    }

    /// The place of a stage.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// The input's files as bytes, by name.
    pub fn input(&self) -> BTreeMap<String, String> {
        let header = if self.has_header { "number\n" } else { "" };
        let text =
            |numbers: &Vec<u64>| numbers.iter().fold(header.to_owned(), |text, number| format!("{text}{number}\n"));
        self.files.iter().enumerate().map(|(place, numbers)| (format!("file-{place}.txt"), text(numbers))).collect()
    }

    /// Whether a stage cuts the input.
    pub fn reads_input(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage.source, Source::Split(_)))
    }
}

impl StagePlan {
    /// The stages that it reads.
    pub fn upstream(&self) -> &[usize] {
        match &self.source {
            Source::Each(up) | Source::Group(up, _) | Source::All(up, _) => up,
            Source::Range(_) | Source::Matrix(..) | Source::List(_) | Source::Split(_) => &[],
        }
    }
}

/// The numbers in some text; lines that are none are headers.
pub fn parse(text: &[u8]) -> Vec<u64> {
    text.split(|byte| *byte == b'\n').filter_map(number).collect()
}

fn number(line: &[u8]) -> Option<u64> {
    // Most of a long line is zeros, and most of all text is long lines.
    let digits = line.iter().position(|byte| *byte != b'0').unwrap_or(line.len().saturating_sub(1));
    str::from_utf8(&line[digits..]).ok()?.parse().ok()
}

/// Numbers as text, with so many digits at least.
pub fn write(numbers: &[u64], digits: usize) -> String {
    let mut text = String::with_capacity(numbers.len() * (digits + 1));
    for number in numbers.iter().map(u64::to_string) {
        text.push_str(&"0".repeat(digits.saturating_sub(number.len())));
        text.push_str(&number);
        text.push('\n');
    }
    text
}
