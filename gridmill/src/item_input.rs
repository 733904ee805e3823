//! One item with everything that its command needs, made ready outside of the protocol.

use futures::StreamExt;
use grid_core::ids::{ItemIndex, StageName};
use grid_worker::replay::{ReplayError, stage_task};
use grid_worker::runner::{ItemInput, TaskRun};
use infra::Grid;
use infra::objects::ByteStream;
use job_manager::view::JobView;
use tempfile::TempDir;

use crate::console::answer;
use crate::exit::{Fault, Outcome};

/// An item as a task of its own, and the folder that it may use.
pub struct Ready {
    /// The task.
    pub task: TaskRun,
    /// Removed when this is dropped.
    pub folder: TempDir,
}

/// Makes an item ready.
pub async fn ready(grid: &Grid, view: &JobView, stage: &StageName, item: ItemIndex) -> Outcome<Ready> {
    let message = view.task_of(grid, stage, item).await?;
    let message = message.ok_or_else(|| Fault::usage(format!("item #{item} of stage {stage} is not planned yet")))?;
    let folder = tempfile::Builder::new().prefix("gridmill-").tempdir();
    let folder = folder.map_err(|error| Fault::back_end(error).while_doing("failed to make a scratch folder"))?;
    let task = stage_task(grid.for_worker(), message, folder.path().to_owned()).await?;
    Ok(Ready { task, folder })
}

/// Copies an item's input to standard output.
pub async fn copy_to_stdout(grid: &Grid, view: &JobView, stage: &StageName, item: ItemIndex) -> Outcome<()> {
    let Ready { mut task, folder: _folder } = ready(grid, view, stage, item).await?;
    match task.inputs.pop() {
        None | Some(ItemInput::None) => Ok(()),
        Some(ItemInput::Bytes(bytes)) => answer(|out| out.write_all(&bytes)),
        Some(ItemInput::Stream(stream)) => copy(stream).await,
        Some(ItemInput::Files(files)) => {
            for (_, stream) in files {
                copy(stream).await?;
            }
            Ok(())
        }
        Some(ItemInput::Failed(failure)) => Err(Fault::failed(anyhow::anyhow!(failure.message))),
    }
}

async fn copy(mut stream: ByteStream) -> Outcome<()> {
    while let Some(bytes) = stream.next().await.transpose()? {
        answer(|out| out.write_all(&bytes))?;
    }
    Ok(())
}

impl From<ReplayError> for Fault {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotReady(_) => Self::failed(error),
            ReplayError::BackEnd(error) => error.into(),
        }
    }
}
