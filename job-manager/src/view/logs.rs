//! What commands wrote to standard error, as it was kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt;
use grid_core::ids::{AttemptKey, ItemIndex, StageName};
use grid_core::limits::SHARD_ITEMS;
use infra::objects::ByteStream;
use infra::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::JobView;

/// Longest line of a log: what is kept of a standard error, escaped as JSON.
const MAX_LINE_BYTES: usize = 4 << 20;

/// Standard error of one item in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemLog {
    /// The stage.
    pub stage: StageName,
    /// The item's place in the stage.
    pub index: ItemIndex,
    /// The item's name.
    pub item: String,
    /// The attempt.
    pub attempt: u32,
    /// How it began.
    pub head: String,
    /// How it ended, where it was too long to be kept whole.
    pub tail: String,
    /// Bytes between the two that were not kept.
    pub dropped_bytes: u64,
}

/// A line of a log object.
#[derive(Deserialize)]
struct Line {
    item: ItemIndex,
    #[serde(default)]
    name: String,
    #[serde(default)]
    head: String,
    #[serde(default)]
    tail: String,
    #[serde(default)]
    dropped_bytes: u64,
}

/// The logs of one stage, or of one item of it, task by task.
pub struct Logs<'view> {
    view: &'view JobView,
    stage: StageName,
    item: Option<ItemIndex>,
    next_shard: u32,
    attempts: VecDeque<AttemptKey>,
    /// Attempts that are not looked at any more.
    told: BTreeSet<AttemptKey>,
    open: Option<(AttemptKey, Lines)>,
}

/// Logs that are looked at again and again while a job runs: what was told once is not read again.
#[derive(Clone, Debug)]
pub struct FollowedLogs {
    stages: Vec<StageName>,
    item: Option<ItemIndex>,
    /// What was told of each stage, and how many executions had ended by then.
    told: BTreeMap<StageName, (u64, BTreeSet<AttemptKey>)>,
}

/// One look at them.
pub struct Look<'view> {
    followed: &'view mut FollowedLogs,
    view: &'view JobView,
    /// Of the next stage.
    next: usize,
    open: Option<(u64, Logs<'view>)>,
}

impl FollowedLogs {
    /// The logs of some stages, or of one item of one stage.
    pub fn new(stages: Vec<StageName>, item: Option<ItemIndex>) -> Self {
        Self { stages, item, told: BTreeMap::new() }
    }

    /// What is new in a job as it stands now. A stage in which nothing has ended since is left out, unless the job is over:
    /// the last look sees everything.
    pub fn look<'view>(&'view mut self, view: &'view JobView) -> Look<'view> {
        Look { followed: self, view, next: 0, open: None }
    }
}

impl Look<'_> {
    /// The next one.
    pub async fn next(&mut self) -> Result<Option<ItemLog>> {
        loop {
            if let Some((_, logs)) = &mut self.open
                && let Some(log) = logs.next().await?
            {
                return Ok(Some(log));
            }
            if let Some((ended, logs)) = self.open.take() {
                self.followed.told.insert(logs.stage, (ended, logs.told));
            }
            let Some(stage) = self.followed.stages.get(self.next).cloned() else { return Ok(None) };
            self.next += 1;
            let ended = self.view.stage_status(&stage).map_or(0, |status| status.attempts);
            let (before, told) = self.followed.told.remove(&stage).unwrap_or_default();
            if ended == before && !self.view.status.state.is_final() {
                self.followed.told.insert(stage, (before, told));
                continue;
            }
            self.open = Some((ended, Logs { told, ..Logs::new(self.view, stage, self.followed.item) }));
        }
    }
}

/// Lines that arrive piece by piece.
struct Lines {
    key: String,
    stream: ByteStream,
    buffer: Vec<u8>,
}

impl<'view> Logs<'view> {
    /// The logs of a stage, or of one item.
    pub fn new(view: &'view JobView, stage: StageName, item: Option<ItemIndex>) -> Self {
        let next_shard = item.map_or(0, |item| item / SHARD_ITEMS);
        Self { view, stage, item, next_shard, attempts: VecDeque::new(), told: BTreeSet::new(), open: None }
    }

    /// The next one.
    pub async fn next(&mut self) -> Result<Option<ItemLog>> {
        loop {
            if let Some((attempt, lines)) = &mut self.open {
                let attempt = attempt.attempt;
                match lines.next().await? {
                    Some(line) if self.item.is_none_or(|item| item == line.item) => {
                        return Ok(Some(self.item_log(attempt, line)));
                    }
                    Some(_) => {}
                    None => self.open = None,
                }
            } else if !self.open_next().await? {
                return Ok(None);
            }
        }
    }

    /// Opens the log of the next attempt that has one; `false` after the last.
    async fn open_next(&mut self) -> Result<bool> {
        let Some(attempt) = self.next_untold().await? else { return Ok(false) };
        let manifest = self.view.manifest(&self.stage, attempt).await?;
        let covers = |item: ItemIndex| item >= attempt.first && item - attempt.first < manifest.manifest.count;
        if let Some(key) = manifest.manifest.log.clone().filter(|_| self.item.is_none_or(covers)) {
            match self.view.objects().stream(&key, None).await {
                Ok(stream) => self.open = Some((attempt, Lines { key, stream, buffer: Vec::new() })),
                // Logs may be removed before the results are.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn next_attempt(&mut self) -> Result<Option<AttemptKey>> {
        let last_shard = match self.item {
            Some(item) => item / SHARD_ITEMS,
            None => self.view.items(&self.stage).saturating_sub(1) / SHARD_ITEMS,
        };
        while self.attempts.is_empty() && self.next_shard <= last_shard {
            self.attempts = self.view.ended_attempts(&self.stage, self.next_shard).await?.into();
            self.next_shard += 1;
        }
        Ok(self.attempts.pop_front())
    }

    /// The next attempt that was not told.
    async fn next_untold(&mut self) -> Result<Option<AttemptKey>> {
        while let Some(attempt) = self.next_attempt().await? {
            if self.told.insert(attempt) {
                return Ok(Some(attempt));
            }
        }
        Ok(None)
    }

    fn item_log(&self, attempt: u32, line: Line) -> ItemLog {
        let Line { item: index, name: item, head, tail, dropped_bytes } = line;
        ItemLog { stage: self.stage.clone(), index, item, attempt, head, tail, dropped_bytes }
    }
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Line>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return self.parse(&line).map(Some);
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(Error::new(ErrorKind::Invalid, format!("object {} has a line that is too long", self.key)));
            }
            match self.stream.next().await.transpose()? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let line = std::mem::take(&mut self.buffer);
                    return self.parse(&line).map(Some);
                }
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Line> {
        serde_json::from_slice(line)
            .map_err(|error| Error::caused(ErrorKind::Invalid, format!("object {} is no log", self.key), error))
    }
}
