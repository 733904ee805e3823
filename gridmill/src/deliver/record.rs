//! Remembers in the state folder what was delivered where, so that a later delivery may replace it, stale files too,
//! and never touches anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grid_core::ids::StageName;
use serde::{Deserialize, Serialize};

const FILE: &str = "deliveries.json";

/// What was delivered: by output folder, by stage, the paths below that folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record(BTreeMap<PathBuf, BTreeMap<StageName, BTreeSet<PathBuf>>>);

impl Record {
    /// Reads the record of a state folder. One that cannot be read counts as empty: then less is replaced, never more.
    pub fn read(state: &Path) -> Self {
        let text = fs::read(state.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes it whole, or not at all.
    pub fn write(&self, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let fresh = state.join(format!("{FILE}.new"));
        fs::write(&fresh, text)?;
        fs::rename(fresh, state.join(FILE))
    }

    /// What stages delivered to this folder.
    pub fn of(&self, out: &Path) -> BTreeMap<StageName, BTreeSet<PathBuf>> {
        self.0.get(out).cloned().unwrap_or_default()
    }

    /// Notes what a stage is about to deliver, on top of what it has delivered before.
    pub fn add(&mut self, out: &Path, stage: &StageName, targets: &BTreeSet<PathBuf>) {
        let stages = self.0.entry(out.to_owned()).or_default();
        stages.entry(stage.clone()).or_default().extend(targets.iter().cloned());
    }

    /// Notes that this is all that the stage has there.
    pub fn set(&mut self, out: &Path, stage: &StageName, targets: BTreeSet<PathBuf>) {
        self.0.entry(out.to_owned()).or_default().insert(stage.clone(), targets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_a_damaged_one_counts_as_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut record = Record::default();
        let targets = BTreeSet::from([PathBuf::from("clean"), PathBuf::from("clean.txt")]);
        record.add(Path::new("/out"), &StageName::new("clean"), &targets);
        record.write(dir.path()).expect("written");
        assert_eq!(Record::read(dir.path()), record);
        assert_eq!(record.of(Path::new("/out")), BTreeMap::from([(StageName::new("clean"), targets)]));
        fs::write(dir.path().join(FILE), "{").expect("written");
        assert_eq!(Record::read(dir.path()), Record::default());
    }
}
