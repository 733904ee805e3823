//! What is other in a later submission of a workload than in the first.

use grid_core::items::Key;
use grid_core::pipeline::{Command, Stage, TemplatePart};

use super::{Source, Workload};

/// What is other in a later submission than in the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    /// This stage has another command, and another result; what is made of it has another result, too.
    pub changed: Option<usize>,
    /// What came first is left out: the first value of every stage that has values, and the first line of the input. All
    /// other items are what they were, at another place.
    pub is_shifted: bool,
    /// On whose behalf; people without a name otherwise.
    pub tenant: &'static str,
}

impl Workload {
    /// Another edition of a workload.
    pub fn edited(&self, edition: Edition) -> Self {
        let mut files = self.files.clone();
        if edition.is_shifted
            && let Some(file) = files.iter_mut().find(|file| file.len() > 1)
        {
            file.remove(0);
        }
        Self { files, edition, ..self.clone() }
    }

    /// Where the input of this edition lies.
    pub fn input_folder(&self) -> &'static str {
        if self.edition.is_shifted { "input-2" } else { "input" }
    }

    /// Which command a stage has.
    pub fn command(&self, stage: usize) -> u32 {
        u32::from(self.edition.changed == Some(stage))
    }

    /// The first of so many values that this edition has.
    pub fn first_value(&self, count: u32) -> u32 {
        u32::from(self.edition.is_shifted && count > 1)
    }

    /// The value of an item of a stage that has values.
    pub fn value_at(&self, stage: usize, item: u32) -> u32 {
        match self.stages[stage].source {
            Source::Range(count) | Source::List(count) => item + self.first_value(count),
            Source::Matrix(a, b) => item + self.first_value(a) * b,
            Source::Split(_) | Source::Each(_) | Source::Group(..) | Source::All(..) => item,
        }
    }

    /// The value that the key of an item says.
    pub fn value_of(&self, stage: usize, key: &Key) -> Option<u32> {
        let number = |dim: &str| key.get(dim)?.trim_start_matches(|c: char| c.is_alphabetic()).parse::<u32>().ok();
        match self.stages[stage].source {
            Source::Range(_) => number("item")?.checked_sub(1),
            Source::List(_) => number("item"),
            Source::Matrix(_, b) => Some(number("a")? * b + number("b")?),
            Source::Split(_) | Source::Each(_) | Source::Group(..) | Source::All(..) => None,
        }
    }

    /// Whether no item misbehaves.
    pub fn is_harmless(&self) -> bool {
        self.tempers.is_empty() && self.stages.iter().all(|stage| stage.malice == 0.0)
    }
}

/// Which command a stage of a pipeline has: its third word.
pub fn command_of(stage: &Stage) -> Option<u32> {
    let Command::Argv(words) = &stage.run else { return None };
    match words.get(2)?.parts.first()? {
        TemplatePart::Text(text) => text.parse().ok(),
        TemplatePart::Param(_) | TemplatePart::Key(_) | TemplatePart::Item => None,
    }
}
