//! What a grid stands on, by name; and why it does not open.

use std::fmt;

use crate::{Error, ErrorKind};

/// One of the things that a grid stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackEnd {
    /// The grid's own objects.
    Objects,
    /// Task messages.
    Tasks,
    /// Task messages that were received too often.
    DeadTasks,
    /// Reports of the workers.
    Reports,
    /// Rows.
    State,
}

impl BackEnd {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Objects, Self::Tasks, Self::DeadTasks, Self::Reports, Self::State];

    /// What it is called where a manager tells of itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Tasks => "tasks",
            Self::DeadTasks => "dead_tasks",
            Self::Reports => "reports",
            Self::State => "state",
        }
    }

    /// The setting that says where it is, on AWS.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Objects => "GRIDMILL_BUCKET",
            Self::Tasks => "GRIDMILL_TASK_QUEUE",
            Self::DeadTasks => "GRIDMILL_DEAD_TASK_QUEUE",
            Self::Reports => "GRIDMILL_REPORT_QUEUE",
            Self::State => "GRIDMILL_TABLE",
        }
    }

    /// What it is on AWS, as in "the bucket".
    pub const fn thing(self) -> &'static str {
        match self {
            Self::Objects => "the bucket",
            Self::Tasks => "the queue of tasks",
            Self::DeadTasks => "the queue of dead tasks",
            Self::Reports => "the queue of reports",
            Self::State => "the table",
        }
    }

    /// The service that has it, on AWS.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Objects => "S3",
            Self::Tasks | Self::DeadTasks | Self::Reports => "SQS",
            Self::State => "DynamoDB",
        }
    }
}

/// Why a grid does not open: what is wrong with each of its back ends that could be asked and did not do. At least one.
#[derive(Debug)]
pub struct NotOpen(Vec<(Option<BackEnd>, Error)>);

impl NotOpen {
    /// Because of one of its back ends.
    pub fn by(back_end: BackEnd, error: Error) -> Self {
        Self(vec![(Some(back_end), error)])
    }

    /// Whether the same call may succeed later: nothing is wrong that somebody has to mend.
    pub fn is_transient(&self) -> bool {
        self.0.iter().all(|(_, error)| error.is_transient())
    }

    /// What is wrong with which back end; none where not even a request could be made.
    pub fn faults(&self) -> impl Iterator<Item = (Option<BackEnd>, ErrorKind)> {
        self.0.iter().map(|(back_end, error)| (*back_end, error.kind))
    }
}

/// What a grid needs before it can ask for anything: region, credentials, clients.
impl From<Error> for NotOpen {
    fn from(error: Error) -> Self {
        Self(vec![(None, error)])
    }
}

impl fmt::Display for NotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|(back_end, error)| match back_end {
            Some(back_end) => format!("{error} (by the setting {})", back_end.setting()),
            None => error.to_string(),
        });
        f.write_str(&words.collect::<Vec<_>>().join("; "))
    }
}

impl std::error::Error for NotOpen {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.as_slice() {
            [(_, error)] => std::error::Error::source(error),
            _ => None,
        }
    }
}

/// As one error: what somebody has to mend comes before what may pass.
impl From<NotOpen> for Error {
    fn from(not_open: NotOpen) -> Self {
        let kinds = || not_open.0.iter().map(|(_, error)| error);
        let first = kinds().find(|error| !error.is_transient()).or_else(|| kinds().next());
        let kind = first.map_or(ErrorKind::Unavailable, |error| error.kind);
        Self::new(kind, not_open.to_string())
    }
}

/// What was answered by several back ends, and what was not.
#[cfg(feature = "aws")]
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<(Option<BackEnd>, Error)>);

#[cfg(feature = "aws")]
impl Answers {
    /// What a back end has answered, unless that is its fault.
    pub fn take<T>(&mut self, back_end: BackEnd, answer: crate::Result<T>) -> Option<T> {
        answer.map_err(|error| self.0.push((Some(back_end), error))).ok()
    }

    /// Why the grid does not open.
    pub fn not_open(self) -> NotOpen {
        NotOpen(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: ErrorKind) -> Error {
        Error::new(kind, kind.to_string())
    }

    #[test]
    fn a_grid_opens_later_only_if_nothing_has_to_be_mended() {
        let down = || (Some(BackEnd::Objects), fault(ErrorKind::Unavailable));
        let wrong = || (Some(BackEnd::State), fault(ErrorKind::NotFound));
        assert!(NotOpen(vec![down()]).is_transient());
        let both = NotOpen(vec![down(), wrong()]);
        assert!(!both.is_transient());
        let words = "unavailable (by the setting GRIDMILL_BUCKET); not found (by the setting GRIDMILL_TABLE)";
        let error = Error::from(both);
        assert_eq!((error.kind, error.to_string().as_str()), (ErrorKind::NotFound, words));
        assert_eq!(Error::from(NotOpen(vec![down()])).kind, ErrorKind::Unavailable);
    }
}
