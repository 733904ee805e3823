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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use grid_core::items::Key;

    use super::*;
    use crate::objects::MemoryObjects;

    fn place() -> (JobId, StageName, Arc<dyn ObjectStore>) {
        (JobId::new("job"), StageName::new("work"), Arc::new(MemoryObjects::new()))
    }

    async fn write(objects: &Arc<dyn ObjectStore>, key: &str, value: &impl serde::Serialize) {
        objects.put(key, Bytes::from(serde_json::to_vec(value).unwrap())).await.unwrap();
    }

    #[tokio::test]
    async fn the_latest_chunks_are_kept() {
        let (job, stage, objects) = place();
        let reader = PlanReader::new(objects.clone());
        let group = |number: u32| Group { key: Key(vec![("n".into(), number.to_string())]), members: Vec::new() };
        let chunks = CACHED_CHUNKS as u32 + 1;
        for number in 0..chunks {
            let items = ChunkItems::Groups(vec![group(number)]);
            let key = layout::plan_chunk(&job, &stage, number);
            write(&objects, &key, &PlanChunk { v: WIRE_VERSION, number, items }).await;
            assert_eq!(reader.group(&job, &stage, number * SHARD_ITEMS).await.unwrap(), group(number));
            // Used again and again, so that it is not the one that is given up.
            assert_eq!(reader.group(&job, &stage, 0).await.unwrap(), group(0));
            objects.delete(&key).await.unwrap();
        }
        assert_eq!(reader.group(&job, &stage, 0).await.unwrap(), group(0));
        let given_up = reader.group(&job, &stage, SHARD_ITEMS).await.unwrap_err();
        assert_eq!(given_up.kind, ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn what_a_plan_does_not_hold_is_an_error() {
        let (job, stage, objects) = place();
        let reader = PlanReader::new(objects.clone());
        assert_eq!(reader.summary(&job, &stage).await.unwrap_err().kind, ErrorKind::NotFound);
        let summary = PlanSummary { v: WIRE_VERSION + 1, items: 1, bytes: 0, records: None };
        write(&objects, &layout::plan_summary(&job, &stage), &summary).await;
        let newer = reader.summary(&job, &stage).await.unwrap_err();
        assert!(newer.kind == ErrorKind::Invalid && newer.to_string().contains("version"), "{newer}");
        let items = ChunkItems::Values(vec![ListItem::Text("a".into())]);
        write(&objects, &layout::plan_chunk(&job, &stage, 0), &PlanChunk { v: WIRE_VERSION, number: 0, items }).await;
        assert_eq!(reader.value(&job, &stage, 0).await.unwrap(), ListItem::Text("a".into()));
        assert_eq!(reader.value(&job, &stage, 1).await.unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(reader.slices(&job, &stage, 0, 1).await.unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(reader.group(&job, &stage, 0).await.unwrap_err().kind, ErrorKind::Invalid);
    }
}
