//! The database file: what it is called inside, and which versions of it we can read.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::sql_error;
use crate::{Error, ErrorKind, Result};

/// Version of the tables; kept in the file as `user_version`.
const VERSION: i64 = 1;

/// Marks the file as ours ("grdm"); kept in the file as `application_id`.
const APPLICATION: i64 = 0x6772_646d;

/// Waiting for another process: only recovery and checkpoints ever hold a lock against us.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const CREATE: &str = "
    CREATE TABLE rows (
        partition TEXT NOT NULL,
        sort TEXT NOT NULL,
        version INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (partition, sort)
    ) WITHOUT ROWID;
";

/// Opens the database for writing; makes it where it is missing.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let failed = |cause: rusqlite::Error| sql_error("open", path, &cause);
    if is_new(&connection).map_err(failed)? {
        create(&connection).map_err(failed)?;
    }
    // Before anything that would change a file which is not ours.
    check(path, &connection)?;
    let journal = set_journal(&connection).map_err(failed)?;
    if journal != "wal" {
        let context = format!("{} lies in a file system that cannot share memory: use a local disk", path.display());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(connection)
}

/// Opens the database for reading, beside a process that writes or alone.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(path, &connection)?;
    Ok(connection)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection> {
    // Each connection stays on one thread or behind a lock, so SQLite's own mutexes would be for nothing.
    let opened = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.map_err(|cause| sql_error("open", path, &cause))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|cause| sql_error("open", path, &cause))?;
    Ok(connection)
}

fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {CREATE} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

/// Readers go on beside the writer, and what is committed is durable; gives the journal's mode.
fn set_journal(connection: &Connection) -> rusqlite::Result<String> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
}

fn check(path: &Path, connection: &Connection) -> Result<()> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let read = pragma("application_id").and_then(|application| Ok((application, pragma("user_version")?)));
    let (application, version) = read.map_err(|cause| sql_error("open", path, &cause))?;
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("{} {why}", path.display())));
    if application != APPLICATION {
        return refuse("is a database of another program".to_owned());
    }
    if version > VERSION {
        return refuse(format!(
            "was written by a newer gridmill (tables of version {version}, this one knows {VERSION}): upgrade gridmill"
        ));
    }
    Ok(())
}
