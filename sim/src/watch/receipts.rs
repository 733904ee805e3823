//! Receipts: what they say of a job that succeeded is what its manifests say (S6).

use std::collections::{BTreeMap, BTreeSet};

use grid_api::{Receipt, StageReceipt};
use grid_core::ids::{JobId, StageName};
use grid_core::job::Job;
use grid_core::reason::Reason;
use grid_core::wire::Manifest;
use jiff::Timestamp;

use super::Watch;

impl Watch {
    /// The rows of a job end as its receipt says, in their words and at that time.
    pub(super) fn receipt_end_fault(&self, id: &JobId, now: &Job, receipt: &Receipt) -> Option<(&'static str, String)> {
        let Ok(finished) = receipt.finished.parse::<Timestamp>() else {
            return Some(("S6", format!("the receipt of {id} says {}, which is no time", receipt.finished)));
        };
        let is_same = now.finished_ms() == u64::try_from(finished.as_millisecond()).ok()
            && now.message() == receipt.message.as_deref();
        (!is_same)
            .then(|| ("S6", format!("{id} ended {:?}, and its receipt says {}", now.finished_ms(), receipt.finished)))
    }

    /// Copies of a stage's attempts that were sent.
    fn copies_sent(&self, id: &JobId, stage: &StageName) -> u64 {
        let of_stage = self.copies.iter().filter(|(((job, of, _), _), _)| job == id && of == stage);
        let sent: BTreeSet<_> =
            of_stage.flat_map(|((attempt, _), copies)| copies.iter().map(move |copy| (attempt, copy))).collect();
        sent.len() as u64
    }

    pub(super) fn receipt_faults(&self, id: &JobId, now: &Job, receipt: &StageReceipt) -> Vec<(&'static str, String)> {
        let stage = &receipt.name;
        let mut faults = Vec::new();
        let mut expect = |what: &str, said: u64, is: u64| {
            if said != is {
                faults.push(("S6", format!("the receipt of {id} says {said} {what} of {stage}, and there are {is}")));
            }
        };
        expect("items that ended", receipt.ok + receipt.skipped + receipt.dead + receipt.not_run, receipt.items);
        expect("items given up on", receipt.dead, now.dead(stage).len() as u64);
        expect("items left out", receipt.skipped, now.skipped(stage).len() as u64);
        let Some(seen) = self.jobs.get(id).and_then(|seen| seen.stages.get(stage)) else { return faults };
        let manifests: Vec<&Manifest> = seen.manifests.values().collect();
        let own = || manifests.iter().filter(|manifest| manifest.reused_from.is_none());
        expect("committed items", receipt.ok, seen.committed.len() as u64);
        expect("attempts", receipt.attempts, own().count() as u64);
        expect("committed bytes", receipt.bytes_out, manifests.iter().map(|manifest| bytes_out(manifest)).sum());
        let reused = manifests.iter().filter(|manifest| manifest.reused_from.is_some()).map(|manifest| items(manifest));
        expect("reused items", receipt.reused, reused.sum());
        expect(
            "microseconds",
            (receipt.busy_secs * 1e6).round() as u64,
            manifests.iter().map(|manifest| manifest.busy_us).sum(),
        );
        let (started, won) = receipt.copies.as_ref().map_or((0, 0), |copies| (copies.started, copies.won));
        expect("copies that were first", won, own().filter(|manifest| manifest.copy > 0).count() as u64);
        let sent = self.copies_sent(id, stage);
        expect("copies (or more)", started.min(sent), sent);
        let mut failures: BTreeMap<Reason, u64> = BTreeMap::new();
        for failed in manifests.iter().flat_map(|manifest| &manifest.failed) {
            *failures.entry(failed.failure.reason).or_default() += 1;
        }
        if failures != receipt.failures {
            faults
                .push(("S6", format!("the receipt of {id} says {:?} of {stage}, not {failures:?}", receipt.failures)));
        }
        faults
    }
}

fn bytes_out(manifest: &Manifest) -> u64 {
    manifest.outputs.stdout.iter().map(|(len, _)| len).sum()
}

fn items(manifest: &Manifest) -> u64 {
    manifest.committed().iter().map(|(_, count)| u64::from(*count)).sum()
}
