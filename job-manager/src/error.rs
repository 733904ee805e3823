//! What ends a manager.

use infra::ErrorKind;

/// What ends a manager, or refuses a submission.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Another manager leads now.
    #[error("another manager has taken the lead")]
    Fenced,
    /// A back end failed in a way that waiting does not mend.
    #[error(transparent)]
    Store(#[from] infra::Error),
    /// What is stored cannot be understood.
    #[error("{what} cannot be read")]
    Damaged {
        /// The object or row.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a leader does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try the same again.
    Wait,
    /// Only the job in hand suffers: it is quarantined if that goes on.
    Blame,
    /// Stop leading.
    End,
}

impl ManagerError {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Fenced => Remedy::End,
            Self::Damaged { .. } => Remedy::Blame,
            Self::Store(error) => match error.kind {
                ErrorKind::Throttled | ErrorKind::Unavailable => Remedy::Wait,
                ErrorKind::Full | ErrorKind::Denied => Remedy::End,
                ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Invalid => Remedy::Blame,
            },
        }
    }

    pub(crate) fn damaged(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Damaged { what: what.into(), source: Box::new(source) }
    }
}

/// An error and its causes, in one sentence.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
