//! Stage in: what the items of a task are called, and what they read.

mod deliver;
mod keys;
mod plan;
mod upstream;

use std::sync::Arc;

use grid_core::ids::ItemIndex;
use grid_core::items::Key;
use grid_core::pipeline::Stage;
use grid_core::wire::{TaskInputs, TaskMessage};

use crate::context::{Context, Hindrance};
use crate::jobs::Job;
use crate::runner::ItemInput;

/// What the items of a task need at hand.
pub(crate) struct Staged {
    /// The key of each item, by its index in the stage.
    pub(crate) keys: Arc<dyn Fn(ItemIndex) -> Key + Send + Sync>,
    /// The input of each item; empty when the stage has none at all.
    pub(crate) inputs: Vec<ItemInput>,
    /// Bytes of input of each item, repeated headers not counted.
    pub(crate) bytes_in: Vec<u64>,
}

/// Inputs of items, and their bytes.
type Inputs = (Vec<ItemInput>, Vec<u64>);

/// Gets ready what a task needs. A fault of an item's input is that item's; a store that cannot be reached is waited
/// for.
pub(crate) async fn stage_in(
    context: &Arc<Context>,
    job: &Job,
    stage: &Arc<Stage>,
    message: &TaskMessage,
) -> Result<Staged, Hindrance> {
    let keys = keys::of_task(context, job, message).await?;
    let (inputs, bytes_in) = match &message.inputs {
        TaskInputs::Plan => plan::inputs(context, job, stage, message).await?,
        TaskInputs::Upstream { members, refs } => upstream::inputs(context, job, stage, message, members, refs).await?,
        TaskInputs::Listed(key) => {
            let (members, refs) = upstream::listed(context, key).await?;
            upstream::inputs(context, job, stage, message, &members, &refs).await?
        }
    };
    Ok(Staged { keys, inputs, bytes_in })
}
