//! What a grid on AWS needs, looked at one by one: settings, reach, rights, and how its parts are set up. Disturbs nothing: what it
//! writes it takes away again, and it receives no message.

mod bucket;
mod groups;
mod queues;
mod report;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use self::bucket::check_bucket;
use self::groups::{Lifecycle, check_group, check_lifecycle, group_names};
use self::queues::{Queue, check_events, check_queue, check_redrive};
use self::report::Report;
pub use self::report::{Finding, Verdict};
use self::table::check_table;
use super::Clients;
use super::settings::{
    AWS_FLEET, BUCKET, DEAD_TASK_QUEUE, DEFAULT_HOOK, EVENT_QUEUE, FLEET, GROUP, GROUPS, HOOK, PREFIX, REPORT_QUEUE,
    TABLE, TASK_QUEUE,
};
use crate::Result;

/// Whose needs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A job manager's.
    Manager,
    /// A worker's: no table, no dead tasks.
    Worker,
}

/// Looks at everything that a program in this role needs; `var` gives the settings, such as those of the environment.
///
/// Takes some seconds; a service that cannot be reached is given up after its first silence.
pub async fn check(role: Role, var: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut report = Report::default();
    let mut required = |name: &str| {
        let value = var(name).filter(|value| !value.is_empty());
        match &value {
            Some(value) => report.ok(name, value),
            None => report.wrong(name, "the setting is missing", format!("set {name} in the environment")),
        }
        value
    };
    let (bucket, tasks, reports) = (required(BUCKET), required(TASK_QUEUE), required(REPORT_QUEUE));
    let (dead_tasks, table) = match role {
        Role::Manager => (required(DEAD_TASK_QUEUE), required(TABLE)),
        Role::Worker => (None, None),
    };
    let has_groups = role == Role::Manager && var(FLEET).as_deref() == Some(AWS_FLEET);
    let groups = has_groups.then(|| required(GROUPS)).flatten();
    let clients = Clients::from_env().await;
    let remedy =
        "the SDK reads AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and the machine's role";
    let Some(clients) = report.judge("region and credentials", clients, |_| "found".to_owned(), remedy) else {
        return report.findings();
    };
    if let Some(bucket) = bucket {
        check_bucket(&mut report, &clients.s3, role, &bucket, var(PREFIX).as_deref()).await;
    }
    let queues = queues_of(role, tasks, reports, dead_tasks);
    let mut found = Vec::new();
    for queue in &queues {
        found.push(check_queue(&mut report, &clients.sqs, role, queue).await);
    }
    if let [Some(tasks), _, Some(dead_tasks)] = &found[..] {
        check_redrive(&mut report, tasks, dead_tasks);
    }
    if let Some(table) = table {
        check_table(&mut report, &clients.dynamodb, &table).await;
    }
    for group in group_names(groups.as_deref().unwrap_or_default()) {
        check_group(&mut report, &clients.autoscaling, group).await;
    }
    let set = |name: &str| var(name).filter(|value| !value.is_empty());
    if let Some(queue) = set(EVENT_QUEUE).filter(|_| has_groups) {
        check_events(&mut report, &clients.sqs, &queue).await;
    }
    if let Some(group) = set(GROUP).filter(|_| role == Role::Worker) {
        let hook = set(HOOK).unwrap_or_else(|| DEFAULT_HOOK.to_owned());
        check_lifecycle(&mut report, &clients.autoscaling, &Lifecycle { group, hook }).await;
    }
    report.findings()
}

/// Like [`check`], for the programs themselves: writes a line or two for each finding, and returns the status to end with, as
/// [`Verdict::status`] says.
pub async fn write_check(role: Role, var: impl Fn(&str) -> Option<String>, out: &mut impl Write) -> io::Result<u8> {
    let findings = check(role, var).await;
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    Ok(findings.iter().map(|finding| finding.verdict).max().map_or(0, Verdict::status))
}

/// The queues that a role uses, and what it does with them.
fn queues_of(role: Role, tasks: Option<String>, reports: Option<String>, dead: Option<String>) -> Vec<Queue> {
    let is_manager = role == Role::Manager;
    let queue = |setting, name: Option<String>, sends, receives| Queue { setting, name, sends, receives };
    let both = [queue(TASK_QUEUE, tasks, is_manager, !is_manager), queue(REPORT_QUEUE, reports, true, is_manager)];
    let dead = is_manager.then(|| queue(DEAD_TASK_QUEUE, dead, false, true));
    both.into_iter().chain(dead).collect()
}

/// How far this machine's clock may be off before it is said; AWS refuses requests that are off by 15 minutes.
const MAX_SKEW: Duration = Duration::from_secs(300);

/// An answer that shows that the request was let through, although it asked for nothing that can be done.
fn let_through<T>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if error.kind == crate::ErrorKind::Invalid => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_missing_setting_is_a_line_of_its_own() {
        let set = |name: &str| (name == BUCKET).then(String::new);
        let findings = check(Role::Manager, set).await;
        let wrong = |name: &str| findings.iter().any(|found| found.name == name && found.verdict == Verdict::Wrong);
        for name in [BUCKET, TASK_QUEUE, REPORT_QUEUE, DEAD_TASK_QUEUE, TABLE] {
            assert!(wrong(name), "{name}: {findings:?}");
        }
        let of_a_fleet = |name: &str| (name == FLEET).then(|| AWS_FLEET.to_owned());
        let findings = check(Role::Manager, of_a_fleet).await;
        assert!(findings.iter().any(|found| found.name == GROUPS && found.verdict == Verdict::Wrong), "{findings:?}");
        let findings = check(Role::Worker, set).await;
        assert!(findings.iter().all(|found| found.name != TABLE && found.name != DEAD_TASK_QUEUE), "{findings:?}");
    }
}
