//! How a job lies in the state table: a row for the job, one a stage, one a shard of 8,192 items.
//!
//! Everything about a task lies in the row of its shard, so that a task changes in one conditional write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bits::ShardBits;
use super::bundle::Pace;
use super::retry::Spent;
use super::stage::{OutTask, Planned, StageBook, Tally, TaskPhase};
use super::state::Job;
use crate::ids::{AttemptKey, ItemIndex, StageName, WorkerId};
use crate::limits::{SHARD_ITEMS, WIRE_VERSION};
use crate::submission::Submission;

/// The name of a job's own row in its partition.
pub const META: &str = "META";
/// What comes between a stage's row name and the number of a shard.
pub const SHARD: &str = "/SHARD#";

/// The name of the row that holds a shard of a stage.
pub fn shard_place(stage: &StageName, shard: u32) -> String {
    format!("STAGE#{stage}{SHARD}{shard:06}")
}

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Its name within the job's partition.
    pub sort: String,
    /// Its content, JSON.
    pub body: Vec<u8>,
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its name within the job's partition.
    pub sort: String,
    /// Its content.
    pub body: Vec<u8>,
}

/// A row that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("row {sort} cannot be read: {why}")]
pub struct LoadError {
    sort: String,
    why: String,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StageRow {
    v: u32,
    planned: Planned,
    pace: Pace,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ShardRow {
    v: u32,
    #[serde(skip_serializing_if = "ShardBits::is_empty")]
    ok: ShardBits,
    #[serde(skip_serializing_if = "ShardBits::is_empty")]
    skipped: ShardBits,
    #[serde(skip_serializing_if = "ShardBits::is_empty")]
    dead: ShardBits,
    /// First items of tasks that were committed whole at the first attempt.
    #[serde(skip_serializing_if = "ShardBits::is_empty")]
    plain: ShardBits,
    /// Other attempts that committed items: first item, attempt, items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<(ItemIndex, u32, u32)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    out: Vec<OutRow>,
    tally: Tally,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OutRow {
    first: ItemIndex,
    count: u32,
    attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    own: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    deaths: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    resends: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    copies: u32,
    /// The workers that died under it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    died: BTreeSet<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<u32>,
    #[serde(default, skip_serializing_if = "is_zero")]
    round: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_factor: Option<f64>,
    /// Set while the task waits: it was never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
}

impl Job {
    /// The rows that differ from what was written last. Say [`Job::saved`] once they are written.
    pub fn changes(&self) -> Vec<RowChange> {
        let mut changes = Vec::new();
        for (index, book) in self.stages.iter().enumerate() {
            let name = &self.spec(index).name;
            let row = |shard: &u32| change(shard_place(name, *shard), &book.shard_row(*shard));
            changes.extend(book.dirty_shards.iter().map(row));
            if book.dirty {
                let row = StageRow { v: WIRE_VERSION, planned: book.planned, pace: book.pace };
                changes.push(change(format!("STAGE#{name}"), &row));
            }
        }
        // Last, so that a job is never final in the table before its items are.
        if self.dirty {
            changes.push(change(META.into(), &self.meta));
        }
        changes
    }

    /// Whether there is anything to write.
    pub fn is_dirty(&self) -> bool {
        self.dirty || self.stages.iter().any(|book| book.dirty || !book.dirty_shards.is_empty())
    }

    /// Whether the job's own row is to be written.
    pub fn is_meta_dirty(&self) -> bool {
        self.dirty
    }

    /// Every row that can still change is to be written, whether or not it has, and whether or not it is there.
    pub(super) fn write_unfinished(&mut self) {
        for book in &mut self.stages {
            let unfinished = (0..book.planned.items.div_ceil(SHARD_ITEMS)).filter(|shard| !book.has_ended(*shard));
            book.dirty_shards.extend(unfinished.collect::<Vec<_>>());
            book.dirty = true;
        }
    }

    /// The changes were written.
    pub fn saved(&mut self) {
        self.dirty = false;
        for book in &mut self.stages {
            book.dirty = false;
            book.dirty_shards.clear();
        }
    }

    /// A job from its rows. Tasks that were out are `Unknown` until somebody has looked for their manifests.
    pub fn load(submission: Arc<Submission>, rows: &[StoredRow]) -> Result<Self, LoadError> {
        let mut job = Self::new(submission);
        for row in rows {
            job.load_row(row)?;
        }
        job.saved();
        // What follows from the rows and is in none of them yet is to be written like any other change.
        job.derive();
        Ok(job)
    }

    fn load_row(&mut self, row: &StoredRow) -> Result<(), LoadError> {
        if row.sort == META {
            self.adopt(parse(row)?);
            return Ok(());
        }
        let damaged = |why: &str| LoadError { sort: row.sort.clone(), why: why.to_owned() };
        let name = row.sort.strip_prefix("STAGE#").ok_or_else(|| damaged("an unknown kind of row"))?;
        let (stage, shard) = match name.split_once(SHARD) {
            None => (name, None),
            Some((stage, shard)) => (stage, Some(shard.parse::<u32>().map_err(|_| damaged("no number of a shard"))?)),
        };
        let stage = crate::ids::StageName::new(stage);
        let index = self.index_of(&stage).ok_or_else(|| damaged("the pipeline has no such stage"))?;
        match shard {
            None => {
                let stage: StageRow = parse(row)?;
                (self.stages[index].planned, self.stages[index].pace) = (stage.planned, stage.pace);
                Ok(())
            }
            Some(shard) => {
                self.stages[index].load_shard(shard, parse(row)?).ok_or_else(|| damaged("bits out of range"))
            }
        }
    }
}

impl StageBook {
    fn shard_row(&self, shard: u32) -> ShardRow {
        let items = shard * SHARD_ITEMS..=shard * SHARD_ITEMS + (SHARD_ITEMS - 1);
        let from = AttemptKey { first: *items.start(), attempt: 0 };
        let to = AttemptKey { first: *items.end(), attempt: u32::MAX };
        let others = self.committed.others.range(from..=to);
        ShardRow {
            v: WIRE_VERSION,
            ok: ShardBits::of(&self.outcomes.ok, shard),
            skipped: ShardBits::of(&self.outcomes.skipped, shard),
            dead: ShardBits::of(&self.outcomes.dead, shard),
            plain: ShardBits::of(&self.committed.plain, shard),
            others: others.map(|(key, count)| (key.first, key.attempt, *count)).collect(),
            out: self.out.range(items).map(|(_, task)| out_row(task)).collect(),
            tally: self.tallies.get(&shard).cloned().unwrap_or_default(),
        }
    }

    fn load_shard(&mut self, shard: u32, row: ShardRow) -> Option<()> {
        row.ok.add_to(&mut self.outcomes.ok, shard)?;
        row.skipped.add_to(&mut self.outcomes.skipped, shard)?;
        row.dead.add_to(&mut self.outcomes.dead, shard)?;
        row.plain.add_to(&mut self.committed.plain, shard)?;
        let others = row.others.into_iter().map(|(first, attempt, count)| (AttemptKey { first, attempt }, count));
        self.committed.others.extend(others);
        self.out.extend(row.out.into_iter().map(|row| (row.first, out_task(row))).collect::<BTreeMap<_, _>>());
        if row.tally != Tally::default() {
            self.tallies.insert(shard, row.tally);
        }
        Some(())
    }
}

fn out_row(task: &OutTask) -> OutRow {
    OutRow {
        first: task.first,
        count: task.count,
        attempt: task.attempt,
        failures: task.spent.failures,
        own: task.spent.own,
        deaths: task.spent.deaths,
        resends: task.resends,
        copies: task.copies,
        died: task.died.clone(),
        set: task.set,
        round: task.round,
        memory_factor: (task.spent.memory_factor != 1.0).then_some(task.spent.memory_factor),
        until_ms: match task.phase {
            TaskPhase::Waiting { until_ms } => Some(until_ms),
            TaskPhase::Due | TaskPhase::Sent { .. } | TaskPhase::Unknown => None,
        },
    }
}

fn out_task(row: OutRow) -> OutTask {
    let memory_factor = row.memory_factor.unwrap_or(1.0);
    OutTask {
        first: row.first,
        count: row.count,
        attempt: row.attempt,
        spent: Spent { failures: row.failures, own: row.own, deaths: row.deaths, memory_factor },
        resends: row.resends,
        copies: row.copies,
        is_copy_due: false,
        died: row.died,
        set: row.set,
        round: row.round,
        phase: row.until_ms.map_or(TaskPhase::Unknown, |until_ms| TaskPhase::Waiting { until_ms }),
    }
}

fn change(sort: String, row: &impl Serialize) -> RowChange {
    RowChange { sort, body: serde_json::to_vec(row).expect("rows have string keys and finite numbers") }
}

pub(super) fn parse<'row, T: Deserialize<'row>>(row: &'row StoredRow) -> Result<T, LoadError> {
    let damaged = |error: serde_json::Error| LoadError { sort: row.sort.clone(), why: error.to_string() };
    let Versioned { v } = serde_json::from_slice(&row.body).map_err(damaged)?;
    if v > WIRE_VERSION {
        let why = format!("it has version {v}, this manager reads up to {WIRE_VERSION}");
        return Err(LoadError { sort: row.sort.clone(), why });
    }
    serde_json::from_slice(&row.body).map_err(damaged)
}

pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod golden;
