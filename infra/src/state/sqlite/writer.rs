//! The one thread that writes: it takes all the work that waits, and makes it durable with one fsync.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::error::sql_error;
use crate::Result;
use crate::state::Write;
use crate::state::rules::{self, Stamp};

/// Calls that wait for the writer, and that one fsync makes durable together; more wait in their callers.
const QUEUED_CALLS: usize = 256;

/// One call.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) writes: Vec<Write>,
    pub(super) reply: Reply,
}

/// How the writes of a call belong together, and where the answer goes.
#[derive(Debug)]
pub(super) enum Reply {
    /// Every write by itself.
    Each(oneshot::Sender<Result<Vec<Result<u64>>>>),
    /// All or none.
    All(oneshot::Sender<Result<()>>),
}

/// The writing end of a database.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    connection: Connection,
}

/// The way to the writer, whose work ends when the sending side is gone.
pub(super) fn inbox() -> (mpsc::Sender<Work>, mpsc::Receiver<Work>) {
    mpsc::channel(QUEUED_CALLS)
}

impl Writer {
    pub(super) fn new(path: PathBuf, connection: Connection) -> Self {
        Self { path, connection }
    }

    /// Works until nobody can send any more, then folds the log into the database.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        let mut group = Vec::new();
        while inbox.blocking_recv_many(&mut group, QUEUED_CALLS) > 0 {
            self.serve(std::mem::take(&mut group));
        }
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(cause) = folded {
            tracing::warn!(path = %self.path.display(), %cause, "failed to fold the state's log into the database");
        }
    }

    /// Applies a group of calls in one transaction, and answers when it is durable.
    fn serve(&mut self, group: Vec<Work>) {
        match self.commit(&group) {
            Ok(answers) => group.into_iter().zip(answers).for_each(|(work, answer)| work.reply.send(Ok(answer))),
            Err(cause) => {
                let failed = || Err(sql_error("write to", &self.path, &cause));
                group.into_iter().for_each(|work| work.reply.send(failed()));
            }
        }
    }

    /// An error of the database undoes the whole group.
    fn commit(&mut self, group: &[Work]) -> rusqlite::Result<Vec<Vec<Result<u64>>>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let apply = |work: &Work| match work.reply {
            Reply::Each(_) => apply_each(&transaction, &work.writes),
            Reply::All(_) => apply_all(&transaction, &work.writes),
        };
        let answers = group.iter().map(apply).collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(answers)
    }
}

impl Reply {
    /// A caller that is gone hears nothing, though its writes are applied: it may have happened, as for any caller
    /// that gave up.
    fn send(self, answer: Result<Vec<Result<u64>>>) {
        match self {
            Self::Each(caller) => drop(caller.send(answer)),
            Self::All(caller) => {
                drop(caller.send(answer.and_then(|versions| versions.into_iter().try_for_each(drop_ok))))
            }
        }
    }
}

fn drop_ok(version: Result<u64>) -> Result<()> {
    version.map(drop)
}

fn apply_each(transaction: &Transaction<'_>, writes: &[Write]) -> rusqlite::Result<Vec<Result<u64>>> {
    let apply = |write: &Write| match judge(transaction, write)? {
        Ok(version) => put(transaction, write, version).map(|()| Ok(version)),
        Err(refusal) => Ok(Err(refusal)),
    };
    writes.iter().map(apply).collect()
}

/// All conditions are judged before anything is written, so that a refusal leaves nothing to undo. That is right only
/// because no two writes are to one row.
fn apply_all(transaction: &Transaction<'_>, writes: &[Write]) -> rusqlite::Result<Vec<Result<u64>>> {
    let mut versions = Vec::with_capacity(writes.len());
    for write in writes {
        match judge(transaction, write)? {
            Ok(version) => versions.push(version),
            Err(refusal) => return Ok(vec![Err(refusal)]),
        }
    }
    for (write, version) in writes.iter().zip(&versions) {
        put(transaction, write, *version)?;
    }
    Ok(versions.into_iter().map(Ok).collect())
}

fn judge(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<Result<u64>> {
    let mut select =
        transaction.prepare_cached("SELECT version, epoch FROM rows WHERE partition = ?1 AND sort = ?2")?;
    let key = params![write.key.partition, write.key.sort];
    let stamp = select.query_row(key, |row| {
        Ok(Stamp { version: row.get::<_, i64>(0)?.cast_unsigned(), epoch: row.get::<_, i64>(1)?.cast_unsigned() })
    });
    Ok(rules::judge(stamp.optional()?, write))
}

fn put(transaction: &Transaction<'_>, write: &Write, version: u64) -> rusqlite::Result<()> {
    let (partition, sort) = (&write.key.partition, &write.key.sort);
    match &write.body {
        None => transaction
            .prepare_cached("DELETE FROM rows WHERE partition = ?1 AND sort = ?2")?
            .execute(params![partition, sort])?,
        Some(body) => transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO rows (partition, sort, version, epoch, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![partition, sort, version.cast_signed(), write.epoch.cast_signed(), body])?,
    };
    Ok(())
}
