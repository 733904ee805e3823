//! Results of earlier jobs: an item whose identity an earlier job has committed is not run again.
//!
//! Nothing is kept for this: the newest jobs of the same pipeline are asked, and what they know is in their plans and
//! manifests. A reused result is a manifest like any other, written here instead of by a worker; it points to the
//! earlier job's bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use grid_core::identity::{ItemIdentity, StageIdentity, stage_identities};
use grid_core::ids::{ItemIndex, JobId, StageItems, StageName, WorkerId};
use grid_core::job::Job;
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::ItemSource;
use grid_core::rows::{JOBS, JobRow};
use grid_core::submission::Submission;
use grid_core::wire::{Manifest, Outputs, TaskMessage};
use infra::Grid;
use infra::inputs::SliceReader;
use infra::outputs::{Committed, OutputReader};
use infra::plan::PlanReader;

use crate::ManagerError;
use crate::error::{Remedy, with_causes};
use crate::identities::IdentityReader;
use crate::planning::regroup;
use crate::table::{JobTable, read_submission};

/// Earlier jobs that are asked.
const MAX_JOBS: usize = 8;

/// Jobs of any pipeline among which they are looked for, the newest first.
const MAX_LOOKED_AT: usize = 10_000;

/// Jobs that are read at a time.
const PAGE: usize = 250;

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
        for id in earlier_jobs(grid, job.submission()).await? {
            if reuse.stages.len() == identities.len() {
                break;
            }
            let asked = reuse.ask(grid, job, &identities, &id, &slices).await;
            unless_damaged(&id, asked)?;
        }
        Ok(reuse)
    }

    /// What is known of a stage. Once redrives have set parameters, what items are made of is not what their identities say.
    fn known(&self, job: &Job, stage: &StageName) -> Option<&Known> {
        self.stages.get(stage).filter(|_| !job.has_sets())
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
        let Some(known) = self.known(job, &items.stage) else { return Ok(vec![false; items.count as usize]) };
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
        let Some(known) = self.known(job, &task.stage) else { return Ok(None) };
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
                None => {
                    let committed = known.committed(*their).await;
                    source = unless_damaged(&known.job.submission().job, committed)?.flatten();
                }
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

/// What was read of an earlier job; none where that is not there any more, since its objects have expired, or where nobody can read
/// it: a job that comes later does without it.
fn unless_damaged<T>(earlier: &JobId, read: Result<T, ManagerError>) -> Result<Option<T>, ManagerError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.remedy() == Remedy::Blame => {
            tracing::warn!(%earlier, error = with_causes(&error), "an earlier job cannot be read; nothing is taken from it");
            Ok(None)
        }
        Err(error) => Err(error),
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
        copy: 0,
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

/// The newest earlier jobs of the same pipeline and tenant, newest first.
pub(crate) async fn earlier_jobs(grid: &Grid, submission: &Submission) -> Result<Vec<JobId>, ManagerError> {
    let mut jobs = Vec::new();
    let mut looked_at = 0;
    let mut before = submission.job.as_str().to_owned();
    loop {
        let page = grid.state.query_back(JOBS, Some(&before), PAGE).await?;
        let is_last = page.len() < PAGE;
        looked_at += page.len();
        for row in page {
            let listed: JobRow = serde_json::from_slice(&row.body)
                .map_err(|error| ManagerError::damaged(format!("row {JOBS}/{}", row.key.sort), error))?;
            before.clone_from(&row.key.sort);
            // What a tenant computed is nobody else's.
            if listed.pipeline == submission.pipeline.name && listed.tenant == submission.tenant {
                jobs.push(JobId::new(row.key.sort));
            }
            if jobs.len() == MAX_JOBS {
                return Ok(jobs);
            }
        }
        if is_last || looked_at >= MAX_LOOKED_AT {
            return Ok(jobs);
        }
    }
}

async fn load_with_groups(grid: &Grid, id: &JobId) -> Result<Job, ManagerError> {
    let mut job = JobTable::load(grid, id).await?.job;
    regroup(grid, &mut job).await?;
    Ok(job)
}

#[cfg(test)]
mod tests;
