//! One process for all items of a task: their inputs one after the other, one output for all of them.

use std::sync::Arc;

use super::environment;
use super::launch::Launcher;
use super::task::Execution;
use crate::runner::{ItemInput, ItemRan};

/// Executes a task's items by one process.
pub(super) fn run(execution: &mut Execution, inputs: Vec<ItemInput>) -> ItemRan {
    if execution.must_stop() || execution.stop.drain.is_cancelled() {
        return ItemRan::Unrun;
    }
    let (submission, stage) = (Arc::clone(&execution.submission), Arc::clone(&execution.stage));
    let first = execution.message.first;
    let ran = execution.item(first, &execution.message.key().to_string(), |execution| {
        let mut launcher =
            Launcher::new(&stage.run, &submission, &stage, execution.message.memory_factor, execution.variables()?);
        let inputs = (first..).map(|index| (execution.keys)(index).name()).zip(inputs).collect();
        let staged = execution.stager.stage_all(inputs)?;
        execution.process(&mut launcher, None, environment::of_bundle(&execution.message), staged)
    });
    if ran != ItemRan::Unrun {
        (0..execution.message.count).for_each(|_| execution.progress.item_ended());
    }
    ran
}
