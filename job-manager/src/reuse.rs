//! Results of earlier jobs: an item whose identity an earlier job has committed is not run again.
//!
//! Nothing is kept for this: the newest jobs of the same pipeline are asked, and what they know is in their plans and
//! manifests. A reused result is a manifest like any other, written here instead of by a worker; it points to the
//! earlier job's bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::BoxFuture;
use grid_core::identity::{self, ItemIdentity, StageIdentity, stage_identities};
use grid_core::ids::{ItemIndex, JobId, StageItems, StageName, WorkerId};
use grid_core::items::Key;
use grid_core::job::{Job, MadeOf};
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::ItemSource;
use grid_core::rows::{JOBS, JobRow};
use grid_core::wire::{KeySource, Manifest, Outputs, TaskMessage};
use infra::Grid;
use infra::inputs::SliceReader;
use infra::outputs::{Committed, OutputReader};
use infra::plan::PlanReader;

use crate::ManagerError;
use crate::planning::regroup;
use crate::table::{JobTable, all_rows, read_submission};

/// Earlier jobs that are asked.
const MAX_JOBS: usize = 8;

/// Items of an earlier stage that are kept in memory to be found by their identity, 24 bytes each; a larger stage is
/// run anew.
const MAX_KNOWN_ITEMS: u64 = 2_000_000;

/// What earlier jobs have for the stages of one job.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    stages: BTreeMap<StageName, Known>,
}

/// The committed items of an earlier job's stage, by what they are.
#[derive(Debug)]
struct Known {
    job: Arc<Job>,
    stage: StageName,
    items: HashMap<ItemIdentity, ItemIndex>,
    outputs: OutputReader,
    slices: Arc<SliceReader>,
}

impl Reuse {
    /// Asks the newest earlier jobs of the same pipeline.
    pub async fn look(grid: &Grid, job: &Job) -> Result<Self, ManagerError> {
        let identities = stage_identities(job.submission());
        let slices = Arc::new(SliceReader::new(grid.objects.clone()));
        let mut reuse = Self::default();
        for id in earlier_jobs(grid, job).await? {
            if reuse.stages.len() == identities.len() {
                break;
            }
            reuse.ask(grid, job, &identities, &id, &slices).await?;
        }
        Ok(reuse)
    }

    /// The stages for which there is something.
    pub fn stages(&self) -> impl Iterator<Item = &StageName> {
        self.stages.keys()
    }

    async fn ask(
        &mut self,
        grid: &Grid,
        job: &Job,
        identities: &[StageIdentity],
        id: &JobId,
        slices: &Arc<SliceReader>,
    ) -> Result<(), ManagerError> {
        let theirs = stage_identities(&read_submission(grid, id).await?);
        let wanted: Vec<(usize, usize)> = (0..identities.len())
            .filter(|mine| !self.stages.contains_key(&job.submission().pipeline.stages[*mine].name))
            .filter(|mine| job.submission().pipeline.stages[*mine].cache)
            .filter_map(|mine| {
                let place = theirs.iter().position(|their| their.digest == identities[mine].digest)?;
                Some((mine, place))
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let earlier = Arc::new(load_with_groups(grid, id).await?);
        // Items that ran with other parameters are not what their identities say.
        if earlier.has_sets() {
            return Ok(());
        }
        for (mine, their) in wanted {
            let stage = earlier.submission().pipeline.stages[their].name.clone();
            let committed = earlier.ok_items(&stage);
            if committed.is_empty() || committed.len() > MAX_KNOWN_ITEMS {
                continue;
            }
            let reader = IdentityReader::new(grid, &earlier, slices);
            let mut items = HashMap::with_capacity(committed.len() as usize);
            for item in committed {
                items.insert(reader.identity(&stage, item).await?, item);
            }
            let outputs = OutputReader::new(grid.objects.clone());
            let known = Known { job: earlier.clone(), stage, items, outputs, slices: slices.clone() };
            self.stages.insert(job.submission().pipeline.stages[mine].name.clone(), known);
        }
        Ok(())
    }

    /// Which of some items need not run.
    pub async fn is_reusable(&self, grid: &Grid, job: &Job, items: &StageItems) -> Result<Vec<bool>, ManagerError> {
        let Some(known) = self.stages.get(&items.stage) else { return Ok(vec![false; items.count as usize]) };
        let reader = IdentityReader::new(grid, job, &known.slices);
        let mut answers = Vec::with_capacity(items.count as usize);
        for item in items.first..items.first + items.count {
            answers.push(known.items.contains_key(&reader.identity(&items.stage, item).await?));
        }
        Ok(answers)
    }

    /// The manifest of a task whose first items need not run: it commits them and gives the others back. `None` when
    /// the first item has to run.
    pub async fn manifest(&self, grid: &Grid, job: &Job, task: &TaskMessage) -> Result<Option<Manifest>, ManagerError> {
        let Some(known) = self.stages.get(&task.stage) else { return Ok(None) };
        let reader = IdentityReader::new(grid, job, &known.slices);
        let mut theirs: Vec<ItemIndex> = Vec::new();
        let mut source: Option<Arc<Committed>> = None;
        for item in task.first..task.first + task.count {
            let Some(their) = known.items.get(&reader.identity(&task.stage, item).await?) else { break };
            if theirs.last().is_some_and(|last| last + 1 != *their) {
                break;
            }
            match &source {
                Some(committed) if !committed.holds(*their) => break,
                Some(_) => {}
                None => source = known.committed(*their).await?,
            }
            if source.is_none() {
                break;
            }
            theirs.push(*their);
        }
        let (Some(source), Some(&their)) = (source, theirs.first()) else { return Ok(None) };
        let reused = theirs.len() as u32;
        let Some(outputs) = source.manifest.outputs_of(their, reused) else { return Ok(None) };
        let outputs = renumbered(outputs, their, task.first);
        let bytes_in = bytes_in(grid, job, task, reused).await?;
        Ok(Some(manifest(task, known.job.submission().job.clone(), reused, outputs, bytes_in)))
    }
}

impl Known {
    /// The manifest that holds an item.
    async fn committed(&self, item: ItemIndex) -> Result<Option<Arc<Committed>>, ManagerError> {
        let Some(index) = self.job.committed(&self.stage) else { return Ok(None) };
        for key in index.covering(item..item + 1) {
            let at = grid_core::wire::OutputRef { stage: self.stage.clone(), key };
            let committed = self.outputs.manifest(&self.job.submission().job, &at).await?;
            if committed.holds(item) {
                return Ok(Some(committed));
            }
        }
        Ok(None)
    }
}

/// The outputs of items that were numbered from `their` on there, and are from `first` on here.
fn renumbered(mut outputs: Outputs, their: ItemIndex, first: ItemIndex) -> Outputs {
    for file in &mut outputs.files {
        file.item = file.item.saturating_sub(their).saturating_add(first);
    }
    outputs
}

fn manifest(task: &TaskMessage, from: JobId, reused: u32, outputs: Outputs, bytes_in: u64) -> Manifest {
    let rest = (task.first + reused, task.count - reused);
    Manifest {
        v: WIRE_VERSION,
        job: task.job.clone(),
        stage: task.stage.clone(),
        first: task.first,
        count: task.count,
        attempt: task.attempt,
        worker: WorkerId::new("manager"),
        started_ms: 0,
        busy_us: 0,
        bytes_in,
        outputs,
        failed: Vec::new(),
        unrun: if rest.1 > 0 { vec![rest] } else { Vec::new() },
        log: None,
        params: BTreeMap::new(),
        reused_from: Some(from),
    }
}

/// Bytes of input of a task's first items, as planned.
async fn bytes_in(grid: &Grid, job: &Job, task: &TaskMessage, count: u32) -> Result<u64, ManagerError> {
    let stage = job.submission().pipeline.stage(&task.stage);
    if !stage.is_some_and(|stage| matches!(stage.items, ItemSource::Split(_))) {
        return Ok(0);
    }
    let plans = PlanReader::new(grid.objects.clone());
    let slices = plans.slices(&task.job, &task.stage, task.first, count).await?;
    Ok(slices.iter().map(grid_core::split::Slice::bytes).sum())
}

/// The newest other jobs of the same pipeline, newest first.
async fn earlier_jobs(grid: &Grid, job: &Job) -> Result<Vec<JobId>, ManagerError> {
    let me = &job.submission().job;
    let mut jobs = Vec::new();
    for row in all_rows(grid.state.as_ref(), JOBS).await?.into_iter().rev() {
        let listed: JobRow = serde_json::from_slice(&row.body)
            .map_err(|error| ManagerError::damaged(format!("row {JOBS}/{}", row.key.sort), error))?;
        if listed.pipeline == job.submission().pipeline.name && row.key.sort.as_str() < me.as_str() {
            jobs.push(JobId::new(row.key.sort));
        }
        if jobs.len() == MAX_JOBS {
            break;
        }
    }
    Ok(jobs)
}

async fn load_with_groups(grid: &Grid, id: &JobId) -> Result<Job, ManagerError> {
    let mut job = JobTable::load(grid, id).await?.job;
    regroup(grid, &mut job).await?;
    Ok(job)
}

/// Tells the identities of a job's items.
struct IdentityReader<'a> {
    job: &'a Job,
    plans: PlanReader,
    slices: &'a SliceReader,
}

impl<'a> IdentityReader<'a> {
    fn new(grid: &Grid, job: &'a Job, slices: &'a SliceReader) -> Self {
        Self { job, plans: PlanReader::new(grid.objects.clone()), slices }
    }

    fn identity<'b>(
        &'b self,
        stage: &'b StageName,
        item: ItemIndex,
    ) -> BoxFuture<'b, Result<ItemIdentity, ManagerError>> {
        Box::pin(async move {
            match self.job.made_of(stage, item) {
                MadeOf::Itself => self.own(stage, item).await,
                MadeOf::Item(stage, item) => self.identity(&stage, item).await,
                MadeOf::Items(members) => {
                    let mut identities = Vec::new();
                    for members in members {
                        for item in members.first..members.first + members.count {
                            // What was left out changes what is made of the others.
                            if self.job.is_ok(&members.stage, item) {
                                identities.push(self.identity(&members.stage, item).await?);
                            }
                        }
                    }
                    Ok(identity::of_members(&self.key(stage, item).await?, identities.iter()))
                }
            }
        })
    }

    async fn own(&self, stage: &StageName, item: ItemIndex) -> Result<ItemIdentity, ManagerError> {
        let submission = self.job.submission();
        let key = self.key(stage, item).await?;
        let Some(ItemSource::Split(split)) = submission.pipeline.stage(stage).map(|stage| &stage.items) else {
            return Ok(identity::of_key(&key));
        };
        let files = submission.inputs.get(&split.input).map_or(&[][..], Vec::as_slice);
        let slice = self.plans.slice(&submission.job, stage, item).await?;
        Ok(self.slices.identity(&key, &slice, files).await?)
    }

    async fn key(&self, stage: &StageName, item: ItemIndex) -> Result<Key, ManagerError> {
        let is_combiner = matches!(
            self.job.submission().pipeline.stage(stage).map(|stage| &stage.items),
            Some(ItemSource::All { .. })
        );
        if is_combiner {
            return Ok(Key::default());
        }
        let source = KeySource::Items(StageItems { stage: stage.clone(), first: item, count: 1 });
        let mut keys = infra::keys::keys(&self.plans, self.job.submission(), &source).await?;
        Ok(keys.pop().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use grid_core::ids::StageName;
    use grid_core::wire::{OutputFile, Pack, TaskInputs};

    use super::*;

    /// Items 4, 5 and 6.
    fn task() -> TaskMessage {
        TaskMessage {
            v: WIRE_VERSION,
            job: JobId::new("2"),
            stage: StageName::new("a"),
            first: 4,
            count: 3,
            attempt: 1,
            failures: 0,
            memory_factor: 1.0,
            params: Default::default(),
            keys: KeySource::Given(Key::default()),
            inputs: TaskInputs::Plan,
        }
    }

    #[test]
    fn what_was_reused_in_part_can_be_reused_again() {
        let own = Outputs { pack: Pack::Text("a".into()), stdout: vec![(1, 7)], files: Vec::new(), bundled: false };
        let reused = manifest(&task(), JobId::new("1"), 1, own.clone(), 0);
        assert_eq!(reused.committed(), [(4, 1)]);
        assert_eq!(reused.outputs_of(4, 1), Some(own));
    }

    #[test]
    fn a_bundle_that_was_reused_in_a_larger_task_can_be_reused_again() {
        let own = Outputs { pack: Pack::Text("a".into()), stdout: vec![(1, 7)], files: Vec::new(), bundled: true };
        let reused = manifest(&task(), JobId::new("1"), 2, own.clone(), 0);
        assert_eq!(reused.committed(), [(4, 2)]);
        assert_eq!((reused.outputs_of(4, 2), reused.outputs_of(4, 1)), (Some(own), None));
    }

    #[test]
    fn files_belong_to_the_items_that_they_were_reused_for() {
        let file = |item, name: &str| OutputFile { item, name: name.into(), len: 1, crc32: 7 };
        let files = |files| Outputs { pack: Pack::Text("fg".into()), stdout: Vec::new(), files, bundled: false };
        let theirs = files(vec![file(10, "f"), file(11, "g")]);
        assert_eq!(renumbered(theirs, 10, 4), files(vec![file(4, "f"), file(5, "g")]));
    }
}
