//! What the messages of tasks say.

use super::gather::Members;
use super::stage::{OutTask, TaskPhase};
use super::state::{Job, JobState};

use crate::ids::{ItemIndex, StageItems, StageName};
use crate::layout;
use crate::limits::{MAX_INLINE_REFS, WIRE_VERSION};
use crate::pipeline::ItemSource;
use crate::wire::{KeySource, OutputRef, TaskInputs, TaskMessage};

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The message.
    pub task: TaskMessage,
    /// An object to write before: the message names it, because these inputs are too many for it.
    pub listed: Option<(String, TaskInputs)>,
}

impl Job {
    /// The messages of all tasks that are due. Rows are written one by one: after a failed write a task may be on record
    /// and the news that made it ready may not. Such a task waits until the news has come again, or it would run without
    /// a part of its input, or before what it comes after. What had begun in an earlier round goes on, though what it comes after runs
    /// again in part: if it waited, it would take the room of what it waits for.
    pub fn due(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.meta.state == JobState::Paused {
            return messages;
        }
        for (index, book) in self.stages.iter().enumerate() {
            let due = book.out.values().filter(|task| task.phase == TaskPhase::Due);
            let is_in_turn = self.is_in_turn(index);
            let may_go_on = |task: &&OutTask| is_in_turn || task.round < self.meta.round;
            let sendable = due.filter(may_go_on).filter(|task| self.has_inputs(index, task));
            messages.extend(sendable.map(|task| self.message_of(index, task)));
        }
        messages
    }

    /// The messages of all copies that are due.
    pub fn due_copies(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.meta.state != JobState::Running {
            return messages;
        }
        for (index, book) in self.stages.iter().enumerate() {
            for task in book.out.values().filter(|task| task.is_copy_due && task.is_executable()) {
                let Message { task: message, listed } = self.message_of(index, task);
                messages.push(Message { task: TaskMessage { copy: task.copies, ..message }, listed });
            }
        }
        messages
    }

    /// Whether everything that a task reads has ended, as far as this job knows.
    fn has_inputs(&self, index: usize, task: &OutTask) -> bool {
        let mut items = task.first..task.first + task.count;
        match self.spec(index).items {
            ItemSource::Each(_) => self.each_source(index, task.first).is_some_and(|(members, base)| {
                let first = members.first + (task.first - base);
                let ok = &self.stages[members.stage].outcomes.ok;
                ok.range_cardinality(first..first + task.count) == u64::from(task.count)
            }),
            ItemSource::Group { .. } | ItemSource::All { .. } => {
                let gather = self.stages[index].gather.as_ref();
                gather.is_some_and(|gather| items.all(|item| gather.is_complete(item)))
            }
            ItemSource::Split(_) | ItemSource::Matrix(_) | ItemSource::Range(_) | ItemSource::List(_) => true,
        }
    }

    /// One item as a task of its own, with all its inputs named; for those who run an item outside of the protocol.
    /// The groups of the job must be known ([`Job::grouped`]). `None` when there is no such item.
    pub fn task_of(&self, stage: &StageName, item: ItemIndex, attempt: u32) -> Option<TaskMessage> {
        let index = self.index_of(stage).filter(|index| item < self.stages[*index].planned.items)?;
        let Message { task, listed } = self.message_of(index, &OutTask::due(item, 1, attempt));
        Some(match listed {
            Some((_, inputs)) => TaskMessage { inputs, ..task },
            None => task,
        })
    }

    /// Where the keys of a stage's outputs come from, run by run. Final once the stage is planned.
    pub fn key_runs(&self, stage: &StageName) -> Vec<(StageItems, KeySource)> {
        let Some(index) = self.index_of(stage) else { return Vec::new() };
        let outputs = self.outputs(index);
        let (mut first, end) = (outputs.first, outputs.first + outputs.count);
        let mut runs = Vec::new();
        while first < end {
            let count = self.chain_end(index, first).min(end) - first;
            let keys = self.keys_of(index, first, count);
            // An `all` has a key for each of its items alone.
            let count = if matches!(keys, KeySource::Given(_)) { 1 } else { count };
            runs.push((StageItems { stage: stage.clone(), first, count }, keys));
            first += count;
        }
        runs
    }

    fn message_of(&self, index: usize, task: &OutTask) -> Message {
        let inputs = self.inputs_of(index, task);
        let is_long =
            matches!(&inputs, TaskInputs::Upstream { refs, members } if refs.len() + members.len() > MAX_INLINE_REFS);
        let job = &self.submission.job;
        let stage = &self.spec(index).name;
        let listed = is_long.then(|| (layout::task_inputs(job, stage, task.key()), inputs.clone()));
        let task = TaskMessage {
            v: WIRE_VERSION,
            job: job.clone(),
            stage: stage.clone(),
            first: task.first,
            count: task.count,
            attempt: task.attempt,
            failures: task.spent.failures,
            memory_factor: task.spent.memory_factor,
            round: self.meta.round,
            copy: 0,
            params: task.set.and_then(|set| self.meta.sets.get(set as usize)).cloned().unwrap_or_default(),
            keys: self.keys_of(index, task.first, task.count),
            inputs: listed.as_ref().map_or(inputs, |(key, _)| TaskInputs::Listed(key.clone())),
        };
        Message { task, listed }
    }

    fn keys_of(&self, index: usize, first: ItemIndex, count: u32) -> KeySource {
        if let Some((members, base)) = self.each_source(index, first) {
            return self.keys_of(members.stage, members.first + (first - base), count);
        }
        match (&self.spec(index).items, &self.stages[index].gather) {
            (ItemSource::All { .. }, Some(gather)) => KeySource::Given(gather.tree_key(first)),
            _ => KeySource::Items(StageItems { stage: self.spec(index).name.clone(), first, count }),
        }
    }

    fn inputs_of(&self, index: usize, task: &OutTask) -> TaskInputs {
        if let Some((up, base)) = self.each_source(index, task.first) {
            let members = Members { stage: up.stage, first: up.first + (task.first - base), count: task.count };
            return self.upstream_inputs(vec![members], true);
        }
        let Some(gather) = &self.stages[index].gather else { return TaskInputs::Plan };
        let read = (task.first..task.first + task.count).flat_map(|item| gather.members_of(item)).collect();
        self.upstream_inputs(read, matches!(self.spec(index).items, ItemSource::All { .. }))
    }

    fn upstream_inputs(&self, read: Vec<Members>, name_members: bool) -> TaskInputs {
        let mut refs: Vec<OutputRef> = Vec::new();
        for members in &read {
            let stage = &self.spec(members.stage).name;
            let covering = self.stages[members.stage].committed.covering(members.first..members.first + members.count);
            refs.extend(covering.into_iter().map(|key| OutputRef { stage: stage.clone(), key }));
        }
        refs.sort_unstable();
        refs.dedup();
        let named = |members: &Members| StageItems {
            stage: self.spec(members.stage).name.clone(),
            first: members.first,
            count: members.count,
        };
        let members = if name_members { read.iter().map(named).collect() } else { Vec::new() };
        TaskInputs::Upstream { members, refs }
    }
}
