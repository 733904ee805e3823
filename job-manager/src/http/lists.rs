//! Lists of outputs that somebody reads page by page. Between two pages they stay open, so that a page costs what is on it: what
//! files are called may depend on all those before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::JobId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::Api;
use super::problem::Refusal;
use crate::view::JobView;
use crate::view::outputs::{OutputEntry, OutputPlace, WalkError, list_outputs};

/// Lists that are kept open; the one that was read longest ago goes first.
const MAX_OPEN: usize = 16;

/// How long a list is kept open for the next page.
const KEPT: Duration = Duration::from_secs(60);

/// Lists that are open.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<VecDeque<Kept>>);

/// A list that somebody reads.
#[derive(Debug)]
pub(super) struct Open {
    job: JobId,
    found: mpsc::Receiver<Result<OutputEntry, WalkError>>,
    /// Received already: that there is one more tells that there is another page.
    next: Option<OutputEntry>,
}

#[derive(Debug)]
struct Kept {
    open: Open,
    /// The last one that was given.
    given: OutputPlace,
    until: Instant,
}

impl Lists {
    /// The list of a job that goes on at a place, or shortly before it: another manager may have given the pages between.
    pub fn take(&self, job: &JobId, after: OutputPlace) -> Option<Open> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| Instant::now() < kept.until);
        let fits = kept.iter().enumerate().filter(|(_, kept)| kept.open.job == *job && kept.given <= after);
        let (at, _) = fits.max_by_key(|(_, kept)| kept.given)?;
        kept.remove(at).map(|kept| kept.open)
    }

    /// Keeps a list of which everything up to a place was given.
    pub fn keep(api: &Arc<Api>, open: Open, given: OutputPlace) {
        let mut kept = api.lists.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Kept { open, given, until: Instant::now() + KEPT });
        if kept.len() > MAX_OPEN {
            kept.pop_front();
        }
        drop(kept);
        // What nobody reads on holds the names of all files before: it must not wait for the next request.
        let api = api.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = api.stop.cancelled() => {}
                () = sleep(KEPT) => {}
            }
            let mut kept = api.lists.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|kept| Instant::now() < kept.until);
        });
    }
}

impl Open {
    /// A list that goes on at a place.
    pub async fn new(api: &Api, job: &JobId, after: Option<OutputPlace>) -> Result<Self, Refusal> {
        let view = Arc::new(JobView::open(&api.grid, job).await?);
        Ok(Self { job: job.clone(), found: list_outputs(view, after), next: None })
    }

    /// The next entries after a place, and the list if it goes on.
    pub async fn page(
        mut self,
        after: Option<OutputPlace>,
        limit: usize,
    ) -> Result<(Vec<OutputEntry>, Option<Self>), Refusal> {
        let mut entries = Vec::new();
        while let Some(entry) = self.received().await? {
            if after.is_some_and(|after| entry.place <= after) {
                continue;
            }
            if entries.len() == limit {
                self.next = Some(entry);
                return Ok((entries, Some(self)));
            }
            entries.push(entry);
        }
        Ok((entries, None))
    }

    async fn received(&mut self) -> Result<Option<OutputEntry>, WalkError> {
        match self.next.take() {
            Some(entry) => Ok(Some(entry)),
            None => self.found.recv().await.transpose(),
        }
    }
}
