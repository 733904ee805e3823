//! Queues of others on one machine: a file each in the state folder, an event a line.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::Notifier;
use crate::objects::{io_error, sync_folder};
use crate::queue::rules::{check_batch, check_body};
use crate::{Error, ErrorKind, Result};

/// Appends events to `notify/QUEUE.ndjson`, durably.
#[derive(Clone, Debug)]
pub struct FileNotifier {
    folder: PathBuf,
    objects: PathBuf,
    /// The files whose names are known to be durable.
    named: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl FileNotifier {
    /// Of a state folder, whose objects lie in `objects`. Nothing is made before there is an event.
    pub fn new(state: &Path, objects: PathBuf) -> Self {
        Self { folder: state.join("notify"), objects, named: Arc::default() }
    }

    /// The file of a queue: a URL or an ARN counts by its last part, so that the same pipeline runs here.
    fn file(&self, queue: &str) -> Result<PathBuf> {
        let name = queue.rsplit(['/', ':']).next().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.starts_with('.') || name.len() > 128 || !name.bytes().all(is_plain) {
            let context =
                format!("`{queue}` names no queue: letters, digits, `-`, `_` and `.`, or a URL or ARN of such");
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        Ok(self.folder.join(format!("{name}.ndjson")))
    }

    /// A power loss leaves the file where it is; its folder may be as new as itself.
    fn name_durably(&self, file: &Path) -> Result<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if !named.contains(file) {
            self.folder.ancestors().take(2).try_for_each(sync_folder)?;
            named.insert(file.to_owned());
        }
        Ok(())
    }
}

#[async_trait]
impl Notifier for FileNotifier {
    fn admits(&self, queue: &str) -> Result<()> {
        self.file(queue).map(drop)
    }

    async fn send(&self, queue: &str, events: &[String]) -> Result<Vec<Result<()>>> {
        let file = self.file(queue)?;
        check_batch(events.len())?;
        let answers: Vec<Result<()>> = events.iter().map(|event| check_body(event)).collect();
        let right = events.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let lines: String = right.flat_map(|(event, _)| [event.as_str(), "\n"]).collect();
        let notifier = self.clone();
        let written = spawn_blocking(move || {
            append(&file, &lines).map_err(|cause| io_error("append to", &file, cause))?;
            notifier.name_durably(&file)
        });
        written.await.map_err(|cause| Error::caused(ErrorKind::Unavailable, "a thread was lost", cause))??;
        Ok(answers)
    }

    fn uri(&self, key: &str) -> String {
        format!("file://{}", self.objects.join(key).display())
    }
}

/// A line that a crash has cut short gets its end first; it was not sent, and comes again.
fn append(file: &Path, lines: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(file)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::has_synced;

    #[tokio::test]
    async fn a_queue_is_a_file_with_an_event_a_line() {
        let state = tempfile::tempdir().unwrap();
        let notifier = FileNotifier::new(state.path(), state.path().join("objects"));
        let send = async |queue: &str, event: &str| notifier.send(queue, &[event.to_owned()]).await;
        send("done", "{1}").await.unwrap().remove(0).unwrap();
        assert!(has_synced(state.path()) && has_synced(&state.path().join("notify")));
        let file = state.path().join("notify/done.ndjson");
        fs::write(&file, "{1}\n{cut").unwrap();
        send("arn:aws:sqs:us-east-1:000000000000:done", "{2}").await.unwrap().remove(0).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{1}\n{cut\n{2}\n");
        assert_eq!(send("done", "two\nlines").await.unwrap().remove(0).unwrap_err().kind, ErrorKind::Invalid);
        for queue in ["", "..", "a/..", "https://host/a b"] {
            assert_eq!(notifier.admits(queue).unwrap_err().kind, ErrorKind::Invalid, "{queue}");
        }
    }
}
