//! Collect: what is reported.

use grid_core::limits::QUEUE_BATCH;
use grid_core::wire::{Completion, Report};
use infra::queue::{Receipt, Received};
use tokio::time::Instant;

use crate::desk::read_manifest;
use crate::leader::Leader;

impl Leader {
    /// Takes in reports. A completion is deleted only when the rows hold what it told.
    pub async fn hear_reports(&mut self, batch: Vec<Received>) {
        let mut heard = Vec::new();
        let mut completions = Vec::new();
        for received in batch {
            match serde_json::from_str(&received.body) {
                Ok(Report::Heartbeat(heartbeat)) => {
                    self.workers.saw(heartbeat, Instant::now(), self.grid.clock.now_ms());
                    heard.push(received.receipt);
                }
                Ok(Report::Completed(completion)) => completions.push((completion, received.receipt)),
                Ok(Report::Wanted(_)) => {
                    self.has_news_of_jobs = true;
                    heard.push(received.receipt);
                }
                Err(error) => tracing::warn!(%error, "a report cannot be understood; leaving it for a newer manager"),
            }
        }
        let grid = &self.grid;
        let read = completions.into_iter().map(async |(completion, receipt)| {
            let Completion { job, stage, key, .. } = &completion;
            (read_manifest(grid, job, stage, *key).await, completion, receipt)
        });
        for (manifest, completion, receipt) in futures::future::join_all(read).await {
            match (manifest, self.desks.get_mut(&completion.job)) {
                (Ok(Some(manifest)), Some(desk)) => {
                    desk.hear_manifest(&manifest, Some(receipt), self.grid.clock.now_ms(), &mut self.random);
                }
                // Of a job that is over, or a lie.
                (Ok(_), _) => heard.push(receipt),
                (Err(error), _) => tracing::warn!(%error, "a manifest was not read; its report comes again"),
            }
        }
        self.forget(&heard).await;
    }

    async fn forget(&self, receipts: &[Receipt]) {
        for receipts in receipts.chunks(QUEUE_BATCH) {
            if let Err(error) = self.grid.reports.delete(receipts).await {
                tracing::debug!(%error, "reports were not deleted");
            }
        }
    }
}
