//! A manifest was found: what it commits, and what becomes of what failed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bits::Outcome;
use super::retry::{Draw, Spent, Verdict, decide};
use super::stage::{OutTask, TaskPhase};
use super::state::Job;
use crate::ids::{AttemptKey, ItemIndex, StageName};
use crate::reason::{Failure, Reason};
use crate::wire::{ItemFailure, Manifest};

/// What a manifest meant to the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was news.
    Counted,
    /// The attempt is not out: it was counted before, or the job is over. Nothing changed.
    Stale,
    /// It contradicts itself or the plan. Nothing changed.
    Malformed(String),
}

/// Items that go on as a task of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    first: ItemIndex,
    count: u32,
    spent: Spent,
    until_ms: u64,
    is_half: bool,
}

impl Job {
    /// Takes in the manifest of an attempt. The same manifest twice, or late, changes nothing.
    pub fn apply(&mut self, manifest: &Manifest, now_ms: u64, draw: Draw<'_>) -> Applied {
        let Some(index) = self.index_of(&manifest.stage) else {
            return Applied::Malformed(format!("there is no stage {}", manifest.stage));
        };
        let is_out = self.stages[index].out.get(&manifest.first).is_some_and(|task| task.attempt == manifest.attempt);
        if !self.meta.state.is_under_way() || !is_out {
            return Applied::Stale;
        }
        if let Err(fault) = self.check(index, manifest) {
            return Applied::Malformed(fault);
        }
        if let Some(task) = self.stages[index].take_out(manifest.first) {
            self.tally(index, manifest);
            self.commit(index, manifest);
            let pieces = self.judge(index, manifest, &task, now_ms, draw);
            self.put_out_pieces(index, &task, pieces);
        }
        Applied::Counted
    }

    /// Whether the manifest of an attempt would be news: the attempt is out.
    pub fn awaits(&self, stage: &StageName, key: AttemptKey) -> bool {
        self.meta.state.is_under_way() && self.out_task(stage, key).is_some()
    }

    /// The attempt of a task that is out.
    pub fn out_task(&self, stage: &StageName, key: AttemptKey) -> Option<&OutTask> {
        let book = &self.stages[self.index_of(stage)?];
        book.out.get(&key.first).filter(|task| task.attempt == key.attempt)
    }

    /// The failure of an attempt that nobody is left to report: the manager writes its manifest from this. `bytes_in` is
    /// the input of all its items.
    pub fn lost_manifest(&self, stage: &StageName, key: AttemptKey, bytes_in: u64, why: &str) -> Option<Manifest> {
        let task = self.out_task(stage, key)?;
        let failure = Failure::new(Reason::LeaseLost, why);
        Some(Manifest {
            v: crate::limits::WIRE_VERSION,
            job: self.submission.job.clone(),
            stage: stage.clone(),
            first: task.first,
            count: task.count,
            attempt: task.attempt,
            worker: crate::ids::WorkerId::new("manager"),
            copy: 0,
            started_ms: 0,
            busy_us: 0,
            bytes_in,
            outputs: Default::default(),
            failed: vec![ItemFailure { first: task.first, count: task.count, bytes_in, failure }],
            unrun: Vec::new(),
            log: None,
            params: BTreeMap::new(),
            reused_from: None,
        })
    }

    pub(super) fn check(&self, index: usize, manifest: &Manifest) -> Result<(), String> {
        let count = self.stages[index].out.get(&manifest.first).map(|task| task.count);
        if count != Some(manifest.count) {
            return Err(format!("it has {} items where {} were sent", manifest.count, count.unwrap_or(0)));
        }
        let mut next = manifest.first;
        for (first, count) in ended_or_not(manifest) {
            let end = first.checked_add(count).ok_or("an item out of range")?;
            if first < next || count == 0 || end > manifest.first + manifest.count {
                return Err(format!("items {first}..{end} are out of place"));
            }
            next = end;
        }
        Ok(())
    }

    pub(super) fn tally(&mut self, index: usize, manifest: &Manifest) {
        let failed_bytes: u64 = manifest.failed.iter().map(|failed| failed.bytes_in).sum();
        let unrun: u64 = manifest.unrun.iter().map(|(_, count)| u64::from(*count)).sum();
        let run = u64::from(manifest.count) - unrun;
        let is_reused = manifest.reused_from.is_some();
        let book = &mut self.stages[index];
        // What was given up on, or could not be executed, took no time that anybody has measured.
        let is_measured = !is_reused && (manifest.busy_us > 0 || manifest.failed.is_empty());
        if is_measured {
            book.pace.learn(run, Duration::from_micros(manifest.busy_us));
        }
        let tally = book.tally_mut(manifest.first);
        tally.attempts += u64::from(!is_reused);
        tally.reused += if is_reused { run } else { 0 };
        tally.busy_us += manifest.busy_us;
        tally.copies.won += u64::from(manifest.copy > 0);
        tally.bytes_in += manifest.bytes_in.saturating_sub(failed_bytes);
        tally.bytes_out += manifest.outputs.stdout.iter().map(|(len, _)| len).sum::<u64>();
        tally.bytes_out += manifest.outputs.files.iter().map(|file| file.len).sum::<u64>();
        for failed in &manifest.failed {
            *tally.failures.entry(failed.failure.reason).or_default() += 1;
        }
    }

    pub(super) fn commit(&mut self, index: usize, manifest: &Manifest) {
        let committed = manifest.committed();
        let items: u32 = committed.iter().map(|(_, count)| count).sum();
        if items == 0 {
            return;
        }
        self.stages[index].committed.insert(manifest.key(), manifest.count, items == manifest.count);
        for (first, count) in committed {
            self.end_items(index, first, count, Outcome::Ok);
        }
    }

    pub(super) fn judge(
        &mut self,
        index: usize,
        manifest: &Manifest,
        task: &OutTask,
        now_ms: u64,
        draw: Draw<'_>,
    ) -> Vec<Piece> {
        let whole = |first, count, spent, until_ms| Piece { first, count, spent, until_ms, is_half: false };
        let mut pieces: Vec<Piece> =
            manifest.unrun.iter().map(|(first, count)| whole(*first, *count, task.spent, 0)).collect();
        for ItemFailure { first, count, bytes_in, failure } in &manifest.failed {
            match decide(&self.spec(index).retry, failure, *count, task.spent, draw) {
                Verdict::Again { delay_ms, spent } => pieces.push(whole(*first, *count, spent, now_ms + delay_ms)),
                Verdict::Halve { spent } => {
                    let half = count / 2;
                    for (first, count) in [(*first, half), (first + half, count - half)] {
                        let spent = spent.on_half(count);
                        pieces.push(Piece { first, count, spent, until_ms: 0, is_half: true });
                    }
                }
                Verdict::Dead => self.end_failed(index, *first, *count, *bytes_in, Outcome::Dead),
                Verdict::Skip => self.end_failed(index, *first, *count, *bytes_in, Outcome::Skipped),
            }
        }
        pieces.sort_by_key(|piece| piece.first);
        pieces
    }

    fn end_failed(&mut self, index: usize, first: ItemIndex, count: u32, bytes_in: u64, outcome: Outcome) {
        self.stages[index].tally_mut(first).bytes_in += bytes_in;
        self.end_items(index, first, count, outcome);
    }

    /// Neighbours with the same past go on together.
    pub(super) fn put_out_pieces(&mut self, index: usize, task: &OutTask, pieces: Vec<Piece>) {
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match joined.last_mut() {
                Some(last)
                    if !last.is_half
                        && !piece.is_half
                        && last.first + last.count == piece.first
                        && last.spent == piece.spent =>
                {
                    last.count += piece.count;
                    last.until_ms = last.until_ms.max(piece.until_ms);
                }
                _ => joined.push(piece),
            }
        }
        for Piece { first, count, spent, until_ms, .. } in joined {
            let phase = TaskPhase::Waiting { until_ms };
            let again = OutTask { spent, set: task.set, phase, ..OutTask::due(first, count, task.attempt + 1) };
            self.stages[index].put_out(again);
        }
    }
}

/// The items that a manifest does not commit, ascending.
fn ended_or_not(manifest: &Manifest) -> Vec<(ItemIndex, u32)> {
    let failed = manifest.failed.iter().map(|failed| (failed.first, failed.count));
    let mut runs: Vec<(ItemIndex, u32)> = failed.chain(manifest.unrun.iter().copied()).collect();
    runs.sort_unstable();
    runs
}
