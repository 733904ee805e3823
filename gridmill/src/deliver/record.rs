//! Remembers in the state folder what was delivered where, so that a later delivery may replace it, stale files too,
//! and never touches anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grid_core::ids::{JobId, StageName};
use serde::{Deserialize, Serialize};

const FILE: &str = "deliveries.json";

/// What was delivered: by output folder, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record(BTreeMap<PathBuf, BTreeMap<StageName, Entry>>);

/// What one stage has delivered to one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The job whose outputs lie there; `None` while they are being replaced.
    pub job: Option<JobId>,
    /// Paths below the folder.
    pub targets: BTreeSet<PathBuf>,
}

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

    /// What a stage has delivered to this folder.
    pub fn of(&self, out: &Path, stage: &StageName) -> Entry {
        self.0.get(out).and_then(|stages| stages.get(stage)).cloned().unwrap_or_default()
    }

    /// Notes that a stage is about to deliver these, on top of what it has delivered before.
    pub fn begin(&mut self, out: &Path, stage: &StageName, targets: &BTreeSet<PathBuf>) {
        let entry = self.0.entry(out.to_owned()).or_default().entry(stage.clone()).or_default();
        entry.job = None;
        entry.targets.extend(targets.iter().cloned());
    }

    /// Notes that these outputs of a job, and no others of the stage, lie there.
    pub fn end(&mut self, out: &Path, stage: &StageName, job: &JobId, targets: BTreeSet<PathBuf>) {
        let entry = Entry { job: Some(job.clone()), targets };
        self.0.entry(out.to_owned()).or_default().insert(stage.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_a_damaged_one_counts_as_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        let (out, stage, job) = (Path::new("/out"), StageName::new("clean"), JobId::new("0190"));
        let (old, new) = (BTreeSet::from([PathBuf::from("clean")]), BTreeSet::from([PathBuf::from("clean.txt")]));
        let mut record = Record::default();
        record.end(out, &stage, &job, old.clone());
        record.begin(out, &stage, &new);
        assert_eq!(record.of(out, &stage), Entry { job: None, targets: &old | &new });
        record.end(out, &stage, &job, new.clone());
        record.write(dir.path()).expect("written");
        assert_eq!(Record::read(dir.path()), record);
        assert_eq!(record.of(out, &stage), Entry { job: Some(job), targets: new });
        fs::write(dir.path().join(FILE), "{").expect("written");
        assert_eq!(Record::read(dir.path()), Record::default());
    }
}
