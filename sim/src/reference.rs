//! What must have come out: every item's result follows from those of the items that it reads, by arithmetic that shares
//! nothing with the grid.

use std::collections::BTreeMap;

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::job::{Job, JobState};
use grid_core::reason::Blame;
use grid_core::wire::{Manifest, OutputRef};
use infra::Grid;
use infra::outputs::OutputReader;

use crate::workload::{self, Source, Split, Temper, Workload};

/// Everything that a job left.
#[derive(Debug)]
pub struct Left {
    job: Job,
    /// For each stage, what its items wrote, by the first item; one entry for several where they cannot be told apart.
    values: Vec<BTreeMap<ItemIndex, (u32, Vec<u64>)>>,
    /// Whether a redrive has made bad items good.
    was_mended: bool,
    /// Items that were given up on through the fault of machines alone.
    pub excused: u64,
}

/// How often an item failed by its own doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// In its last set of attempts.
    pub of_last_set: u32,
    /// The most in one set.
    pub of_any_set: u32,
}

/// An item's place: its stage, and its index there.
type Place = (usize, ItemIndex);

impl Left {
    /// Reads what the job left, through the readers that people use.
    pub async fn read(grid: &Grid, workload: &Workload, job: Job) -> Result<Self, String> {
        let reader = OutputReader::new(grid.objects.clone());
        let mut values = Vec::new();
        for (stage, plan) in job.submission().pipeline.stages.iter().zip(&workload.stages) {
            values.push(read_stage(&reader, &job, &stage.name, plan.digits).await?);
        }
        // By the rows, since whoever asked for it need not have heard the answer.
        let was_mended = !job.meta().sets.is_empty();
        Ok(Self { job, values, was_mended, excused: 0 })
    }

    /// What is wrong with it; `why` finds the manifest in which an item failed.
    pub fn faults(
        &mut self,
        workload: &Workload,
        why: &dyn Fn(&StageName, ItemIndex) -> Option<Manifest>,
        tries: &dyn Fn(&StageName, ItemIndex) -> Tries,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        for stage in 0..workload.stages.len() {
            faults.extend(self.value_faults(workload, stage));
            faults.extend(self.count_fault(workload, stage));
            for item in 0..self.items(stage) {
                faults.extend(self.outcome_fault(workload, stage, item, why));
                faults.extend(self.tries_fault(workload, stage, item, why, tries));
            }
        }
        faults.extend(self.end_fault(workload));
        faults
    }

    fn name(&self, stage: usize) -> StageName {
        self.job.submission().pipeline.stages[stage].name.clone()
    }

    fn items(&self, stage: usize) -> u32 {
        self.job.view()[stage].items as u32
    }

    fn is_ok(&self, (stage, item): Place) -> bool {
        self.job.is_ok(&self.name(stage), item)
    }

    fn value(&self, (stage, item): Place) -> Option<&Vec<u64>> {
        self.values[stage].get(&item).filter(|(count, _)| *count == 1).map(|(_, value)| value)
    }

    /// The items of a stage that others read.
    fn outputs(&self, workload: &Workload, stage: usize) -> Vec<Place> {
        let items = self.items(stage);
        match workload.stages[stage].source {
            Source::All(..) => (items.saturating_sub(1)..items).map(|item| (stage, item)).collect(),
            _ => (0..items).map(|item| (stage, item)).collect(),
        }
    }

    fn read_by(&self, workload: &Workload, stage: usize) -> Vec<Place> {
        workload.stages[stage].upstream().iter().flat_map(|up| self.outputs(workload, *up)).collect()
    }

    fn value_faults(&self, workload: &Workload, stage: usize) -> Vec<String> {
        let (plan, command) = (&workload.stages[stage], workload.command(stage));
        let mut faults = Vec::new();
        let mut expect = |item: u32, expected: Vec<u64>, found: Option<&Vec<u64>>| {
            if found.is_some_and(|found| *found != expected) {
                faults.push(format!("S10: item {item} of {} is {found:?}, not {expected:?}", plan.name));
            }
        };
        let concat = |places: &[Place]| -> Vec<u64> {
            places.iter().filter_map(|place| self.value(*place)).flatten().copied().collect()
        };
        match &plan.source {
            Source::Range(_) | Source::Matrix(..) | Source::List(_) => {
                for (first, (count, found)) in &self.values[stage] {
                    let made = |item| workload.made(stage, workload.value_at(stage, item), command);
                    let expected = (*first..first + count).flat_map(made).collect();
                    expect(*first, expected, Some(found));
                }
            }
            Source::Split(_) if let Some(cut) = cut(workload, stage) => {
                for (first, (count, found)) in &self.values[stage] {
                    let items = cut.iter().skip(*first as usize).take(*count as usize);
                    let expected = items.flat_map(|(_, lines)| workload.mapped(stage, lines, command)).collect();
                    expect(*first, expected, Some(found));
                }
            }
            Source::Split(_) => {
                let is_whole = self.job.ok_items(&self.name(stage)).len() == u64::from(self.items(stage));
                let found = self.values[stage].values().flat_map(|(_, value)| value).copied().collect();
                let expected = workload.mapped(stage, &workload.files.concat(), command);
                if is_whole && self.job.view()[stage].planned {
                    expect(0, expected, Some(&found));
                }
            }
            Source::Each(_) => {
                for (item, up) in self.read_by(workload, stage).into_iter().enumerate() {
                    let expected =
                        self.value(up).map(|value| workload.mapped(stage, value, command)).unwrap_or_default();
                    expect(item as u32, expected, self.value((stage, item as u32)));
                }
            }
            Source::Group(_, by) => {
                for (item, members) in self.groups(workload, stage, by).into_iter().enumerate() {
                    let expected = workload.mapped(stage, &concat(&members), command);
                    expect(item as u32, expected, self.value((stage, item as u32)));
                }
            }
            Source::All(..) => {
                let Some(root) = self.items(stage).checked_sub(1) else { return faults };
                let read = self.read_by(workload, stage);
                let is_bundled = read.iter().any(|(up, _)| workload.stages[*up].per_bundle);
                // A combiner that was given up on took what it read with it.
                let is_torn = self.job.ok_items(&self.name(stage)).len() < u64::from(root) + 1;
                let whole = concat(&read);
                if is_torn {
                    let found = self.value((stage, root)).filter(|found| !is_bundled && !is_within(found, &whole));
                    if let Some(found) = found {
                        faults.push(format!("S10: item {root} of {} is {found:?}, not of {whole:?}", plan.name));
                    }
                } else if !is_bundled {
                    expect(root, whole, self.value((stage, root)));
                } else if let Some(found) = self.value((stage, root)) {
                    let ups = plan.upstream().iter().flat_map(|up| self.whole(workload, *up)).collect();
                    expect(root, ups, Some(found));
                }
            }
        }
        faults
    }

    /// Everything that a stage has for others, bundles included.
    fn whole(&self, workload: &Workload, stage: usize) -> Vec<u64> {
        match workload.stages[stage].source {
            Source::All(..) => {
                self.outputs(workload, stage).iter().filter_map(|at| self.value(*at)).flatten().copied().collect()
            }
            _ => self.values[stage].values().flat_map(|(_, value)| value).copied().collect(),
        }
    }

    /// The members of each group, in the order in which its value shows first; none where only the plan knows them.
    fn groups(&self, workload: &Workload, stage: usize, by: &str) -> Vec<Vec<Place>> {
        let mut groups: Vec<(String, Vec<Place>)> = Vec::new();
        for place in self.read_by(workload, stage) {
            let Some(value) = self.key(workload, place, by) else { return Vec::new() };
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, members)) => members.push(place),
                None => groups.push((value, vec![place])),
            }
        }
        groups.into_iter().map(|(_, members)| members).collect()
    }

    /// An item's value of a dimension.
    fn key(&self, workload: &Workload, (stage, item): Place, by: &str) -> Option<String> {
        match &workload.stages[stage].source {
            Source::Range(_) => Some((workload.value_at(stage, item) + 1).to_string()),
            Source::List(_) => Some(format!("v{}", workload.value_at(stage, item))),
            Source::Matrix(_, b) if by == "a" => Some((workload.value_at(stage, item) / b).to_string()),
            Source::Matrix(_, b) => Some((item % b).to_string()),
            Source::Each(_) => self.key(workload, *self.read_by(workload, stage).get(item as usize)?, by),
            Source::Group(_, own) => {
                let groups = self.groups(workload, stage, own);
                self.key(workload, *groups.get(item as usize)?.first()?, by)
            }
            Source::Split(Split::Lines(_)) => {
                let cut = cut(workload, stage)?;
                Some(cut.get(item as usize)?.0.to_string())
            }
            Source::Split(_) | Source::All(..) => None,
        }
    }

    /// Whether an item may have ended as it did.
    fn outcome_fault(
        &mut self,
        workload: &Workload,
        stage: usize,
        item: ItemIndex,
        why: &dyn Fn(&StageName, ItemIndex) -> Option<Manifest>,
    ) -> Option<String> {
        let name = self.name(stage);
        let temper = workload.temper(stage, item, false);
        let wrong = |how: &str| Some(format!("S10: item {item} of {name}, which is {temper:?}, {how}"));
        let up = match workload.stages[stage].source {
            Source::Each(_) => self.read_by(workload, stage).get(item as usize).copied(),
            _ => None,
        };
        let has_input = up.is_none_or(|up| self.is_ok(up));
        if self.is_ok((stage, item)) {
            if !has_input {
                return wrong("was done without its input");
            }
            let is_plausible = temper.is_good() || self.was_mended;
            return if is_plausible { None } else { wrong("was done") };
        }
        if self.job.dead(&name).contains(&item) {
            if matches!(temper, Temper::Sour | Temper::Poison) {
                return None;
            }
            if is_excused(why(&name, item), item) {
                self.excused += 1;
                return None;
            }
            return wrong("was given up on");
        }
        if self.job.skipped(&name).contains(&item) {
            let gathers = matches!(workload.stages[stage].source, Source::Group(..) | Source::All(..));
            return if temper == Temper::Needless || !has_input || gathers { None } else { wrong("was left out") };
        }
        match self.job.state() {
            JobState::Failed if self.is_owed(workload, (stage, item)) => {
                Some(format!("S18: item {item} of {name} has no end, and nothing of the rest was to stop"))
            }
            JobState::Failed | JobState::Cancelled => None,
            state => wrong(&format!("has no end in a job that is {}", state.as_str())),
        }
    }

    fn has_failed(&self, workload: &Workload, stage: usize) -> bool {
        self.job.dead(&self.name(stage)).len() > workload.stages[stage].skip_limit as usize
    }

    fn is_done(&self, stage: usize) -> bool {
        let view = &self.job.view()[stage];
        view.planned && view.ok + view.skipped + view.dead == view.items
    }

    /// Whether a job that failed should have gone on with an item: no failed stage stops the rest, and it needs nothing of one that
    /// failed.
    fn is_owed(&self, workload: &Workload, (stage, item): Place) -> bool {
        let goes_on = |stage: usize| workload.stages[stage].on_failure == "continue";
        let plan = &workload.stages[stage];
        let is_closed = |before: &usize| !self.is_done(*before) || self.has_failed(workload, *before);
        let mut failed = (0..workload.stages.len()).filter(|stage| self.has_failed(workload, *stage));
        if failed.any(|stage| !goes_on(stage)) || plan.after.iter().any(is_closed) {
            return false;
        }
        let has_ended = |(stage, item): Place| {
            let name = self.name(stage);
            self.is_ok((stage, item)) || self.job.dead(&name).contains(&item) || self.job.skipped(&name).contains(&item)
        };
        match &plan.source {
            Source::Range(_) | Source::Matrix(..) | Source::List(_) | Source::Split(_) => true,
            Source::Each(_) => self.read_by(workload, stage).get(item as usize).is_some_and(|up| has_ended(*up)),
            Source::Group(..) | Source::All(..) => !self.needs_failed(workload, stage) && self.is_fed(workload, stage),
        }
    }

    /// Whether everything that a stage reads has ended.
    fn is_fed(&self, workload: &Workload, stage: usize) -> bool {
        workload.stages[stage].upstream().iter().all(|up| self.is_done(*up))
    }

    /// Whether a stage that this one reads, directly or through others, has failed.
    fn needs_failed(&self, workload: &Workload, stage: usize) -> bool {
        let mut up = workload.stages[stage].upstream().iter();
        up.any(|up| self.has_failed(workload, *up) || self.needs_failed(workload, *up))
    }

    /// Whether the rows say how many items a stage has. What is derived from another stage may be in them before the plan that it is
    /// derived from, and in a job that ends in between it stays so.
    fn is_planned(&self, workload: &Workload, stage: usize) -> bool {
        self.job.view()[stage].planned
            && workload.stages[stage].upstream().iter().all(|up| self.is_planned(workload, *up))
    }

    /// Whether a stage that is planned has as many items as the pipeline says.
    fn count_fault(&self, workload: &Workload, stage: usize) -> Option<String> {
        let plan = &workload.stages[stage];
        let (items, read) = (self.items(stage), self.read_by(workload, stage).len() as u32);
        let expected = match &plan.source {
            Source::Range(count) | Source::List(count) => count - workload.first_value(*count),
            Source::Matrix(a, b) => (a - workload.first_value(*a)) * b,
            Source::Split(_) if let Some(cut) = cut(workload, stage) => cut.len() as u32,
            // As few as can be: an empty file may have an item, or none.
            Source::Split(Split::Files(count)) => {
                let files = workload.files.iter().filter(|file| !file.is_empty()).count() as u32;
                items.max(files.div_ceil(*count))
            }
            Source::Split(Split::Lines(count)) => {
                items.max(workload.files.iter().map(|file| (file.len() as u32).div_ceil(*count)).sum())
            }
            Source::Split(Split::Even(parts)) => items.clamp(is_filled(workload), *parts),
            Source::Split(Split::Bytes(_)) => items.max(is_filled(workload)),
            Source::Each(_) => read,
            Source::Group(_, by) => match self.groups(workload, stage, by).len() as u32 {
                0 => items,
                groups => groups,
            },
            Source::All(_, fan_in) => combiners(read, *fan_in),
        };
        let is_other = self.is_planned(workload, stage) && items != expected;
        is_other.then(|| format!("S10: {} has {items} items, not {expected}", plan.name))
    }

    /// Whether an item had as many attempts as its stage says.
    fn tries_fault(
        &self,
        workload: &Workload,
        stage: usize,
        item: ItemIndex,
        why: &dyn Fn(&StageName, ItemIndex) -> Option<Manifest>,
        tries: &dyn Fn(&StageName, ItemIndex) -> Tries,
    ) -> Option<String> {
        let (plan, name) = (&workload.stages[stage], self.name(stage));
        if plan.per_bundle || workload.temper(stage, item, false) != Temper::Sour {
            return None;
        }
        let Tries { of_last_set, of_any_set } = tries(&name, item);
        let is_dead = self.job.dead(&name).contains(&item) && !is_excused(why(&name, item), item);
        let is_enough = !is_dead || of_last_set >= plan.attempts;
        if of_any_set <= plan.attempts && is_enough {
            return None;
        }
        let what = format!("failed {of_any_set} times, {of_last_set} at last, and its stage says {}", plan.attempts);
        Some(format!("S14: item {item} of {name} {what}"))
    }

    fn end_fault(&self, workload: &Workload) -> Option<String> {
        let failed = (0..workload.stages.len()).find(|stage| self.has_failed(workload, *stage));
        match (self.job.state(), failed) {
            (JobState::Succeeded, Some(stage)) => Some(format!("S6: the job succeeded, and s{stage} failed")),
            (JobState::Failed, None) => Some(format!("S6: the job failed, and no stage did: {:?}", self.job.message())),
            (JobState::Succeeded | JobState::Failed | JobState::Cancelled, _) => None,
            (state, _) => Some(format!("L1: the job is {}: {:?}", state.as_str(), self.job.message())),
        }
    }
}

/// The items of a stage that cuts files by lines, or takes some at a time: the first file of each, and its lines. Nothing where a file is
/// empty, which may have an item or none, and where bytes decide.
fn cut(workload: &Workload, stage: usize) -> Option<Vec<(usize, Vec<u64>)>> {
    let files = &workload.files;
    if files.iter().any(Vec::is_empty) {
        return None;
    }
    match workload.stages[stage].source {
        Source::Split(Split::Lines(count)) => {
            let of_file = |(file, lines): (usize, &Vec<u64>)| {
                lines.chunks(count as usize).map(|lines| (file, lines.to_vec())).collect::<Vec<_>>()
            };
            Some(files.iter().enumerate().flat_map(of_file).collect())
        }
        Source::Split(Split::Files(count)) => {
            let firsts = (0..files.len()).step_by(count as usize);
            Some(firsts.zip(files.chunks(count as usize)).map(|(file, files)| (file, files.concat())).collect())
        }
        _ => None,
    }
}

/// One item at least, where there is anything to cut.
fn is_filled(workload: &Workload) -> u32 {
    u32::from(workload.files.iter().any(|file| !file.is_empty()))
}

/// How many combiners there are over so much.
fn combiners(read: u32, fan_in: Option<u32>) -> u32 {
    let Some(fan_in) = fan_in else { return 1 };
    let (mut width, mut all) = (read.max(1), 0);
    loop {
        width = width.div_ceil(fan_in);
        all += width;
        if width == 1 {
            return all;
        }
    }
}

/// Whether some numbers are among others, in their order.
fn is_within(some: &[u64], others: &[u64]) -> bool {
    let mut others = others.iter();
    some.iter().all(|number| others.any(|other| other == number))
}

/// Whether the manifest that says why an item was given up on blames a machine.
fn is_excused(why: Option<Manifest>, item: ItemIndex) -> bool {
    why.is_some_and(|why| why.failure_of(item).is_some_and(|failed| failed.failure.reason.blame() == Blame::Machine))
}

async fn read_stage(
    reader: &OutputReader,
    job: &Job,
    stage: &StageName,
    digits: usize,
) -> Result<BTreeMap<ItemIndex, (u32, Vec<u64>)>, String> {
    let id: &JobId = &job.submission().job;
    let failed = |error: infra::Error| format!("S2: the outputs of {stage} cannot be read: {error}");
    let mut values = BTreeMap::new();
    let items = job.view().into_iter().zip(&job.submission().pipeline.stages);
    let count = items.filter(|(_, spec)| spec.name == *stage).map(|(view, _)| view.items as u32).sum();
    for key in job.committed(stage).map(|committed| committed.covering(0..count)).unwrap_or_default() {
        let at = OutputRef { stage: stage.clone(), key };
        let committed = reader.manifest(id, &at).await.map_err(failed)?;
        let is_bundled = committed.manifest.outputs.bundled;
        for (first, count) in committed.items().to_vec() {
            let each = if is_bundled { count } else { 1 };
            for item in (first..first + count).step_by(each as usize) {
                let piece = committed.stdout(item);
                let bytes = match piece {
                    Some(piece) => reader.read(&[piece]).await.map_err(failed)?.concat(),
                    None => Vec::new(),
                };
                let numbers = workload::parse(&bytes);
                if workload::write(&numbers, digits).as_bytes() != bytes {
                    return Err(format!("S10: what item {item} of {stage} left is not what it wrote, byte by byte"));
                }
                values.insert(item, (each, numbers));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grid_core::job::StoredRow;
    use grid_core::pipeline;
    use grid_core::submission::Submission;
    use serde_json::{Value, json};

    use super::*;
    use crate::workload::StagePlan;

    /// Seeds 1189158, 1202390, 1309993 and 1747666: of the rows of a cut and of what puts its items together, the table had taken the
    /// second alone when the job was cancelled.
    #[test]
    fn what_comes_from_a_plan_that_is_not_written_is_not_counted() {
        let stages = vec![
            StagePlan::plain("cut", Source::Split(Split::Lines(1))),
            StagePlan::plain("sum", Source::All(vec![0], Some(2))),
        ];
        let workload = Workload { files: vec![vec![1, 2, 3, 4]], ..Workload::of(1, stages) };
        let pipeline = pipeline::parse(&workload.pipeline(), "sum.yaml").unwrap();
        let submission = Arc::new(Submission::new(JobId::new("j"), jiff::Timestamp::UNIX_EPOCH, "", pipeline));
        let stage = |items: u32, complete| {
            let planned = json!({"items": items, "complete": complete, "bytes": 0, "records": null});
            json!({"v": 1, "planned": planned, "pace": {"item_secs": null}})
        };
        let faults = |cut: Value, sum: Value| {
            let row = |sort: &str, row: Value| StoredRow { sort: sort.into(), body: row.to_string().into_bytes() };
            let job = Job::load(submission.clone(), &[row("STAGE#cut", cut), row("STAGE#sum", sum)]).unwrap();
            let left = Left { job, values: vec![BTreeMap::new(); 2], was_mended: false, excused: 0 };
            [0, 1].map(|stage| left.count_fault(&workload, stage).is_some())
        };
        assert_eq!(faults(stage(4, true), stage(3, true)), [false, false]);
        assert_eq!(faults(stage(0, false), stage(3, true)), [false, false]);
        assert_eq!(faults(stage(2, true), stage(1, true)), [true, false]);
    }
}
