//! Which tasks are out, by the messages that wait on the queues: read once no worker has a task in hand, and taken off
//! them when the rows are written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::limits::{QUEUE_BATCH, SHARD_ITEMS};
use grid_core::wire::TaskMessage;
use infra::Grid;
use infra::queue::{Receipt, Received, TaskQueue};
use tokio::time::sleep;

use super::{FIRST_WAIT, RebuildNews};
use crate::ManagerError;

/// How long the messages are held; held on to while others are waited for. When it ends before the rows are written,
/// that is no harm: the message is that of the task on record, whoever receives it.
const LEASE: Duration = Duration::from_secs(600);

/// So many times in a row the queues must have looked quiet: what they say of their depth may be late.
const LOOKS: u32 = 2;

/// The tasks that are out. No more of them than a queue can have in flight.
#[derive(Debug, Default)]
pub(super) struct Handed {
    tasks: BTreeMap<(JobId, StageName, u32), BTreeMap<AttemptKey, TaskMessage>>,
    waiting: Vec<Received>,
    dead: Vec<Received>,
}

impl Handed {
    /// Receives what waits, until no worker has anything in hand. Waiting tasks are kept from the workers meanwhile.
    pub async fn gather(
        &mut self,
        grid: &Grid,
        poll: Duration,
        tell: &mut impl FnMut(RebuildNews),
    ) -> Result<(), ManagerError> {
        let mut quiet_looks = 0;
        while quiet_looks < LOOKS {
            match self.look(grid, poll).await {
                Ok(0) => quiet_looks += 1,
                Ok(in_hand) => {
                    quiet_looks = 0;
                    tell(RebuildNews::InHand(in_hand));
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "the queues cannot be looked at; trying again");
                    sleep(FIRST_WAIT).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The tasks of a shard that are out, ascending.
    pub fn of(&self, job: &JobId, stage: &StageName, shard: u32) -> impl Iterator<Item = &TaskMessage> {
        let place = (job.clone(), stage.clone(), shard);
        self.tasks.get(&place).into_iter().flat_map(BTreeMap::values)
    }

    /// The rows are written: whoever leads sends anew what is out, and buries what the queue calls dead.
    pub async fn forget(&self, grid: &Grid) {
        for batch in self.waiting.chunks(QUEUE_BATCH) {
            if let Err(error) = grid.tasks.delete(&receipts(batch)).await {
                tracing::warn!(%error, "messages were not deleted; they come again, which is no harm");
            }
        }
        hold(&grid.dead_tasks, &self.dead, Duration::ZERO).await;
    }

    /// Gives the messages back as new ones, so that it does not look as if their workers had died. What is not given back
    /// comes back by itself.
    pub async fn give_back(&self, grid: &Grid) {
        for batch in self.waiting.chunks(QUEUE_BATCH) {
            let bodies: Vec<String> = batch.iter().map(|received| received.body.clone()).collect();
            let sent = grid.tasks.send(&bodies).await.unwrap_or_default();
            let back: Vec<Receipt> = receipts(batch)
                .into_iter()
                .zip(sent)
                .filter(|(_, sent)| sent.is_ok())
                .map(|(receipt, _)| receipt)
                .collect();
            if let Err(error) = grid.tasks.delete(&back).await {
                tracing::warn!(%error, "messages were not deleted; there are two of each, which is no harm");
            }
        }
        hold(&grid.dead_tasks, &self.dead, Duration::ZERO).await;
    }

    /// Takes what waits; answers about how many tasks others have, or may have.
    async fn look(&mut self, grid: &Grid, poll: Duration) -> infra::Result<u64> {
        hold(&grid.tasks, &self.waiting, LEASE).await;
        hold(&grid.dead_tasks, &self.dead, LEASE).await;
        let dead = receive(&grid.dead_tasks, Duration::ZERO, &mut self.dead).await?;
        let waiting = receive(&grid.tasks, poll, &mut self.waiting).await?;
        let news = (dead.len() + waiting.len()) as u64;
        for task in dead.into_iter().chain(waiting) {
            let place = (task.job.clone(), task.stage.clone(), task.first / SHARD_ITEMS);
            self.tasks.entry(place).or_default().insert(task.key(), task);
        }
        let depth = grid.tasks.depth().await?;
        let others = (depth.waiting + depth.in_flight).saturating_sub(self.waiting.len() as u64);
        Ok(others.max(news))
    }
}

/// Receives a batch. What is no task is held like the rest, and means nothing.
async fn receive(
    queue: &Arc<dyn TaskQueue>,
    wait: Duration,
    held: &mut Vec<Received>,
) -> infra::Result<Vec<TaskMessage>> {
    let batch = queue.receive(QUEUE_BATCH, LEASE, wait).await?;
    let tasks = batch.iter().filter_map(|received| serde_json::from_str(&received.body).ok()).collect();
    held.extend(batch);
    Ok(tasks)
}

fn receipts(batch: &[Received]) -> Vec<Receipt> {
    batch.iter().map(|received| received.receipt.clone()).collect()
}

async fn hold(queue: &Arc<dyn TaskQueue>, held: &[Received], lease: Duration) {
    for batch in held.chunks(QUEUE_BATCH) {
        if let Err(error) = queue.extend(&receipts(batch), lease).await {
            tracing::warn!(%error, "messages may not be held");
        }
    }
}
