//! Reports that need not come again: deleted many at a time, since each call is paid.

use std::time::Duration;

use grid_core::limits::QUEUE_BATCH;
use infra::Grid;
use infra::queue::Receipt;
use tokio::time::Instant;

/// Reports whose news is in the rows, or was none.
#[derive(Debug, Default)]
pub(crate) struct Told {
    receipts: Vec<Receipt>,
    since: Option<Instant>,
}

impl Told {
    pub fn add(&mut self, receipts: impl IntoIterator<Item = Receipt>) {
        self.receipts.extend(receipts);
        if !self.receipts.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// When the last of them are to be deleted, though they do not fill a call: long before their leases end.
    pub fn due(&self, patience: Duration) -> Option<Instant> {
        self.since.map(|since| since + patience)
    }

    /// Deletes as many as fill a call, and all of them when that is due. One that is not deleted comes again, and is old
    /// news then.
    pub async fn delete(&mut self, grid: &Grid, now: Instant, patience: Duration) {
        let is_due = self.due(patience).is_some_and(|due| now >= due);
        let full = self.receipts.len() / QUEUE_BATCH * QUEUE_BATCH;
        let count = if is_due { self.receipts.len() } else { full };
        let receipts: Vec<Receipt> = self.receipts.drain(..count).collect();
        if self.receipts.is_empty() {
            self.since = None;
        }
        for receipts in receipts.chunks(QUEUE_BATCH) {
            if let Err(error) = grid.reports.delete(receipts).await {
                tracing::debug!(%error, "reports were not deleted");
            }
        }
    }
}
