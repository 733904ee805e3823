//! State: small rows, written conditionally. DynamoDB, SQLite, or memory.

#[cfg(feature = "aws")]
mod dynamo;
mod memory;
mod rules;
mod sqlite;

use std::collections::VecDeque;
use std::fmt::Debug;

use async_trait::async_trait;
use grid_core::spending::Spending;

#[cfg(feature = "aws")]
pub use self::dynamo::DynamoState;
#[cfg(feature = "aws")]
pub(crate) use self::dynamo::EXPIRES;
pub use self::memory::MemoryState;
pub use self::sqlite::SqliteState;

use crate::Result;

/// Names a row: rows of one partition are read together, ascending by `sort`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The partition, such as `JOB#0190..`.
    pub partition: String,
    /// The place in it, such as `STAGE#clean/SHARD#000000`.
    pub sort: String,
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub key: RowKey,
    /// 1 when it was created, one more with every write.
    pub version: u64,
    /// The epoch of its last writer.
    pub epoch: u64,
    /// What was written.
    pub body: Vec<u8>,
}

/// What must hold for a write to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no such row.
    Absent,
    /// The row has this version.
    Version(u64),
}

/// One conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The row.
    pub key: RowKey,
    /// The condition.
    pub expect: Expect,
    /// The writer's epoch; refused where the row was written under a higher one.
    pub epoch: u64,
    /// The new content; `None` removes the row.
    pub body: Option<Vec<u8>>,
    /// From when on the row means nothing, Unix milliseconds: the store may remove it then, at once, days later, or never.
    /// Whoever reads it judges for himself.
    pub expires_ms: Option<u64>,
}

/// Small rows (at most 350 KiB each), read and written consistently.
#[async_trait]
pub trait StateStore: Debug + Send + Sync {
    /// Reads a row.
    async fn get(&self, key: &RowKey) -> Result<Option<Row>>;

    /// Reads the rows of a partition whose `sort` begins with `prefix` and comes after `after`, ascending; at most
    /// `limit`. Fewer than `limit` means that there are no more.
    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>>;

    /// Reads the rows of a partition that come before `before`, descending; at most `limit`. Fewer than `limit` means
    /// that there are no more. Without help of the store it reads the partition from its beginning.
    async fn query_back(&self, partition: &str, before: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        const PAGE: usize = 1_000;
        let mut last: VecDeque<Row> = VecDeque::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.query(partition, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|row| row.key.sort.clone());
            let count = page.len();
            let wanted = page.into_iter().take_while(|row| before.is_none_or(|before| row.key.sort.as_str() < before));
            let kept = last.len();
            last.extend(wanted);
            let is_past = last.len() - kept < count;
            last.drain(..last.len().saturating_sub(limit));
            if is_last || is_past {
                return Ok(last.into_iter().rev().collect());
            }
        }
    }

    /// Applies every write by itself, those of one row in order, those of different rows in any, and answers for each in its
    /// place with the row's new version (0 for a removed row), or `Conflict` with nothing changed. What is `Ok` is durable. A
    /// repeat of an applied write is a `Conflict`: read the row back.
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>>;

    /// Applies all writes (at most 100) or, with a `Conflict`, none.
    async fn transact(&self, writes: Vec<Write>) -> Result<()>;

    /// What [such a transaction](Self::transact) is going to ask of a service elsewhere, if nothing has to be repeated: for who
    /// must say so before.
    fn transact_asks(&self, _writes: &[Write]) -> Spending {
        Spending::NOTHING
    }
}
