//! Queues of others that are lists in memory: for tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::Notifier;
use crate::queue::rules::{check_batch, check_body};
use crate::{Error, ErrorKind, Result};

/// Keeps what is sent. Admits every queue but `forbidden`.
#[derive(Debug, Default)]
pub struct MemoryNotifier {
    sent: Mutex<Vec<(String, String)>>,
    is_broken: AtomicBool,
}

impl MemoryNotifier {
    /// What was sent so far: the queue and the event.
    pub fn sent(&self) -> Vec<(String, String)> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on nothing can be sent.
    pub fn break_down(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// From now on it works again.
    pub fn mend(&self) {
        self.is_broken.store(false, Ordering::Relaxed);
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    fn admits(&self, queue: &str) -> Result<()> {
        match queue {
            "forbidden" => Err(Error::new(ErrorKind::Invalid, "no pipeline may name the queue `forbidden`")),
            _ => Ok(()),
        }
    }

    async fn send(&self, queue: &str, events: &[String]) -> Result<Vec<Result<()>>> {
        self.admits(queue)?;
        check_batch(events.len())?;
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, format!("queue {queue} does not answer")));
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = |event: &String| {
            check_body(event)?;
            sent.push((queue.to_owned(), event.clone()));
            Ok(())
        };
        Ok(events.iter().map(keep).collect())
    }

    fn uri(&self, key: &str) -> String {
        format!("grid://{key}")
    }
}
