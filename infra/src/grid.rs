//! The back ends of one grid, chosen once and handed down.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::notify::Notifier;
use crate::objects::ObjectStore;
use crate::queue::TaskQueue;
use crate::requests::Requests;
use crate::state::StateStore;
use crate::{Error, ErrorKind, Result};

/// What a manager needs. A worker takes [`WorkerGrid`], which has no state table.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The grid's own objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Where inputs are read from.
    pub sources: Sources,
    /// Task messages.
    pub tasks: Arc<dyn TaskQueue>,
    /// Task messages that were received too often without an end: their workers died.
    pub dead_tasks: Arc<dyn TaskQueue>,
    /// Reports of the workers.
    pub reports: Arc<dyn TaskQueue>,
    /// Rows.
    pub state: Arc<dyn StateStore>,
    /// Queues of others.
    pub notifier: Arc<dyn Notifier>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What was asked of services elsewhere; nothing on one machine.
    pub requests: Requests,
}

/// What a worker needs, and may touch.
#[derive(Clone, Debug)]
pub struct WorkerGrid {
    /// The grid's own objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Where inputs are read from.
    pub sources: Sources,
    /// Task messages.
    pub tasks: Arc<dyn TaskQueue>,
    /// Reports of the workers.
    pub reports: Arc<dyn TaskQueue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What was asked of services elsewhere; nothing on one machine.
    pub requests: Requests,
}

impl Grid {
    /// The part of the grid that a worker may touch.
    pub fn for_worker(&self) -> WorkerGrid {
        WorkerGrid {
            objects: self.objects.clone(),
            sources: self.sources.clone(),
            tasks: self.tasks.clone(),
            reports: self.reports.clone(),
            clock: self.clock.clone(),
            requests: self.requests.clone(),
        }
    }
}

/// The stores that inputs are read from, by URI scheme (`file`, later `s3`).
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<String, Arc<dyn ObjectStore>>);

impl Sources {
    /// Adds the store that answers for `scheme`; its keys are what follows `scheme://`, without a leading slash.
    pub fn with(mut self, scheme: &str, store: Arc<dyn ObjectStore>) -> Self {
        self.0.insert(scheme.to_owned(), store);
        self
    }

    /// The store of a URI, and the key there.
    pub fn locate<'uri>(&self, uri: &'uri str) -> Result<(&Arc<dyn ObjectStore>, &'uri str)> {
        let (scheme, rest) = uri
            .split_once("://")
            .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("`{uri}` is no URI: it has no scheme")))?;
        let store = self.0.get(scheme).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            Error::new(
                ErrorKind::Invalid,
                format!("`{uri}` cannot be read here: known schemes are {}", known.join(", ")),
            )
        })?;
        Ok((store, rest.trim_start_matches('/')))
    }
}
