//! Failures that are the worker's own doing or its machine's.

use std::io;

use grid_core::reason::{Failure, Reason};

/// A failure of the worker itself while it did `what` ("write the output to /tmp/x").
pub(super) fn own(what: impl std::fmt::Display, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::new(
            Reason::DiskFull,
            format!("could not {what}: the scratch disk is full; free space or give the worker another scratch folder"),
        ),
        _ => Failure::new(Reason::Internal, format!("could not {what}: {error}")),
    }
}

/// A failure of the input's store.
pub(super) fn input(item: &str, error: &infra::Error) -> Failure {
    let mut message = format!("the input of item {item} could not be read: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Failure::new(Reason::Input, message)
}

/// Why an item was not done.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The task is to stop.
    Stopped,
    /// It failed.
    Failed(Failure),
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
