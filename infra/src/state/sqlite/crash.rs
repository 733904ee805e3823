//! Power losses under the state: its files are cut and mixed as a disk may have kept them between two writes that were told,
//! and opened again. SQLite's own promise stands behind this: what it has synced is there.

use std::path::Path;

use crate::state::{Expect, RowKey, SqliteState, StateStore, Write};

/// Bytes of a frame's header and of a page, and of the log's own header.
const FRAME: usize = 24 + PAGE;
const PAGE: usize = 4_096;
const LOG_HEADER: usize = 32;

/// Writes; enough that SQLite moves its log into the database and begins it anew.
const WRITES: u32 = 60;

/// The files of a database, and the rows that it told when they were copied.
#[derive(Clone, Debug, Default)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
    rows: Vec<(String, u64)>,
}

async fn rows(state: &SqliteState) -> Vec<(String, u64)> {
    let rows = state.query("p", "", None, 1_000).await.unwrap();
    rows.into_iter().map(|row| (row.key.sort, row.version)).collect()
}

fn write(sort: &str, version: u64) -> Write {
    let expect = if version == 0 { Expect::Absent } else { Expect::Version(version) };
    let key = RowKey { partition: "p".into(), sort: sort.into() };
    Write { key, expect, epoch: 1, body: Some(vec![version as u8; 30_000]), expires_ms: None }
}

/// Two rows that are written together, or three, each time with their next version.
async fn recorded(folder: &Path) -> Vec<Files> {
    let path = folder.join("state.db");
    let state = SqliteState::open(&path).unwrap();
    let copy = |rows| {
        let log = std::fs::read(folder.join("state.db-wal")).unwrap_or_default();
        Files { database: std::fs::read(&path).unwrap(), log, rows }
    };
    let mut files = vec![copy(rows(&state).await)];
    for nth in 0..WRITES {
        let version = u64::from(nth / 2);
        let sorts: &[&str] = if nth % 2 == 0 { &["a", "b"] } else { &["c", "d", "e"] };
        state.transact(sorts.iter().map(|sort| write(sort, version)).collect()).await.unwrap();
        files.push(copy(rows(&state).await));
    }
    files
}

/// Opens these files as they would be found after the power came back.
async fn opened(database: &[u8], log: &[u8]) -> Vec<(String, u64)> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.db"), database).unwrap();
    std::fs::write(folder.path().join("state.db-wal"), log).unwrap();
    rows(&SqliteState::open(folder.path().join("state.db")).unwrap()).await
}

/// The first `cut` bytes as they are now, the others as they were.
fn mixed(now: &[u8], before: &[u8], cut: usize) -> Vec<u8> {
    let rest = before.get(cut..).unwrap_or_default();
    [&now[..cut.min(now.len())], rest].concat()
}

/// Without this a write that was told may never have left the machine's memory, where the files of the other test come from.
#[test]
fn whoever_writes_syncs_the_log_with_every_write() {
    let folder = tempfile::tempdir().unwrap();
    let writer = super::schema::open_writer(&folder.path().join("state.db")).unwrap();
    let synchronous: i64 = writer.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    let journal: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "FULL, and in the log");
}

#[tokio::test]
async fn a_power_loss_takes_back_at_most_the_write_that_was_not_told_and_that_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let files = recorded(folder.path()).await;
    let (mut checkpoints, mut lost, mut kept) = (0, 0, 0);
    for pair in files.windows(2) {
        let (before, now) = (&pair[0], &pair[1]);
        // The log grows, or is written anew from its beginning.
        let differ = (0..now.log.len()).find(|at| before.log.get(*at) != Some(&now.log[*at])).unwrap_or(now.log.len());
        let frame = (differ.saturating_sub(LOG_HEADER)) / FRAME * FRAME + LOG_HEADER;
        let last = (frame..now.log.len()).step_by(FRAME).next_back().unwrap_or(frame);
        for cut in [differ, frame, frame + 11, frame + FRAME, last, last + 24, last + FRAME - 1, now.log.len()] {
            let found = opened(&before.database, &mixed(&now.log, &before.log, cut.min(now.log.len()))).await;
            assert!(
                found == before.rows || found == now.rows,
                "cut at {cut}: {found:?}, not {:?} or {:?}",
                before.rows,
                now.rows
            );
            if found == before.rows {
                lost += 1
            } else {
                kept += 1
            }
            if cut % 5 != 0 {
                continue;
            }
            // What lay on the disk before may follow the cut.
            let garbage = [&now.log[..cut.min(now.log.len())], &vec![0xa5; FRAME][..]].concat();
            let found = opened(&before.database, &garbage).await;
            assert!(found == before.rows || found == now.rows || cut < differ, "cut at {cut}, then garbage: {found:?}");
        }
        assert_eq!(opened(&before.database, &now.log).await, now.rows, "it was told");
        if before.database != now.database {
            checkpoints += 1;
            // The log has everything that is being moved into the database.
            for page in [1, now.database.len() / PAGE / 2, now.database.len() / PAGE - 1] {
                let torn = mixed(&now.database, &before.database, page * PAGE + 1_000);
                assert_eq!(opened(&torn, &now.log).await, now.rows, "torn in page {page}");
            }
        }
    }
    assert!(checkpoints > 0 && lost > 50 && kept > 50, "{checkpoints} checkpoints, {lost} lost, {kept} kept");
}
