//! What is wrong with an input, for people; told apart from a store that cannot be reached just now.

use std::error::Error as _;

use crate::{Error, ErrorKind};

/// What is wrong with an input. Trying again does not help before the user did something, except for `Store`.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no such file, or none that matches.
    #[error("{0}")]
    Missing(String),
    /// It may not be read.
    #[error("{0}")]
    Unreadable(String),
    /// It is not what it was when the job was submitted.
    #[error("{0}")]
    Changed(String),
    /// Its compressed data is broken.
    #[error("{0}")]
    Damaged(String),
    /// What was asked for can never be an input.
    #[error("{0}")]
    Invalid(String),
    /// The store failed; the input itself may be fine.
    #[error(transparent)]
    Store(Error),
}

impl InputError {
    /// The input's fault behind an error of reading it; `None` when the fault is the store's.
    ///
    /// This is what tells reason `input` from an outage that is worth another try.
    pub fn of(error: &Error) -> Option<&Self> {
        error.source().and_then(|source| source.downcast_ref())
    }

    /// What a store's error means for the input `uri`.
    pub(super) fn from_store(error: Error, uri: &str) -> Self {
        match error.kind {
            ErrorKind::NotFound => {
                Self::Missing(format!("{uri} is not there (any more): put it back, or give another path"))
            }
            ErrorKind::Denied => Self::Unreadable(format!("{uri} may not be read: check its permissions")),
            ErrorKind::Invalid => Self::Invalid(format!("{uri} cannot be read: {error}")),
            // A store that notices by itself.
            ErrorKind::Conflict => Self::Changed(format!("{uri} was changed while it was read: {error}")),
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Full => Self::Store(error),
        }
    }
}

impl From<InputError> for Error {
    fn from(fault: InputError) -> Self {
        let kind = match fault {
            InputError::Store(error) => return error,
            InputError::Missing(_) => ErrorKind::NotFound,
            InputError::Unreadable(_) => ErrorKind::Denied,
            InputError::Changed(_) | InputError::Damaged(_) | InputError::Invalid(_) => ErrorKind::Invalid,
        };
        Self::caused(kind, "failed to read an input", fault)
    }
}
