//! State in memory, for tests and simulation.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::rules::{self, Stamp};
use super::{Row, RowKey, StateStore, Write};
use crate::Result;

/// Rows in a sorted map.
#[derive(Debug, Default)]
pub struct MemoryState {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows(BTreeMap<RowKey, Row>);

impl MemoryState {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn judge(&self, write: &Write) -> Result<u64> {
        let stamp = |row: &Row| Stamp { version: row.version, epoch: row.epoch };
        rules::judge(self.0.get(&write.key).map(stamp), write)
    }

    fn apply(&mut self, write: Write, version: u64) {
        match write.body {
            None => self.0.remove(&write.key),
            Some(body) => self.0.insert(write.key.clone(), Row { key: write.key, version, epoch: write.epoch, body }),
        };
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        Ok(self.rows().0.get(key).cloned())
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let key = |sort: &str| RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(key(after)),
            _ => Bound::Included(key(prefix)),
        };
        let is_wanted = |key: &RowKey| key.partition == partition && key.sort.starts_with(prefix);
        let rows = self.rows();
        let found = rows.0.range((from, Bound::Unbounded)).take_while(|(key, _)| is_wanted(key));
        Ok(found.take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn query_back(&self, partition: &str, before: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let key = |sort: &str| RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
        let (from, rows) = (key(""), self.rows());
        // What comes first after all rows of the partition.
        let end = before.map_or_else(|| RowKey { partition: format!("{partition}\0"), sort: String::new() }, key);
        let found = if from < end { rows.0.range(from..end).rev().take(limit).collect() } else { Vec::new() };
        Ok(found.into_iter().map(|(_, row)| row.clone()).collect())
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let mut rows = self.rows();
        let answers = writes.into_iter().map(|write| {
            let version = rows.judge(&write)?;
            rows.apply(write, version);
            Ok(version)
        });
        Ok(answers.collect())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        rules::check_transaction(&writes)?;
        let mut rows = self.rows();
        let versions = writes.iter().map(|write| rows.judge(write)).collect::<Result<Vec<u64>>>()?;
        writes.into_iter().zip(versions).for_each(|(write, version)| rows.apply(write, version));
        Ok(())
    }
}
