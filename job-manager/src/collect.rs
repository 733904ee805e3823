//! Collect: what is reported.

use std::time::Duration;

use grid_core::wire::{Completion, Report};
use infra::queue::{Receipt, Received};
use tokio::time::Instant;

use crate::leader::Leader;
use crate::objects::read_manifest;

impl Leader {
    /// Takes in reports. A completion is deleted only when the rows hold what it told.
    pub async fn hear_reports(&mut self, batch: Vec<Received>) {
        let mut completions = Vec::new();
        for received in batch {
            match serde_json::from_str(&received.body) {
                Ok(Report::Heartbeat(heartbeat)) => {
                    self.workers.saw(heartbeat, Instant::now(), self.grid.clock.now_ms());
                    self.told.add([received.receipt]);
                }
                Ok(Report::Completed(completion)) => completions.push((completion, received.receipt)),
                Ok(Report::Wanted(_)) => {
                    self.has_news_of_jobs = true;
                    self.told.add([received.receipt]);
                }
                Err(error) => tracing::warn!(%error, "a report cannot be understood; leaving it for a newer manager"),
            }
        }
        let (completions, of_nobody) = self.sort_out(completions);
        let grid = &self.grid;
        let read = completions.into_iter().map(async |(completion, receipt)| {
            let Completion { job, stage, key, .. } = &completion;
            (read_manifest(grid, job, stage, *key).await, completion, receipt)
        });
        for (manifest, completion, receipt) in futures::future::join_all(read).await {
            match (manifest, self.desks.get_mut(&completion.job)) {
                (Ok(Some(manifest)), Some(desk)) => {
                    let has_copies = desk.has_copies(&manifest.stage, manifest.key());
                    if desk.hear_manifest(&manifest, Some(receipt), self.grid.clock.now_ms(), &mut self.random) {
                        self.turnover.note_end();
                        desk.charge(&completion.spending);
                        if has_copies {
                            let lost_us = self.workers.lost_us(&manifest, Instant::now());
                            desk.table.job.charge_lost(&manifest.stage, manifest.key(), lost_us);
                        }
                    }
                }
                // A lie.
                (Ok(_), _) => self.told.add([receipt]),
                (Err(error), _) => tracing::warn!(%error, "a manifest was not read; its report comes again"),
            }
        }
        if !of_nobody.is_empty() {
            // At once: by and by their jobs may run again, and count what is out.
            self.told.add(of_nobody);
            self.told.delete(&self.grid, Instant::now(), Duration::ZERO).await;
        }
    }

    /// Leaves those whose manifests would be news. The others say again what was heard before, perhaps not yet written, or
    /// are of jobs that are over: there is nothing to read for them. Answers those of jobs that are nobody's, too.
    fn sort_out(&mut self, completions: Vec<(Completion, Receipt)>) -> (Vec<(Completion, Receipt)>, Vec<Receipt>) {
        let (mut news, mut of_nobody) = (Vec::new(), Vec::new());
        for (completion, receipt) in completions {
            match self.desks.get_mut(&completion.job) {
                None if self.knows_jobs => of_nobody.push(receipt),
                // It comes again, to whoever knows its job.
                None => {}
                Some(desk) if desk.job().awaits(&completion.stage, completion.key) => news.push((completion, receipt)),
                Some(desk) => desk.hear_again(receipt),
            }
        }
        (news, of_nobody)
    }
}
