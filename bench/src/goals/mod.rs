//! What is measured, and what it is held to.

mod growth;
mod latency;
mod noop;
mod peers;
mod spawn;
mod split;
mod wordcount;

use std::path::PathBuf;
use std::process::Command;

use crate::{Goal, Setting};

/// What a goal is about.
pub fn title(goal: Goal) -> &'static str {
    match goal {
        Goal::Spawn => "10,000 commands",
        Goal::Noop => "a million items in process",
        Goal::Latency => "one trivial job",
        Goal::Growth => "growth with the number of items",
        Goal::Split => "planning a large input",
        Goal::Wordcount => "counting words in 300 MB",
    }
}

/// Measures and prints.
pub fn measure(goal: Goal, setting: &Setting) -> anyhow::Result<()> {
    match goal {
        Goal::Spawn => spawn::measure(setting),
        Goal::Noop => noop::measure(setting),
        Goal::Latency => latency::measure(setting),
        Goal::Growth => growth::measure(setting),
        Goal::Split => split::measure(setting),
        Goal::Wordcount => wordcount::measure(setting),
    }
}

impl Setting {
    /// A new, empty folder.
    fn yard(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }

    /// A file for all rounds.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `gridmill run FILE` with its state and its outputs in a yard.
    fn run(&self, yard: &tempfile::TempDir, pipeline: &std::path::Path, out: &str) -> Command {
        let mut command = Command::new(&self.gridmill);
        command.current_dir(yard.path()).arg("run").arg(pipeline).args(["--state", "state", "--out", out]);
        command
    }
}
