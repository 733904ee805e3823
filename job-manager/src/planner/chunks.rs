//! Writing a plan: items are gathered into chunks, and each chunk is written once.

use std::sync::Arc;

use bytes::Bytes;
use grid_core::ids::{JobId, StageName};
use grid_core::items::plan::{ChunkItems, PlanChunk, PlanSummary};
use grid_core::layout;
use grid_core::limits::{MAX_ITEMS, SHARD_ITEMS, WIRE_VERSION};
use infra::ErrorKind;
use infra::objects::ObjectStore;

use crate::planner::{PlanError, PlanProgress};

/// Where the chunks of one stage go, and who is told of each.
pub(super) struct Target<'a> {
    /// Without a place they are only counted.
    pub place: Option<Place>,
    pub on_chunk: &'a mut (dyn FnMut(PlanProgress) + Send),
}

/// Where the plan of a stage is written.
pub(super) struct Place {
    pub objects: Arc<dyn ObjectStore>,
    pub job: JobId,
    pub stage: StageName,
}

/// Writes the chunks of one stage.
pub(super) struct ChunkWriter<'a, T> {
    target: Target<'a>,
    items: Vec<T>,
    chunks: u32,
    planned: u64,
}

impl<'a, T> ChunkWriter<'a, T> {
    pub fn new(target: Target<'a>) -> Self {
        Self { target, items: Vec::new(), chunks: 0, planned: 0 }
    }

    /// Adds an item; `so_far` says what was found, this item included, and `encode` makes chunk items of items.
    pub async fn push(
        &mut self,
        item: T,
        so_far: (u64, Option<u64>),
        encode: fn(Vec<T>) -> ChunkItems,
    ) -> Result<(), PlanError> {
        self.planned += 1;
        if self.planned > MAX_ITEMS {
            let message = format!("a stage has at most {MAX_ITEMS} items: cut the input into larger pieces");
            return Err(PlanError::Input(message));
        }
        self.items.push(item);
        if self.items.len() < SHARD_ITEMS as usize { Ok(()) } else { self.flush(so_far, encode).await }
    }

    /// Writes what is left, and the summary.
    pub async fn finish(
        mut self,
        (bytes, records): (u64, Option<u64>),
        encode: fn(Vec<T>) -> ChunkItems,
    ) -> Result<PlanSummary, PlanError> {
        if !self.items.is_empty() {
            self.flush((bytes, records), encode).await?;
        }
        let summary = PlanSummary { v: WIRE_VERSION, items: self.planned as u32, bytes, records };
        if let Some(place) = &self.target.place {
            place.write(&layout::plan_summary(&place.job, &place.stage), to_json(&summary)?).await?;
        }
        Ok(summary)
    }

    async fn flush(
        &mut self,
        (bytes, records): (u64, Option<u64>),
        encode: fn(Vec<T>) -> ChunkItems,
    ) -> Result<(), PlanError> {
        let items = std::mem::take(&mut self.items);
        if let Some(place) = &self.target.place {
            let chunk = PlanChunk { v: WIRE_VERSION, number: self.chunks, items: encode(items) };
            let body = to_json(&chunk)?;
            place.write(&layout::plan_chunk(&place.job, &place.stage, self.chunks), body).await?;
        }
        self.chunks += 1;
        (self.target.on_chunk)(PlanProgress { items: self.planned as u32, bytes, records });
        Ok(())
    }
}

impl Place {
    /// The summary of a plan that was completed before.
    pub async fn written_before(&self) -> Result<Option<PlanSummary>, PlanError> {
        let reader = infra::plan::PlanReader::new(self.objects.clone());
        match reader.summary(&self.job, &self.stage).await {
            Ok(summary) => Ok(Some(summary)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object that may be there already, if it is the same.
    async fn write(&self, key: &str, body: Bytes) -> Result<(), PlanError> {
        match self.objects.create(key, body.clone()).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::Conflict => {
                let written = self.objects.get(key, None).await?;
                if written == body {
                    return Ok(());
                }
                Err(PlanError::Unsound(format!(
                    "{key} was written before and differs from what is planned now: submit the job again"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Bytes, PlanError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| PlanError::Unsound(format!("no JSON: {error}")))
}
