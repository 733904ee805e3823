//! What the state folder says of what was done: its manifests, and the log of starts.

use std::collections::BTreeSet;

use grid_core::ids::AttemptKey;
use grid_core::wire::Manifest;
use serde_json::Value;

use crate::place::Place;

/// An item: its stage and its index.
pub type Item = (String, u32);

impl Place {
    /// The items that manifests commit, of all jobs.
    pub fn committed(&self) -> BTreeSet<Item> {
        let mut items = BTreeSet::new();
        for (path, text) in self.tree(".gridmill/objects/jobs") {
            if path.split('/').nth(2) != Some("done") {
                continue;
            }
            let manifest: Manifest = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let failed = manifest.failed.iter().map(|failure| (failure.first, failure.count));
            let not: Vec<(u32, u32)> = failed.chain(manifest.unrun.iter().copied()).collect();
            let is_done = |item: u32| !not.iter().any(|(first, count)| (*first..first + count).contains(&item));
            let all = manifest.first..manifest.first + manifest.count;
            items.extend(all.filter(|item| is_done(*item)).map(|item| (manifest.stage.to_string(), item)));
        }
        items
    }

    /// The task executions that the log of the state folder tells of, as `STAGE/TASK`.
    pub fn logged_starts(&self) -> BTreeSet<String> {
        let starts = |line: &str| -> Option<String> {
            let event: Value = serde_json::from_str(line).ok()?;
            let fields = &event["fields"];
            (fields["message"] == "starting a task").then_some(())?;
            let key = AttemptKey {
                first: u32::try_from(fields["first"].as_u64()?).ok()?,
                attempt: u32::try_from(fields["attempt"].as_u64()?).ok()?,
            };
            Some(format!("{}/{key}", fields["stage"].as_str()?))
        };
        self.lines(".gridmill/gridmill.log").iter().filter_map(|line| starts(line)).collect()
    }
}
