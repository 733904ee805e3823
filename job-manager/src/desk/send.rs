//! What is due: taken from earlier jobs, or sent.

use grid_core::job::Message;
use grid_core::limits::QUEUE_BATCH;
use grid_core::random::Random;
use grid_core::wire::to_ascii_json;
use infra::Grid;

use super::Desk;
use crate::ManagerError;
use crate::objects::create_once;
use crate::submit::encode;

impl Desk {
    /// Commits what earlier jobs have of the tasks that are due, in place of sending them.
    pub(super) async fn commit_reused(&mut self, grid: &Grid, random: &mut Random) -> Result<(), ManagerError> {
        if self.reuse.stages().next().is_none() {
            return Ok(());
        }
        for message in self.table.job.due() {
            let Some(manifest) = self.reuse.manifest(grid, &self.table.job, &message.task).await? else { continue };
            self.commit(grid, &manifest, random).await?;
            self.is_eager = true;
        }
        Ok(())
    }

    /// Sends every due task, and the copies that are due. What could not be sent stays due.
    pub(super) async fn send_due(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        let mut messages = self.table.job.due();
        messages.extend(self.table.job.due_copies());
        for batch in messages.chunks(QUEUE_BATCH) {
            list_inputs(grid, batch).await?;
            let bodies = batch.iter().map(|message| to_ascii_json(&message.task)).collect::<Result<Vec<_>, _>>();
            let bodies = bodies.map_err(|error| ManagerError::damaged("a task message", error))?;
            let answers = match grid.tasks.send(&bodies).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::warn!(%error, "tasks were not sent; they stay due");
                    return Ok(());
                }
            };
            let now_ms = grid.clock.now_ms();
            for (message, answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(()) if message.task.copy > 0 => {
                        self.table.job.copy_sent(&message.task.stage, message.task.key());
                    }
                    Ok(()) => self.table.job.sent(&message.task.stage, message.task.key(), now_ms),
                    Err(error) => tracing::warn!(%error, "a task was not sent; it stays due"),
                }
            }
        }
        Ok(())
    }
}

/// Writes the inputs that are too many for their messages.
async fn list_inputs(grid: &Grid, messages: &[Message]) -> Result<(), ManagerError> {
    for (key, inputs) in messages.iter().filter_map(|message| message.listed.as_ref()) {
        create_once(grid, key, encode(inputs)).await?;
    }
    Ok(())
}
