//! A job with everything around it played by hand: workers, manifests, rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::ids::{AttemptKey, ItemIndex, JobId, StageItems, StageName, WorkerId};
use crate::items::Key;
use crate::items::plan::Group;
use crate::limits::WIRE_VERSION;
use crate::pipeline::*;
use crate::reason::{Failure, Reason};
use crate::submission::Submission;
use crate::wire::{ItemFailure, KeySource, Manifest, TaskInputs, TaskMessage};

pub(super) struct World {
    pub job: Job,
    pub manifests: BTreeMap<(StageName, AttemptKey), Manifest>,
    pub rows: BTreeMap<String, Vec<u8>>,
    pub executions: u64,
    /// Whether a failed item of a bundle is named, or the whole bundle fails.
    pub blame_is_known: bool,
    pub stopped: bool,
    pub now_ms: u64,
    pub group_size: u32,
}

pub(super) fn name(name: &str) -> StageName {
    StageName::new(name)
}

pub(super) fn stage(name: &str, items: ItemSource) -> Stage {
    let backoff = Backoff { initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(9), jitter: 1.0 };
    let run = Command::Argv(vec![Template { parts: vec![TemplatePart::Text("true".into())] }]);
    Stage { retry: Retry { backoff, ..Retry::default() }, ..Stage::new(StageName::new(name), items, run) }
}

fn names(names: &[&str]) -> Vec<StageName> {
    names.iter().map(|name| StageName::new(*name)).collect()
}

pub(super) fn numbers(count: impl Into<i64>) -> ItemSource {
    ItemSource::Range(Range { first: 1, last: count.into(), step: 1 })
}

pub(super) fn files() -> ItemSource {
    ItemSource::Split(Split { input: "in".into(), by: SplitBy::Files { count: 1 } })
}

pub(super) fn each(stages: &[&str]) -> ItemSource {
    ItemSource::Each(names(stages))
}

pub(super) fn all(stages: &[&str], fan_in: Option<u32>) -> ItemSource {
    ItemSource::All { stages: names(stages), fan_in }
}

pub(super) fn group(stages: &[&str]) -> ItemSource {
    ItemSource::Group { stages: names(stages), by: vec!["item".into()] }
}

fn message_of(stage: &StageName, task: &OutTask) -> TaskMessage {
    TaskMessage {
        v: WIRE_VERSION,
        job: JobId::new("job"),
        stage: stage.clone(),
        first: task.first,
        count: task.count,
        attempt: task.attempt,
        failures: task.spent.failures,
        memory_factor: task.spent.memory_factor,
        round: 0,
        copy: 0,
        params: BTreeMap::new(),
        keys: KeySource::Given(Key::default()),
        inputs: TaskInputs::Plan,
    }
}

impl World {
    pub fn of(stages: Vec<Stage>) -> Self {
        let pipeline = Pipeline::new("test", stages);
        let submission = Submission::new(JobId::new("job"), jiff::Timestamp::UNIX_EPOCH, "/", pipeline);
        Self {
            job: Job::new(Arc::new(submission)),
            manifests: BTreeMap::new(),
            rows: BTreeMap::new(),
            executions: 0,
            blame_is_known: true,
            stopped: false,
            now_ms: 0,
            group_size: 3,
        }
    }

    pub fn ok_counts(&self) -> Vec<u64> {
        self.job.view().iter().map(|view| view.ok).collect()
    }

    /// Makes every stage believe that its items take so long.
    pub fn pace(&mut self, item_secs: f64) {
        self.job.stages.iter_mut().for_each(|book| book.pace.item_secs = Some(item_secs));
    }

    pub fn plan(&mut self) {
        for stage in self.job.to_plan() {
            let groups = self.groups_of(&stage);
            self.job.grouped(&stage, &groups);
        }
    }

    /// Groups by place: item i of every upstream stage belongs to group i modulo the size.
    fn groups_of(&self, stage: &StageName) -> Vec<Group> {
        let upstream = self.job.submission().pipeline.stage(stage).unwrap().items.upstream().to_vec();
        let mut groups: BTreeMap<u32, Vec<StageItems>> = BTreeMap::new();
        for up in upstream {
            let (first, count) = self.job.output_items(&up).unwrap();
            for item in first..first + count {
                let members = groups.entry(item % self.group_size).or_default();
                members.push(StageItems { stage: up.clone(), first: item, count: 1 });
            }
        }
        let key = |group: u32| Key(vec![("item".into(), group.to_string())]);
        groups.into_iter().map(|(group, members)| Group { key: key(group), members }).collect()
    }

    pub fn dispatch(&mut self, room: usize) -> Vec<TaskMessage> {
        self.plan();
        self.hand_out(room)
    }

    /// The same, though there may be groups that nobody has found yet.
    pub fn hand_out(&mut self, room: usize) -> Vec<TaskMessage> {
        self.job.dispatch(self.now_ms, &Tuning { slots: 2, ..Tuning::default() }, room);
        self.save();
        self.send_due()
    }

    pub fn send_due(&mut self) -> Vec<TaskMessage> {
        let messages: Vec<TaskMessage> = self.job.due().into_iter().map(|message| message.task).collect();
        for message in &messages {
            self.job.sent(&message.stage, message.key(), self.now_ms);
        }
        messages
    }

    /// Somebody else writes the job's own row, and the leader takes it over.
    pub fn wish(&mut self, wish: Wish) {
        let meta = self.job.meta().clone().after(&wish, self.now_ms).unwrap();
        self.rows.insert(META.into(), serde_json::to_vec(&meta).unwrap());
        self.job.adopt(meta);
    }

    pub fn save(&mut self) {
        for change in self.job.changes() {
            self.rows.insert(change.sort, change.body);
        }
        self.job.saved();
    }

    /// Of the rows that changed only those whose names begin like this are written.
    pub fn save_only(&mut self, prefix: &str) {
        let changes = self.job.changes().into_iter().filter(|change| change.sort.starts_with(prefix));
        self.rows.extend(changes.map(|change| (change.sort, change.body)));
    }

    pub fn reload(&mut self) {
        let rows: Vec<StoredRow> =
            self.rows.iter().map(|(sort, body)| StoredRow { sort: sort.clone(), body: body.clone() }).collect();
        let submission = self.job.submission().clone();
        self.job = if rows.is_empty() { Job::new(submission) } else { Job::load(submission, &rows).unwrap() };
        self.plan();
    }

    /// The job as its manifests, and the messages of the tasks that are `out`, give it back.
    pub fn recalled(&self, out: &[(StageName, OutTask)]) -> Self {
        let submission = self.job.submission().clone();
        let stages = submission.pipeline.stages.iter().zip(&self.job.stages);
        let planned = stages.filter(|(_, book)| book.planned.complete).map(|(stage, book)| {
            let plan = RecalledPlan { items: book.planned.items, complete: true, ..RecalledPlan::default() };
            (stage.name.clone(), plan)
        });
        let mut recall = Recall::new(submission.clone(), &planned.collect());
        let mut manifests: Vec<&Manifest> = self.manifests.values().collect();
        manifests.sort_by_key(|manifest| (manifest.stage.clone(), manifest.attempt, manifest.first));
        for manifest in manifests {
            recall.ended(manifest, self.now_ms, &mut || 0.5).unwrap();
        }
        for (stage, task) in out {
            recall.handed_out(&message_of(stage, task)).unwrap();
        }
        let mut again = Self::of(submission.pipeline.stages.clone());
        (again.job, again.group_size, again.now_ms) =
            (recall.finish(Meta::new(&submission.pipeline.name)), self.group_size, self.now_ms);
        again.manifests.clone_from(&self.manifests);
        again.plan();
        again
    }

    /// What an execution of the first task of `stage` would commit.
    pub fn manifest_of(&self, stage: &StageName, run: impl FnMut(ItemIndex) -> Result<(), Reason>) -> Manifest {
        let (_, task) = self.job.out().find(|(name, _)| *name == stage).expect("a task of the stage is out");
        self.execute(stage, task.key(), task.count, run)
    }

    pub fn execute(
        &self,
        stage: &StageName,
        key: AttemptKey,
        count: u32,
        mut run: impl FnMut(ItemIndex) -> Result<(), Reason>,
    ) -> Manifest {
        let failure = |first, count, reason| {
            let failure = Failure::new(reason, "failed");
            ItemFailure { first, count, bytes_in: 0, failure }
        };
        let mut failed: Vec<ItemFailure> = (key.first..key.first + count)
            .filter_map(|item| run(item).err().map(|reason| failure(item, 1, reason)))
            .collect();
        if !self.blame_is_known && !failed.is_empty() {
            failed = vec![failure(key.first, count, failed[0].failure.reason)];
        }
        Manifest {
            v: WIRE_VERSION,
            job: JobId::new("job"),
            stage: stage.clone(),
            first: key.first,
            count,
            attempt: key.attempt,
            worker: WorkerId::new("w"),
            copy: 0,
            started_ms: 0,
            busy_us: u64::from(count) * 1_000,
            bytes_in: 0,
            outputs: Default::default(),
            failed,
            unrun: Vec::new(),
            log: None,
            params: BTreeMap::new(),
            reused_from: None,
        }
    }

    /// Executes the first task of `stage` and takes in its manifest.
    pub fn run_one(&mut self, stage: &StageName, run: impl FnMut(ItemIndex) -> Result<(), Reason>) -> Manifest {
        let manifest = self.manifest_of(stage, run);
        self.executions += 1;
        self.commit(manifest.clone());
        self.take_in(&manifest);
        manifest
    }

    /// Takes in a manifest that is news.
    #[track_caller]
    pub fn take_in(&mut self, manifest: &Manifest) {
        assert_eq!(self.job.apply(manifest, self.now_ms, &mut || 0.5), Applied::Counted);
    }

    pub fn commit(&mut self, manifest: Manifest) {
        let entry = (manifest.stage.clone(), manifest.key());
        assert!(self.manifests.insert(entry, manifest).is_none(), "a manifest is created once");
    }

    pub fn settle(&mut self) {
        match self.job.settle(self.now_ms) {
            None => return,
            Some(Ending::Stop) => self.stopped = true,
            Some(Ending::Commit | Ending::Over) => {}
        }
        let Balance { faults, .. } = self.job.balance();
        let (state, message) = match self.job.state() {
            JobState::Committing if faults.is_empty() => (JobState::Succeeded, None),
            JobState::Committing => (JobState::Quarantined, Some(faults.join("; "))),
            state => (state, self.job.message().map(str::to_owned)),
        };
        self.job.receipt_written(Ended { state, message, finished_ms: self.now_ms });
    }

    pub fn run_calmly(&mut self) {
        self.run(|_| Ok(()));
    }

    /// Runs to the end; `run` says how the items of the stages that have no upstream go.
    pub fn run(&mut self, run: impl FnMut(ItemIndex) -> Result<(), Reason>) {
        self.run_watched(run, |_| {});
    }

    pub fn run_watched(
        &mut self,
        mut run: impl FnMut(ItemIndex) -> Result<(), Reason>,
        mut watch: impl FnMut(&TaskMessage),
    ) {
        for _ in 0..100_000 {
            self.settle();
            if self.job.state().is_final() {
                return;
            }
            for message in self.dispatch(4) {
                watch(&message);
                let is_source =
                    self.job.submission().pipeline.stage(&message.stage).unwrap().items.upstream().is_empty();
                let manifest = self.execute(&message.stage, message.key(), message.count, |item| {
                    if is_source { run(item) } else { Ok(()) }
                });
                self.executions += 1;
                self.commit(manifest.clone());
                self.take_in(&manifest);
            }
            self.now_ms += 1_000;
        }
        panic!("the job does not end: {:?}", self.job.view());
    }

    /// Runs again what failed.
    pub fn redrive(&mut self, redrive: Redrive) {
        self.redrive_of(redrive, |_| true);
    }

    /// Runs again those failed items that are meant.
    pub fn redrive_of(&mut self, redrive: Redrive, is_meant: impl Fn(ItemIndex) -> bool) {
        let mut last = BTreeMap::new();
        for (stage, item) in self.job.redrivable().into_iter().filter(|(_, item)| is_meant(*item)) {
            let attempts = self.manifests.iter().filter(|((name, _), manifest)| {
                let range = manifest.first..manifest.first + manifest.count;
                *name == stage && range.contains(&item)
            });
            let attempt = attempts.map(|((_, key), _)| key.attempt).max().unwrap();
            last.insert((stage, item), LastAttempt { attempt, bytes_in: 0 });
        }
        self.wish(Wish::Redrive(redrive));
        self.job.redrive(&last);
    }
}
