//! State in an SQLite database that other processes may read meanwhile.

#[cfg(test)]
mod crash;
mod error;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use self::error::sql_error;
use self::writer::{Reply, Work, Writer};
use super::{Row, RowKey, StateStore, Write, rules};
use crate::{Error, ErrorKind, Result};

/// Rows in a database file.
///
/// Writes of many callers are made durable together. Dropping it waits for the writes that were begun.
#[derive(Debug)]
pub struct SqliteState {
    path: PathBuf,
    // Goes before the writer, which can clean up only when it is the last one.
    reader: Arc<Mutex<Connection>>,
    writer: Option<WriterThread>,
}

#[derive(Debug)]
struct WriterThread {
    // Goes before the thread, which ends only when nobody can send any more.
    inbox: mpsc::Sender<Work>,
    _thread: Joined,
}

/// A thread that is waited for when this is dropped.
#[derive(Debug)]
struct Joined(Option<JoinHandle<()>>);

impl SqliteState {
    /// Opens a database, makes it where it is missing, and starts its writer. Blocks. The folder must exist.
    ///
    /// `Invalid` for a file that a newer gridmill or another program wrote.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let writer = Writer::new(path.clone(), schema::open_writer(&path)?);
        let reader = Arc::new(Mutex::new(schema::open_reader(&path)?));
        Ok(Self { writer: Some(WriterThread::start(&path, writer)?), reader, path })
    }

    /// Opens a database that exists, beside the process that writes it; every write is `Denied`. Blocks.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.exists() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no state at {}", path.display())));
        }
        Ok(Self { reader: Arc::new(Mutex::new(schema::open_reader(&path)?)), writer: None, path })
    }

    /// Reads on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = self.reader.clone();
        let read = move || query(&reader.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(read).await;
        let found = done.map_err(|lost| Error::caused(ErrorKind::Unavailable, "failed to finish a read", lost))?;
        found.map_err(|cause| sql_error("read", &self.path, &cause))
    }

    async fn ask<T>(&self, writes: Vec<Write>, reply: impl FnOnce(oneshot::Sender<Result<T>>) -> Reply) -> Result<T> {
        let gone = || Error::new(ErrorKind::Unavailable, format!("the writer of {} has ended", self.path.display()));
        let Some(writer) = &self.writer else {
            let context = format!("{} was opened for reading only", self.path.display());
            return Err(Error::new(ErrorKind::Denied, context));
        };
        let (sender, answer) = oneshot::channel();
        writer.inbox.send(Work { writes, reply: reply(sender) }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl WriterThread {
    fn start(path: &Path, writer: Writer) -> Result<Self> {
        let (inbox, work) = writer::inbox();
        let started = std::thread::Builder::new().name("state-writer".to_owned()).spawn(move || writer.run(work));
        let thread = started.map_err(|cause| {
            let context = format!("failed to start a thread for {}", path.display());
            Error::caused(ErrorKind::Unavailable, context, cause)
        })?;
        Ok(Self { inbox, _thread: Joined(Some(thread)) })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the state's writer panicked");
        }
    }
}

#[async_trait]
impl StateStore for SqliteState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        let key = key.clone();
        self.read(move |connection| get(connection, key)).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let (partition, prefix, after) = (partition.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        self.read(move |connection| query(connection, &partition, &prefix, after.as_deref(), limit)).await
    }

    async fn query_back(&self, partition: &str, before: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let (partition, before) = (partition.to_owned(), before.map(str::to_owned));
        self.read(move |connection| query_back(connection, &partition, before.as_deref(), limit)).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        self.ask(writes, Reply::Each).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        rules::check_transaction(&writes)?;
        self.ask(writes, Reply::All).await
    }
}

fn get(connection: &Connection, key: RowKey) -> rusqlite::Result<Option<Row>> {
    let sql = "SELECT sort, version, epoch, body FROM rows WHERE partition = ?1 AND sort = ?2";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row(params![key.partition, key.sort], |row| read_row(row, &key.partition)).optional()
}

fn query(
    connection: &Connection,
    partition: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT sort, version, epoch, body FROM rows
               WHERE partition = ?1 AND sort >= ?2 AND (?3 IS NULL OR sort > ?3) ORDER BY sort LIMIT ?4";
    let mut select = connection.prepare_cached(sql)?;
    // The rows of a prefix lie together, so reading ends at the first one without it.
    let from = after.map_or(prefix, |after| after.max(prefix));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map(params![partition, from, after, limit], |row| read_row(row, partition))?;
    let has_prefix = |row: &rusqlite::Result<Row>| row.as_ref().map_or(true, |row| row.key.sort.starts_with(prefix));
    rows.take_while(has_prefix).collect()
}

fn query_back(
    connection: &Connection,
    partition: &str,
    before: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT sort, version, epoch, body FROM rows
               WHERE partition = ?1 AND (?2 IS NULL OR sort < ?2) ORDER BY sort DESC LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map(params![partition, before, limit], |row| read_row(row, partition))?;
    rows.collect()
}

fn read_row(row: &rusqlite::Row<'_>, partition: &str) -> rusqlite::Result<Row> {
    Ok(Row {
        key: RowKey { partition: partition.to_owned(), sort: row.get(0)? },
        version: row.get::<_, i64>(1)?.cast_unsigned(),
        epoch: row.get::<_, i64>(2)?.cast_unsigned(),
        body: row.get(3)?,
    })
}
