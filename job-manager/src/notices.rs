//! Events for others: what was committed, put on the queues that the pipeline names.
//!
//! An event is sent after its manifest was applied, and before the rows say so: as long as the rows do not, the task is out,
//! and whoever leads next finds its manifest and sends the event again. So nothing has to be kept of what is owed, and a
//! queue that refuses events holds up its own job and no other.

use std::collections::BTreeMap;

use grid_core::ids::ItemIndex;
use grid_core::job::Job;
use grid_core::layout;
use grid_core::limits::{MAX_MESSAGE_BYTES, QUEUE_BATCH};
use grid_core::pipeline::Pipeline;
use grid_core::wire::{Manifest, to_ascii_json};
use infra::Grid;
use infra::notify::Notifier;
use infra::outputs::{Committed, Piece};
use serde_json::{Value, json};

use crate::ManagerError;
use crate::error::with_causes;
use crate::finish::rfc3339;
use crate::submit::encode;
use crate::view::Keys;

/// What the events are called.
const TYPE: &str = "gridmill.task.committed";

/// An event that lists more items than this says where the manifest lies instead.
const MAX_LISTED_ITEMS: u32 = 1_000;

/// Manifests of which others are still to be told. No more than there were tasks out.
#[derive(Debug, Default)]
pub(crate) struct Notices(Vec<Manifest>);

impl Notices {
    /// Notes a manifest that was counted, if somebody wants to know what it commits.
    pub fn note(&mut self, job: &Job, manifest: &Manifest) {
        let stage = job.submission().pipeline.stage(&manifest.stage);
        if stage.is_some_and(|stage| stage.notify.is_some()) && !manifest.committed().is_empty() {
            self.0.push(manifest.clone());
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Tells what there is to tell. `Ok(false)` when a queue does not take it: then the rows must not be written. After an
    /// error everything is told again.
    pub async fn tell(&mut self, grid: &Grid, job: &Job) -> Result<bool, ManagerError> {
        let mut by_queue: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
        for manifest in &self.0 {
            let stage = job.submission().pipeline.stage(&manifest.stage);
            if let Some(notify) = stage.and_then(|stage| stage.notify.as_ref()) {
                by_queue.entry(&notify.queue).or_default().push(manifest);
            }
        }
        let mut refused = Vec::new();
        for (queue, manifests) in by_queue {
            for batch in manifests.chunks(QUEUE_BATCH) {
                refused.extend(send(grid, job, queue, batch).await?);
            }
        }
        self.0 = refused;
        Ok(self.0.is_empty())
    }
}

/// Why a job cannot be run: the first queue that its pipeline may not name. A job that was accepted may have been so before
/// the grid's owner changed his list, or by a command that knows no list.
pub(crate) fn refused_queue(grid: &Grid, job: &Job) -> Option<String> {
    refused_queues(&*grid.notifier, &job.submission().pipeline).next()
}

/// The queues that a pipeline may not name, each with the reason.
pub(crate) fn refused_queues(notifier: &dyn Notifier, pipeline: &Pipeline) -> impl Iterator<Item = String> {
    pipeline.stages.iter().filter_map(|stage| {
        let refused = notifier.admits(&stage.notify.as_ref()?.queue).err()?;
        Some(format!("stage {} cannot notify: {}", stage.name, with_causes(&refused)))
    })
}

/// Sends the events of some manifests; answers those that were not taken.
async fn send(grid: &Grid, job: &Job, queue: &str, batch: &[&Manifest]) -> Result<Vec<Manifest>, ManagerError> {
    let mut events = Vec::with_capacity(batch.len());
    for manifest in batch {
        events.push(event(grid, job, manifest).await?);
    }
    let mut refused = Vec::new();
    match grid.notifier.send(queue, &events).await {
        Ok(answers) => {
            for (manifest, answer) in batch.iter().zip(answers) {
                if let Err(error) = answer {
                    let error = with_causes(&error);
                    tracing::warn!(queue, error, "an event was not sent; trying again, and the job waits");
                    refused.push(Manifest::clone(manifest));
                }
            }
        }
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(
                queue,
                error,
                events = events.len(),
                "events were not sent; trying again, and the job waits"
            );
            refused.extend(batch.iter().copied().cloned());
        }
    }
    Ok(refused)
}

/// The event of a manifest, as CloudEvents 1.0 in structured mode. The same manifest makes the same event.
async fn event(grid: &Grid, job: &Job, manifest: &Manifest) -> Result<String, ManagerError> {
    let key = layout::manifest(&manifest.job, &manifest.stage, manifest.key());
    let listed: u32 = manifest.committed().iter().map(|(_, count)| count).sum();
    if listed <= MAX_LISTED_ITEMS {
        let committed = Committed::parse(&key, &encode(manifest)).map_err(ManagerError::Store)?;
        let items = items(grid, job, &committed).await?;
        let whole = text(grid, job, manifest, &key, Some(items))?;
        if whole.len() <= MAX_MESSAGE_BYTES {
            return Ok(whole);
        }
    }
    text(grid, job, manifest, &key, None)
}

fn text(
    grid: &Grid,
    job: &Job,
    manifest: &Manifest,
    key: &str,
    items: Option<Vec<Value>>,
) -> Result<String, ManagerError> {
    let Manifest { job: id, stage, first, count, attempt, .. } = manifest;
    let mut data = json!({
        "job": id,
        "pipeline": job.submission().pipeline.name,
        "stage": stage,
        "first": first,
        "count": count,
        "attempt": attempt,
        "committed": manifest.committed(),
        "busy_secs": manifest.busy_us as f64 / 1e6,
        "manifest": grid.notifier.uri(key),
    });
    if let Some(earlier) = &manifest.reused_from {
        data["reused_from"] = json!(earlier);
    }
    if let Some(items) = items {
        data["items"] = Value::Array(items);
    }
    let name = format!("{stage}/{first}.{attempt}");
    let mut event = json!({
        "specversion": "1.0",
        "type": TYPE,
        "source": format!("/gridmill/jobs/{id}"),
        "id": format!("{id}/{name}"),
        "subject": name,
        "datacontenttype": "application/json",
        "data": data,
    });
    // What was taken from an earlier job has no time of its own.
    if manifest.started_ms > 0 {
        event["time"] = json!(rfc3339(manifest.started_ms + manifest.busy_us / 1_000));
    }
    to_ascii_json(&event).map_err(|error| ManagerError::damaged("an event", error))
}

/// What each committed item is called, and where its outputs lie.
async fn items(grid: &Grid, job: &Job, committed: &Committed) -> Result<Vec<Value>, ManagerError> {
    let keys = Keys::new(grid.objects.clone());
    let mut items = Vec::new();
    for &(first, count) in committed.items() {
        let names = keys.of(job, &committed.manifest.stage, first, count).await?;
        for (index, key) in (first..).zip(names) {
            let dims: BTreeMap<&str, &str> = key.0.iter().map(|(dim, value)| (dim.as_str(), value.as_str())).collect();
            let outputs = outputs(grid, committed, index);
            items.push(json!({"index": index, "item": key.name(), "key": dims, "outputs": outputs}));
        }
    }
    Ok(items)
}

fn outputs(grid: &Grid, committed: &Committed, item: ItemIndex) -> Vec<Value> {
    let place = |name: &str, piece: &Piece| {
        let mut output =
            json!({"name": name, "bytes": piece.len, "crc32": piece.crc32, "uri": grid.notifier.uri(piece.object())});
        if let Some(offset) = piece.offset() {
            output["offset"] = json!(offset);
        }
        output
    };
    let stdout = committed.stdout(item).map(|piece| place("stdout", &piece));
    stdout.into_iter().chain(committed.files(item).map(|(name, piece)| place(name, &piece))).collect()
}
