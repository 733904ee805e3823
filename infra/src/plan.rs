//! Reading plans back: for workers and managers alike.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::items::decode_slices;
use grid_core::items::plan::{ChunkItems, Group, PlanChunk, PlanSummary};
use grid_core::layout;
use grid_core::limits::{SHARD_ITEMS, WIRE_VERSION};
use grid_core::pipeline::ListItem;
use grid_core::split::Slice;

use crate::objects::ObjectStore;
use crate::{Error, ErrorKind, Result};

/// Chunks kept: tasks of a few stages at once, each moving through its chunks.
const CACHED_CHUNKS: usize = 8;

/// Reads plan chunks, and keeps the latest few: they are immutable.
#[derive(Debug)]
pub struct PlanReader {
    objects: Arc<dyn ObjectStore>,
    /// The most recently used one last.
    cache: Mutex<VecDeque<(String, Arc<PlannedItems>)>>,
}

/// The items of one chunk, ready to be picked.
#[derive(Clone, Debug, PartialEq)]
pub enum PlannedItems {
    /// Partitions of an input.
    Slices(Vec<Slice>),
    /// Values of a list file.
    Values(Vec<ListItem>),
    /// Groups.
    Groups(Vec<Group>),
}

impl PlanReader {
    /// A reader of the plans among the grid's objects.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, cache: Mutex::new(VecDeque::new()) }
    }

    /// The items of chunk `number`.
    pub async fn chunk(&self, job: &JobId, stage: &StageName, number: u32) -> Result<Arc<PlannedItems>> {
        let key = layout::plan_chunk(job, stage, number);
        if let Some(items) = self.cached(&key) {
            return Ok(items);
        }
        let body = self.objects.get(&key, None).await?;
        let chunk: PlanChunk = parse(&key, &body)?;
        check_version(&key, chunk.v)?;
        let items = match chunk.items {
            ChunkItems::Slices(runs) => {
                PlannedItems::Slices(decode_slices(&runs).map_err(|fault| broken(&key, &fault))?)
            }
            ChunkItems::Values(values) => PlannedItems::Values(values),
            ChunkItems::Groups(groups) => PlannedItems::Groups(groups),
        };
        Ok(self.keep(key, Arc::new(items)))
    }

    /// The plan in numbers; `NotFound` while it is not complete.
    pub async fn summary(&self, job: &JobId, stage: &StageName) -> Result<PlanSummary> {
        let key = layout::plan_summary(job, stage);
        let body = self.objects.get(&key, None).await?;
        let summary: PlanSummary = parse(&key, &body)?;
        check_version(&key, summary.v)?;
        Ok(summary)
    }

    /// The slice that is item `index` of a `split` stage.
    pub async fn slice(&self, job: &JobId, stage: &StageName, index: ItemIndex) -> Result<Slice> {
        match &*self.chunk(job, stage, index / SHARD_ITEMS).await? {
            PlannedItems::Slices(slices) => pick(slices, stage, index),
            PlannedItems::Values(_) | PlannedItems::Groups(_) => Err(another_kind(stage, "slices")),
        }
    }

    /// The slices that are items `first .. first + count` of a `split` stage; of one shard, as those of a task are.
    pub async fn slices(&self, job: &JobId, stage: &StageName, first: ItemIndex, count: u32) -> Result<Vec<Slice>> {
        let chunk = self.chunk(job, stage, first / SHARD_ITEMS).await?;
        let PlannedItems::Slices(slices) = &*chunk else {
            return Err(another_kind(stage, "slices"));
        };
        (0..count).map(|at| pick(slices, stage, first.saturating_add(at))).collect()
    }

    /// The value that is item `index` of a `list` stage.
    pub async fn value(&self, job: &JobId, stage: &StageName, index: ItemIndex) -> Result<ListItem> {
        match &*self.chunk(job, stage, index / SHARD_ITEMS).await? {
            PlannedItems::Values(values) => pick(values, stage, index),
            PlannedItems::Slices(_) | PlannedItems::Groups(_) => Err(another_kind(stage, "values")),
        }
    }

    /// The group that is item `index` of a `group` stage.
    pub async fn group(&self, job: &JobId, stage: &StageName, index: ItemIndex) -> Result<Group> {
        match &*self.chunk(job, stage, index / SHARD_ITEMS).await? {
            PlannedItems::Groups(groups) => pick(groups, stage, index),
            PlannedItems::Slices(_) | PlannedItems::Values(_) => Err(another_kind(stage, "groups")),
        }
    }

    fn cached(&self, key: &str) -> Option<Arc<PlannedItems>> {
        let mut cache = self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let at = cache.iter().position(|(cached, _)| cached == key)?;
        let entry = cache.remove(at)?;
        let items = entry.1.clone();
        cache.push_back(entry);
        Some(items)
    }

    fn keep(&self, key: String, items: Arc<PlannedItems>) -> Arc<PlannedItems> {
        let mut cache = self.cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if cache.len() >= CACHED_CHUNKS {
            cache.pop_front();
        }
        cache.push_back((key, items.clone()));
        items
    }
}

fn parse<T: serde::de::DeserializeOwned>(key: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|cause| Error::caused(ErrorKind::Invalid, format!("{key} is broken"), cause))
}

fn check_version(key: &str, version: u32) -> Result<()> {
    if version == WIRE_VERSION {
        return Ok(());
    }
    Err(broken(key, &format!("it has version {version}, this gridmill reads {WIRE_VERSION}")))
}

fn broken(key: &str, fault: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{key} is broken: {fault}"))
}

fn pick<T: Clone>(items: &[T], stage: &StageName, index: ItemIndex) -> Result<T> {
    let item = items.get((index % SHARD_ITEMS) as usize).cloned();
    item.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("the plan of stage {stage} has no item {index}")))
}

fn another_kind(stage: &StageName, wanted: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the plan of stage {stage} does not list {wanted}"))
}
