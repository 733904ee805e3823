//! What ends a worker.

/// What ends a worker before it is told to stop. Nothing that was committed is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no room to commit results.
    #[error("no room left to {what}: free some space and start again, finished work is kept")]
    Full {
        /// What was to be written.
        what: String,
        /// The back end's words.
        source: infra::Error,
    },
    /// A back end refuses what the worker needs to do: trying again cannot help.
    #[error("failed to {what}: the back end refuses it, check its settings and permissions")]
    Refused {
        /// What was to be done.
        what: String,
        /// The back end's words.
        source: infra::Error,
    },
    /// It had nothing to do, and nobody looked after it.
    #[error("idle for {secs} s without a sign of a manager: nobody needs this worker")]
    Orphaned {
        /// Since the last sign, or the last task.
        secs: u64,
    },
    /// A task could not be written as JSON; a fault of gridmill's own.
    #[error("failed to write {what} as JSON")]
    Json {
        /// What was to be written.
        what: String,
        /// The cause.
        source: serde_json::Error,
    },
}

impl WorkerError {
    /// The end that an error means which no further try can mend.
    pub(crate) fn lasting(what: impl Into<String>, source: infra::Error) -> Self {
        match source.kind {
            infra::ErrorKind::Full => Self::Full { what: what.into(), source },
            infra::ErrorKind::NotFound
            | infra::ErrorKind::Conflict
            | infra::ErrorKind::Throttled
            | infra::ErrorKind::Unavailable
            | infra::ErrorKind::Denied
            | infra::ErrorKind::Invalid => Self::Refused { what: what.into(), source },
        }
    }
}
