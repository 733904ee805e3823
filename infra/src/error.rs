//! One error for all back ends, told apart by what the caller does next.

use std::fmt;

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// A condition was refused: the thing exists already, or has another version.
    Conflict,
    /// Too fast: the same call may succeed later.
    Throttled,
    /// Not reachable, or no answer: the call may or may not have been applied.
    Unavailable,
    /// Not allowed.
    Denied,
    /// No room left.
    Full,
    /// The request, or what was read, can never be right.
    Invalid,
}

/// What went wrong, where, and why.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct Error {
    /// What the caller does about it.
    pub kind: ErrorKind,
    context: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of a back end's call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a cause of its own; `context` names the thing, as in "object jobs/1/job.json exists".
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// An error with its cause.
    pub fn caused(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(source.into()) }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Full => "no space left",
            Self::Invalid => "invalid",
        })
    }
}
