//! Planning: what runs beside the leader until the items of a stage are known.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;
use grid_core::ids::{JobId, StageItems, StageName};
use grid_core::items::Key;
use grid_core::items::plan::{ChunkItems, Group, PlanChunk, PlanSummary};
use grid_core::job::Job;
use grid_core::layout;
use grid_core::limits::{SHARD_ITEMS, WIRE_VERSION};
use grid_core::pipeline::{ItemSource, Stage};
use grid_core::submission::Submission;
use grid_core::wire::KeySource;
use infra::plan::{PlanReader, PlannedItems};
use infra::{ErrorKind, Grid};
use tokio::sync::mpsc;

use crate::desk::{PlanNews, PlanWhat};
use crate::error::with_causes;
use crate::planner::{self, PlanError, PlanProgress};
use crate::submit::encode;

/// What is to be planned, with what the job knows about it.
#[derive(Debug)]
pub(crate) struct PlanWork {
    submission: std::sync::Arc<Submission>,
    stage: StageName,
    /// For `group`: the items upstream, and where their keys come from.
    upstream: Vec<(StageItems, KeySource)>,
}

impl PlanWork {
    pub fn of(job: &Job, stage: &StageName) -> Self {
        let submission = job.submission().clone();
        let upstream = match submission.pipeline.stage(stage).map(|stage| &stage.items) {
            Some(ItemSource::Group { stages, .. }) => stages.iter().flat_map(|stage| job.key_runs(stage)).collect(),
            _ => Vec::new(),
        };
        Self { submission, stage: stage.clone(), upstream }
    }
}

/// Plans a stage and tells the leader what is found, as it is found.
pub(crate) async fn plan(grid: Grid, work: PlanWork, news: mpsc::Sender<PlanNews>) {
    let (job, stage) = (work.submission.job.clone(), work.stage.clone());
    let tell = |what| news.send(PlanNews { job: job.clone(), stage: stage.clone(), what });
    let what = match planned(&grid, &work, &job, &news).await {
        Ok(what) => what,
        Err(PlanError::Store(error)) if error.is_transient() => PlanWhat::Broken(error),
        Err(error) => PlanWhat::Refused(format!("stage {stage} cannot be planned: {}", with_causes(&error))),
    };
    // A leader that is gone needs no news.
    _ = tell(what).await;
}

/// Boxed, because the compiler cannot see through the closure that this future may be sent to another thread.
fn planned<'a>(
    grid: &'a Grid,
    work: &'a PlanWork,
    job: &'a JobId,
    news: &'a mpsc::Sender<PlanNews>,
) -> BoxFuture<'a, Result<PlanWhat, PlanError>> {
    Box::pin(async move {
        let Some(stage) = work.submission.pipeline.stage(&work.stage) else {
            return Err(PlanError::Unsound(format!("there is no stage {}", work.stage)));
        };
        if let ItemSource::Group { by, .. } = &stage.items {
            return groups(grid, work, stage, by).await.map(PlanWhat::Groups);
        }
        // Chunks are news as they come; when the leader is behind it hears of the next one.
        let on_chunk = |progress: PlanProgress| {
            let PlanProgress { items, bytes, records } = progress;
            let what = PlanWhat::Items { items, bytes, records, complete: false };
            _ = news.try_send(PlanNews { job: job.clone(), stage: stage.name.clone(), what });
        };
        let PlanSummary { items, bytes, records, .. } = planner::plan(grid, &work.submission, stage, on_chunk).await?;
        Ok(PlanWhat::Items { items, bytes, records, complete: true })
    })
}

/// The groups of a stage: read if they were written before, else formed and written.
async fn groups(grid: &Grid, work: &PlanWork, stage: &Stage, by: &[String]) -> Result<Vec<Group>, PlanError> {
    let job = &work.submission.job;
    if let Some(groups) = read_groups(grid, job, &stage.name).await.map_err(PlanError::Store)? {
        return Ok(groups);
    }
    let groups = form_groups(grid, work, by).await?;
    for (number, chunk) in groups.chunks(SHARD_ITEMS as usize).enumerate() {
        let number = number as u32;
        let body = PlanChunk { v: WIRE_VERSION, number, items: ChunkItems::Groups(chunk.to_vec()) };
        put(grid, &layout::plan_chunk(job, &stage.name, number), encode(&body)).await?;
    }
    let summary = PlanSummary { v: WIRE_VERSION, items: groups.len() as u32, bytes: 0, records: None };
    put(grid, &layout::plan_summary(job, &stage.name), encode(&summary)).await?;
    Ok(groups)
}

/// Gives a job that was read from its rows the groups that were planned for it, which its rows do not hold.
pub(crate) async fn regroup(grid: &Grid, job: &mut Job) -> infra::Result<()> {
    let submission = job.submission().clone();
    for stage in &submission.pipeline.stages {
        if matches!(stage.items, ItemSource::Group { .. })
            && let Some(groups) = read_groups(grid, &submission.job, &stage.name).await?
        {
            job.grouped(&stage.name, &groups);
        }
    }
    Ok(())
}

/// The groups that were planned before; none if there is no complete plan.
async fn read_groups(grid: &Grid, job: &JobId, stage: &StageName) -> infra::Result<Option<Vec<Group>>> {
    let plans = PlanReader::new(grid.objects.clone());
    let summary = match plans.summary(job, stage).await {
        Ok(summary) => summary,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut groups = Vec::with_capacity(summary.items as usize);
    for number in 0..summary.items.div_ceil(SHARD_ITEMS) {
        match &*plans.chunk(job, stage, number).await? {
            PlannedItems::Groups(chunk) => groups.extend_from_slice(chunk),
            PlannedItems::Slices(_) | PlannedItems::Values(_) => {
                return Err(infra::Error::new(ErrorKind::Invalid, format!("the plan of stage {stage} has no groups")));
            }
        }
    }
    Ok(Some(groups))
}

/// One group for every combination of values, in the order in which the items first show them.
async fn form_groups(grid: &Grid, work: &PlanWork, by: &[String]) -> Result<Vec<Group>, PlanError> {
    let plans = PlanReader::new(grid.objects.clone());
    let mut places: BTreeMap<Key, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (items, source) in &work.upstream {
        let keys = infra::keys::keys(&plans, &work.submission, source).await.map_err(PlanError::Store)?;
        for (offset, key) in keys.iter().enumerate() {
            let key = group_key(key, by, &items.stage)?;
            let place = *places.entry(key.clone()).or_insert_with(|| {
                groups.push(Group { key, members: Vec::new() });
                groups.len() - 1
            });
            add_member(&mut groups[place].members, &items.stage, items.first + offset as u32);
        }
    }
    Ok(groups)
}

/// The values of the dimensions that are grouped by. An input decides some of an item's dimensions, so that only the
/// items themselves can tell whether they are there.
fn group_key(key: &Key, by: &[String], stage: &StageName) -> Result<Key, PlanError> {
    let value = |dim: &String| match key.get(dim) {
        Some(value) => Ok((dim.clone(), value.to_owned())),
        None => {
            Err(PlanError::Input(format!("item {} of stage {stage} has no dimension `{dim}` to group by", key.name())))
        }
    };
    by.iter().map(value).collect::<Result<_, _>>().map(Key)
}

fn add_member(members: &mut Vec<StageItems>, stage: &StageName, item: u32) {
    match members.last_mut() {
        Some(last) if last.stage == *stage && last.first + last.count == item => last.count += 1,
        _ => members.push(StageItems { stage: stage.clone(), first: item, count: 1 }),
    }
}

async fn put(grid: &Grid, key: &str, body: Vec<u8>) -> Result<(), PlanError> {
    match grid.objects.create(key, Bytes::from(body)).await {
        // Written before a crash; the plan says the same every time.
        Err(error) if error.kind != ErrorKind::Conflict => Err(PlanError::Store(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_follow_each_other_are_told_together() {
        let [a, b] = ["a", "b"].map(StageName::new);
        let mut members = Vec::new();
        for (stage, item) in [(&a, 3), (&a, 4), (&a, 5), (&a, 7), (&b, 8), (&b, 9), (&a, 10)] {
            add_member(&mut members, stage, item);
        }
        let of = |stage: &StageName, first, count| StageItems { stage: stage.clone(), first, count };
        assert_eq!(members, [of(&a, 3, 3), of(&a, 7, 1), of(&b, 8, 2), of(&a, 10, 1)]);
    }
}
