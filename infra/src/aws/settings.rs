//! Where a grid on AWS has its things. Region, endpoint and credentials are the SDK's own settings.

use crate::{BackEnd, Error, ErrorKind, Result};

/// The bucket that holds the grid's objects.
pub const BUCKET: &str = BackEnd::Objects.setting();
/// What the keys of the grid's objects begin with; may be missing.
pub const PREFIX: &str = "GRIDMILL_PREFIX";
/// The queue of task messages, by name or URL.
pub const TASK_QUEUE: &str = BackEnd::Tasks.setting();
/// The queue of the task messages that were received too often, by name or URL.
pub const DEAD_TASK_QUEUE: &str = BackEnd::DeadTasks.setting();
/// The queue of the workers' reports, by name or URL.
pub const REPORT_QUEUE: &str = BackEnd::Reports.setting();
/// The table of rows.
pub const TABLE: &str = BackEnd::State.setting();
/// The queues that pipelines may have events put on, separated by commas; `*` at the end stands for the rest. Without it
/// there are none.
pub const NOTIFY_QUEUES: &str = "GRIDMILL_NOTIFY_QUEUES";

/// Where a manager's workers come from; [`AWS_FLEET`] for Auto Scaling groups.
pub const FLEET: &str = "GRIDMILL_FLEET";
/// The [`FLEET`] of Auto Scaling groups.
pub const AWS_FLEET: &str = "aws";
/// A manager's Auto Scaling groups: `NAME=USD[:RATE]`, separated by commas.
pub const GROUPS: &str = "GRIDMILL_GROUPS";
/// The queue of EventBridge's events about the machines of those groups, by name or URL; may be missing.
pub const EVENT_QUEUE: &str = "GRIDMILL_EVENT_QUEUE";
/// The Auto Scaling group that waits for a worker while it drains; may be missing.
pub const GROUP: &str = "GRIDMILL_GROUP";
/// That group's hook of termination.
pub const HOOK: &str = "GRIDMILL_HOOK";
/// What the hook is called unless said.
pub const DEFAULT_HOOK: &str = "drain";

/// What a worker must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// [`BUCKET`]
    pub bucket: String,
    /// [`PREFIX`]
    pub prefix: Option<String>,
    /// [`TASK_QUEUE`]
    pub task_queue: String,
    /// [`REPORT_QUEUE`]
    pub report_queue: String,
}

/// What a manager must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What its workers are told, too.
    pub worker: WorkerSettings,
    /// [`DEAD_TASK_QUEUE`]
    pub dead_task_queue: String,
    /// [`TABLE`]
    pub table: String,
    /// [`NOTIFY_QUEUES`]
    pub notify_queues: Vec<String>,
}

impl WorkerSettings {
    /// Takes the settings from variables, such as those of the environment. `Invalid` names every one that is missing.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self> {
        require(&var, &[BUCKET, TASK_QUEUE, REPORT_QUEUE])?;
        Ok(Self::read(&var))
    }

    /// What the grid's objects are named by outside of it, before their keys.
    pub fn base_uri(&self) -> String {
        match self.prefix.as_deref().map(|prefix| prefix.trim_matches('/')) {
            None | Some("") => format!("s3://{}/", self.bucket),
            Some(prefix) => format!("s3://{}/{prefix}/", self.bucket),
        }
    }

    fn read(var: &impl Fn(&str) -> Option<String>) -> Self {
        Self {
            bucket: value(var, BUCKET).unwrap_or_default(),
            prefix: value(var, PREFIX),
            task_queue: value(var, TASK_QUEUE).unwrap_or_default(),
            report_queue: value(var, REPORT_QUEUE).unwrap_or_default(),
        }
    }
}

impl Settings {
    /// Like [`WorkerSettings::from_vars`].
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self> {
        require(&var, &[BUCKET, TASK_QUEUE, DEAD_TASK_QUEUE, REPORT_QUEUE, TABLE])?;
        Ok(Self {
            worker: WorkerSettings::read(&var),
            dead_task_queue: value(&var, DEAD_TASK_QUEUE).unwrap_or_default(),
            table: value(&var, TABLE).unwrap_or_default(),
            notify_queues: list(&value(&var, NOTIFY_QUEUES).unwrap_or_default()),
        })
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// An empty variable is one that is not set.
fn value(var: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    var(name).filter(|value| !value.is_empty())
}

fn require(var: &impl Fn(&str) -> Option<String>, names: &[&str]) -> Result<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| value(var, name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (word, them) = if missing.len() == 1 { ("setting", "it") } else { ("settings", "them") };
    let context = format!("missing {word} {}: set {them} in the environment", missing.join(", "));
    Err(Error::new(ErrorKind::Invalid, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn every_missing_setting_is_named() {
        let set = [(BUCKET, "b"), (REPORT_QUEUE, ""), (DEAD_TASK_QUEUE, "d")];
        let refused = Settings::from_vars(vars(&set)).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid);
        assert_eq!(
            refused.to_string(),
            "missing settings GRIDMILL_TASK_QUEUE, GRIDMILL_REPORT_QUEUE, GRIDMILL_TABLE: set them in the environment"
        );
    }

    #[test]
    fn a_worker_needs_no_table() {
        let set = [(BUCKET, "b"), (TASK_QUEUE, "t"), (REPORT_QUEUE, "r")];
        let worker = WorkerSettings {
            bucket: "b".to_owned(),
            prefix: None,
            task_queue: "t".to_owned(),
            report_queue: "r".to_owned(),
        };
        assert_eq!(WorkerSettings::from_vars(vars(&set)).unwrap(), worker);
        let all =
            [&set[..], &[(DEAD_TASK_QUEUE, "d"), (TABLE, "s"), (PREFIX, ""), (NOTIFY_QUEUES, "a, b-*,")]].concat();
        let settings = Settings {
            worker,
            dead_task_queue: "d".to_owned(),
            table: "s".to_owned(),
            notify_queues: vec!["a".into(), "b-*".into()],
        };
        assert_eq!(Settings::from_vars(vars(&all)).unwrap(), settings);
    }
}
