//! What every state store checks before it writes, so that they cannot differ.

use std::collections::BTreeSet;

use grid_core::limits::{MAX_PARTITION_BYTES, MAX_ROW_BYTES, MAX_SORT_BYTES, MAX_TRANSACT_WRITES};

use super::{Expect, RowKey, Write};
use crate::{Error, ErrorKind, Result};

/// What a row that exists says about who may write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) version: u64,
    pub(super) epoch: u64,
}

/// The version that the row will have, 0 when it will be gone; `Conflict` or `Invalid` when the write is refused.
pub(super) fn judge(current: Option<Stamp>, write: &Write) -> Result<u64> {
    check_sizes(write)?;
    let refuse = |why: String| Err(Error::new(ErrorKind::Conflict, format!("row {} {why}", name(&write.key))));
    match (current, write.expect) {
        (Some(row), _) if row.epoch > write.epoch => {
            refuse(format!("was written in epoch {}, after this writer's {}", row.epoch, write.epoch))
        }
        (Some(row), Expect::Absent) => refuse(format!("exists, at version {}", row.version)),
        (None, Expect::Version(version)) => refuse(format!("does not exist, though expected at version {version}")),
        (Some(row), Expect::Version(version)) if row.version != version => {
            refuse(format!("has version {}, not {version}", row.version))
        }
        (current, _) => Ok(match write.body {
            None => 0,
            Some(_) => current.map_or(1, |row| row.version + 1),
        }),
    }
}

/// Refuses what no store could apply at once: too many writes, or two to one row.
pub(super) fn check_transaction(writes: &[Write]) -> Result<()> {
    if writes.len() > MAX_TRANSACT_WRITES {
        let context = format!("a transaction holds at most {MAX_TRANSACT_WRITES} writes, not {}", writes.len());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    let mut keys = BTreeSet::new();
    match writes.iter().find(|write| !keys.insert(&write.key)) {
        None => Ok(()),
        Some(twice) => {
            let context = format!("a transaction writes row {} twice", name(&twice.key));
            Err(Error::new(ErrorKind::Invalid, context))
        }
    }
}

/// Refuses what no store can hold.
pub(super) fn check_sizes(write: &Write) -> Result<()> {
    check_size("partition name", &write.key, write.key.partition.len(), 1, MAX_PARTITION_BYTES)?;
    check_size("sort name", &write.key, write.key.sort.len(), 1, MAX_SORT_BYTES)?;
    let body = write.body.as_ref().map_or(0, Vec::len);
    check_size("body", &write.key, body, 0, MAX_ROW_BYTES)
}

fn check_size(what: &str, key: &RowKey, bytes: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&bytes) {
        return Ok(());
    }
    let context = format!("the {what} of row {} has {bytes} bytes, not {least} to {most}", name(key));
    Err(Error::new(ErrorKind::Invalid, context))
}

pub(super) fn name(key: &RowKey) -> String {
    format!("{}/{}", key.partition, key.sort)
}
