//! A row that the leader alone writes, for others to read: what it says is made again at any time.

use infra::Grid;
use infra::state::{Expect, RowKey, Write};
use tokio::time::{Duration, Instant};

/// Between two writes of a note.
const EVERY: Duration = Duration::from_secs(5);

/// A row that is written when what it says has changed, and not too often.
#[derive(Debug)]
pub(crate) struct Note {
    key: RowKey,
    /// What the row holds and its version; nothing before it was read.
    written: Option<(Vec<u8>, Expect)>,
    due: Option<Instant>,
}

impl Note {
    pub fn new(partition: &str, sort: &str) -> Self {
        let key = RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
        Self { key, written: None, due: None }
    }

    /// What the row holds now.
    pub async fn read(&mut self, grid: &Grid) -> infra::Result<Option<Vec<u8>>> {
        let row = grid.state.get(&self.key).await?;
        let body = row.as_ref().map(|row| row.body.clone());
        let expect = row.as_ref().map_or(Expect::Absent, |row| Expect::Version(row.version));
        self.written = Some((body.clone().unwrap_or_default(), expect));
        Ok(body)
    }

    /// Writes what is new. It may be late, and is tried again.
    pub async fn keep(&mut self, grid: &Grid, epoch: u64, body: Vec<u8>, now: Instant) {
        if self.due.is_some_and(|due| now < due) || self.written.as_ref().is_some_and(|(written, _)| *written == body) {
            return;
        }
        self.due = Some(now + EVERY);
        if let Err(error) = self.write(grid, epoch, body).await {
            tracing::debug!(%error, row = self.key.partition, "a note was not written");
            self.written = None;
        }
    }

    async fn write(&mut self, grid: &Grid, epoch: u64, body: Vec<u8>) -> infra::Result<()> {
        if self.written.is_none() {
            self.read(grid).await?;
        }
        let Some((written, expect)) = self.written.take() else { return Ok(()) };
        if written == body {
            self.written = Some((written, expect));
            return Ok(());
        }
        let write = Write { key: self.key.clone(), expect, epoch, body: Some(body.clone()), expires_ms: None };
        for answer in grid.state.write(vec![write]).await? {
            self.written = Some((body.clone(), Expect::Version(answer?)));
        }
        Ok(())
    }
}
