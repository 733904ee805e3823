//! The limit of everything that hands items from thread to thread and writes them down: a channel and a database.

use std::path::Path;

use rusqlite::Connection;

use super::{Meter, Said};

/// Rows in one transaction.
const GROUP: u64 = 100;

/// Sends so many items through a channel of tokio, into a database that is durable after every group.
pub fn run(count: u64, folder: &Path) -> anyhow::Result<Said> {
    let mut database = Connection::open(folder.join("floor.db"))?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE items (id INTEGER);")?;
    let (sender, mut items) = tokio::sync::mpsc::channel::<u64>(GROUP as usize);
    let meter = Meter::start();
    let producer = std::thread::spawn(move || (0..count).try_for_each(|item| sender.blocking_send(item)));
    let mut group = Vec::new();
    while items.blocking_recv_many(&mut group, GROUP as usize) > 0 {
        let transaction = database.transaction()?;
        for item in group.drain(..) {
            transaction.prepare_cached("INSERT INTO items (id) VALUES (?1)")?.execute([item.cast_signed()])?;
        }
        transaction.commit()?;
    }
    producer.join().map_err(|_| anyhow::anyhow!("the producer broke"))??;
    Ok(meter.read())
}
