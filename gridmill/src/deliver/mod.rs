//! Delivers the committed outputs of a job to a folder: built aside, then renamed into place.

mod fetch;
mod folder;
mod partial;
mod record;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use grid_core::ids::StageName;
use grid_core::pipeline::Stage;
use job_manager::view::JobView;
use job_manager::view::outputs::{Walk, delivered_stages, target_of};
use serde::Serialize;

pub use fetch::fetch;
use folder::InTheWay;
pub use folder::OutFolder;
use partial::Partial;
use record::Record;
use write::{Amount, Checker, Writer};

use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::progress::ByteCounter;

/// Where a delivery is remembered.
#[derive(Clone, Copy, Debug)]
pub enum Memory<'a> {
    /// In this state folder, which is ours to write.
    State(&'a Path),
    /// Nowhere: nothing but what was delivered word for word before is replaced.
    None,
}

/// What one stage has delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageDelivery {
    /// The stage.
    pub stage: StageName,
    /// Files and folders that now hold its outputs.
    pub paths: Vec<PathBuf>,
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Delivers the outputs of every stage that the pipeline names. What is there already is left as it is.
pub async fn deliver(
    view: &JobView,
    out: &OutFolder,
    memory: Memory<'_>,
    console: Console,
) -> Outcome<Vec<StageDelivery>> {
    let mut delivery = Delivery::new(view, out, memory, console)?;
    let mut done = Vec::new();
    for stage in delivered_stages(view) {
        done.push(delivery.stage(stage).await?);
    }
    delivery.publish()?;
    Ok(done)
}

struct Delivery<'a> {
    view: &'a JobView,
    out: &'a OutFolder,
    memory: Memory<'a>,
    record: Record,
    partial: Partial,
    counter: ByteCounter,
    /// The targets of every stage; those in `fresh` were built anew.
    targets: BTreeMap<StageName, BTreeSet<PathBuf>>,
    fresh: BTreeSet<StageName>,
}

impl<'a> Delivery<'a> {
    fn new(view: &'a JobView, out: &'a OutFolder, memory: Memory<'a>, console: Console) -> Outcome<Self> {
        let record = match memory {
            Memory::State(state) => Record::read(state),
            Memory::None => Record::default(),
        };
        let partial = out.partial().map_err(|error| {
            Fault::back_end(error).while_doing(format!("failed to write to {}", out.root().display()))
        })?;
        let counter = ByteCounter::new(console, "delivering the outputs");
        Ok(Self { view, out, memory, record, partial, counter, targets: BTreeMap::new(), fresh: BTreeSet::new() })
    }

    /// Builds a stage's outputs unless they are there.
    async fn stage(&mut self, stage: &Stage) -> Outcome<StageDelivery> {
        let (targets, amount) = match self.present(stage).await? {
            Some(present) => present,
            None => {
                self.fresh.insert(stage.name.clone());
                self.build(stage).await?
            }
        };
        self.claim(&stage.name, targets.clone())?;
        let paths = targets.iter().map(|target| self.out.root().join(target)).collect();
        Ok(StageDelivery { stage: stage.name.clone(), paths, files: amount.files, bytes: amount.bytes })
    }

    /// What is there, if that is everything that this job has, and nothing else.
    async fn present(&self, stage: &Stage) -> Outcome<Option<(BTreeSet<PathBuf>, Amount)>> {
        let known = self.record.of(self.out.root(), &stage.name);
        if known.job.as_ref() != Some(self.view.id()) {
            return Ok(None);
        }
        let (mut checker, mut targets) = (Checker::default(), BTreeSet::new());
        let mut walk = Walk::new(self.view, stage).await?;
        while let Some(parts) = walk.next().await? {
            if !checker.check(self.out.root(), &parts) {
                return Ok(None);
            }
            targets.extend(parts.iter().map(|part| target_of(stage, &part.path)));
        }
        let amount = checker.finish(self.out.root());
        Ok(amount.filter(|_| targets == known.targets).map(|amount| (targets, amount)))
    }

    async fn build(&self, stage: &Stage) -> Outcome<(BTreeSet<PathBuf>, Amount)> {
        let (mut writer, mut targets) = (Writer::new(&self.counter), BTreeSet::new());
        let mut walk = Walk::new(self.view, stage).await?;
        let root = self.partial.built(Path::new(""));
        while let Some(parts) = walk.next().await? {
            writer.write(self.view, &root, &parts).await?;
            targets.extend(parts.iter().map(|part| target_of(stage, &part.path)));
        }
        Ok((targets, writer.amount()))
    }

    /// Notes the targets of a stage; refused where one is, or holds, that of another stage.
    fn claim(&mut self, stage: &StageName, targets: BTreeSet<PathBuf>) -> Outcome<()> {
        for (other, taken) in &self.targets {
            let clash = |a: &PathBuf| taken.iter().any(|b| a.starts_with(b) || b.starts_with(a));
            if let Some(target) = targets.iter().find(|target| clash(target)) {
                let words = format!("stages {other} and {stage} both deliver to {}", target.display());
                return Err(Fault::usage(words).help("give one of them another output.name"));
            }
        }
        self.targets.insert(stage.clone(), targets);
        Ok(())
    }

    /// Puts everything that was built in its place.
    fn publish(mut self) -> Outcome<()> {
        let targets = std::mem::take(&mut self.targets);
        let fresh: Vec<(StageName, BTreeSet<PathBuf>)> =
            targets.into_iter().filter(|(stage, _)| self.fresh.contains(stage)).collect();
        let inputs = input_files(self.view);
        let mut stale = Vec::new();
        for (stage, paths) in &fresh {
            let ours = self.record.of(self.out.root(), stage).targets;
            let way = InTheWay { ours: &ours, inputs: &inputs };
            for path in paths.union(&ours) {
                self.out.check(&self.partial, path, &way)?;
            }
            stale.extend(ours.difference(paths).cloned());
        }
        // Remembered before it is done, and after it was checked: what a crash leaves in between is known to be ours.
        self.remember(|record, out| fresh.iter().for_each(|(stage, paths)| record.begin(out, stage, paths)))?;
        for path in &stale {
            self.out.remove(&self.partial, path).map_err(Fault::back_end)?;
        }
        for path in fresh.iter().flat_map(|(_, paths)| paths) {
            self.out.place(&self.partial, path)?;
        }
        let job = self.view.id();
        self.remember(|record, out| fresh.into_iter().for_each(|(stage, paths)| record.end(out, &stage, job, paths)))
    }

    fn remember(&mut self, change: impl FnOnce(&mut Record, &Path)) -> Outcome<()> {
        let Memory::State(state) = self.memory else { return Ok(()) };
        let before = self.record.clone();
        change(&mut self.record, self.out.root());
        if before == self.record {
            return Ok(());
        }
        self.record.write(state).map_err(|error| {
            Fault::back_end(error).while_doing(format!("failed to write to the state folder {}", state.display()))
        })
    }
}

/// The local files that the job has read.
fn input_files(view: &JobView) -> BTreeSet<PathBuf> {
    let submission = &view.submission;
    let files = submission.inputs.values().flatten().chain(submission.lists.values());
    files.filter_map(|file| file.uri.strip_prefix("file://").map(PathBuf::from)).collect()
}
