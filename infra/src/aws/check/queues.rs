//! The queues: rights, found out by requests that ask for nothing, and their settings.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, QueueAttributeName};
use grid_core::limits::{MAX_RECEIVES, QUEUE_BATCH, QUEUE_RETENTION};
use serde::Deserialize;

use super::report::Report;
use super::{Role, let_through};
use crate::aws::error::failed;
use crate::aws::settings::EVENT_QUEUE;
use crate::queue::SqsQueue;
use crate::{Error, ErrorKind, Result};

/// A queue of a role.
pub(super) struct Queue {
    pub(super) setting: &'static str,
    /// A name or a URL; `None` where the setting is missing, which was said.
    pub(super) name: Option<String>,
    pub(super) sends: bool,
    pub(super) receives: bool,
}

/// A queue's own settings.
pub(super) type Attributes = HashMap<QueueAttributeName, String>;

/// What the task queue's redrive policy says. The number comes as a number or as text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

/// Looks at one queue; gives its settings where they could be seen.
pub(super) async fn check_queue(report: &mut Report, client: &Client, role: Role, queue: &Queue) -> Option<Attributes> {
    let (place, url) = check_rights(report, client, queue).await?;
    if role == Role::Worker {
        return None;
    }
    let attributes = check_sight(report, &place, &Rights { client, url: &url }).await?;
    check_settings(report, &place, &attributes);
    Some(attributes)
}

/// Looks at the queue by which EventBridge tells the manager of machines that go.
pub(super) async fn check_events(report: &mut Report, client: &Client, name: &str) {
    let queue = Queue { setting: EVENT_QUEUE, name: Some(name.to_owned()), sends: false, receives: true };
    let Some((place, url)) = check_rights(report, client, &queue).await else { return };
    let Some(attributes) = check_sight(report, &place, &Rights { client, url: &url }).await else { return };
    check_senders(report, &format!("{place}, senders"), &attributes);
}

/// Without events machines that go are noticed later, and nothing is lost.
fn check_senders(report: &mut Report, what: &str, attributes: &Attributes) {
    const EVENT_BRIDGE: &str = "events.amazonaws.com";
    if attribute(attributes, &QueueAttributeName::Policy).contains(EVENT_BRIDGE) {
        report.ok(what, "EventBridge may send");
    } else {
        let advice =
            format!("allow {EVENT_BRIDGE} sqs:SendMessage in the queue's policy, for the rules that name this queue");
        report.advise(what, "the queue's policy lets EventBridge send nothing", advice);
    }
}

/// What is said of a queue, and its URL, if it is there and all that its role needs is allowed.
async fn check_rights(report: &mut Report, client: &Client, queue: &Queue) -> Option<(String, String)> {
    let name = queue.name.as_deref()?;
    let place = format!("queue {name}");
    let remedy = format!("create it, or correct {}; to find a queue by its name takes sqs:GetQueueUrl", queue.setting);
    let found = SqsQueue::open(client.clone(), name).await;
    let url = report.judge(&place, found, |found| found.url().to_owned(), &remedy)?.url().to_owned();
    let rights = Rights { client, url: &url };
    if queue.sends {
        report.right(&format!("{place}, send"), rights.send().await, "sqs:SendMessage")?;
    }
    if queue.receives {
        report.right(&format!("{place}, receive"), rights.receive().await, "sqs:ReceiveMessage")?;
        report.right(&format!("{place}, delete"), rights.delete().await, "sqs:DeleteMessage")?;
    }
    Some((place, url))
}

async fn check_sight(report: &mut Report, place: &str, rights: &Rights<'_>) -> Option<Attributes> {
    let seen = |seen: &Attributes| {
        format!("{} messages wait", attribute(seen, &QueueAttributeName::ApproximateNumberOfMessages))
    };
    let attributes = rights.attributes().await;
    report.judge(&format!("{place}, settings"), attributes, seen, "grant sqs:GetQueueAttributes")
}

/// Requests that show whether they are allowed, and change nothing: the service refuses what they ask for.
struct Rights<'a> {
    client: &'a Client,
    url: &'a str,
}

impl Rights<'_> {
    /// A batch of nothing.
    async fn send(&self) -> Result<()> {
        let request = self.client.send_message_batch().queue_url(self.url).set_entries(Some(Vec::new()));
        let_through(request.send().await.map_err(|error| failed("send", error)))
    }

    /// More messages than a receive can have: one that is received is a step closer to the dead ones.
    async fn receive(&self) -> Result<()> {
        let request = self.client.receive_message().queue_url(self.url).max_number_of_messages(QUEUE_BATCH as i32 + 1);
        let_through(request.send().await.map_err(|error| failed("receive", error)))
    }

    /// By a receipt that nobody was given.
    async fn delete(&self) -> Result<()> {
        let entry = DeleteMessageBatchRequestEntry::builder().id("0").receipt_handle("none").build();
        let entry = entry.map_err(|cause| Error::caused(ErrorKind::Invalid, "failed to build an entry", cause))?;
        let request = self.client.delete_message_batch().queue_url(self.url).entries(entry);
        let_through(request.send().await.map_err(|error| failed("delete", error)))
    }

    async fn attributes(&self) -> Result<Attributes> {
        let request = self.client.get_queue_attributes().queue_url(self.url);
        let found = request.attribute_names(QueueAttributeName::All).send().await;
        Ok(found.map_err(|error| failed("read the settings", error))?.attributes.unwrap_or_default())
    }
}

fn check_settings(report: &mut Report, place: &str, attributes: &Attributes) {
    let name = format!("{place}, retention");
    let kept: u64 = attribute(attributes, &QueueAttributeName::MessageRetentionPeriod).parse().unwrap_or_default();
    let days = kept / 86_400;
    if kept >= QUEUE_RETENTION.as_secs() {
        report.ok(&name, format!("{days} days"));
    } else {
        let advice =
            "set MessageRetentionPeriod to 1209600: messages of a job that is paused for longer are made again";
        report.advise(&name, format!("{days} days, less than 14"), advice);
    }
    if attribute(attributes, &QueueAttributeName::FifoQueue) == "true" {
        report.wrong(
            place,
            "it is a FIFO queue",
            "use a standard queue: gridmill relies on no order, and needs its throughput",
        );
    }
}

/// Whether tasks that kill their workers end in the queue that the manager reads.
pub(super) fn check_redrive(report: &mut Report, tasks: &Attributes, dead_tasks: &Attributes) {
    const NAME: &str = "redrive of tasks";
    let wanted = attribute(dead_tasks, &QueueAttributeName::QueueArn);
    let remedy = format!(
        "set RedrivePolicy of the task queue to {{\"deadLetterTargetArn\": \"{wanted}\", \"maxReceiveCount\": {MAX_RECEIVES}}}"
    );
    let Ok(redrive) = serde_json::from_str::<Redrive>(attribute(tasks, &QueueAttributeName::RedrivePolicy)) else {
        return report.wrong(NAME, "tasks that kill their workers come again for ever", remedy);
    };
    let receives = match &redrive.max_receive_count {
        serde_json::Value::String(text) => text.parse().unwrap_or_default(),
        other => other.as_u64().unwrap_or_default(),
    };
    if redrive.dead_letter_target_arn != wanted {
        let seen = format!("dead tasks go to {}, which the manager does not read", redrive.dead_letter_target_arn);
        report.wrong(NAME, seen, remedy);
    } else if receives < u64::from(MAX_RECEIVES) {
        report.advise(NAME, format!("after {receives} receives: machines that are taken away use them up"), remedy);
    } else {
        report.ok(NAME, format!("after {receives} receives"));
    }
}

fn attribute<'a>(attributes: &'a Attributes, name: &QueueAttributeName) -> &'a str {
    attributes.get(name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::check::Verdict;

    fn verdict(policy: &str) -> Verdict {
        let mut report = Report::default();
        let tasks = Attributes::from([(QueueAttributeName::RedrivePolicy, policy.to_owned())]);
        let dead = Attributes::from([(QueueAttributeName::QueueArn, "arn:dead".to_owned())]);
        check_redrive(&mut report, &tasks, &dead);
        report.findings().remove(0).verdict
    }

    #[test]
    fn dead_tasks_must_go_where_the_manager_reads_them() {
        assert_eq!(verdict(""), Verdict::Wrong);
        assert_eq!(verdict(r#"{"deadLetterTargetArn":"arn:other","maxReceiveCount":5}"#), Verdict::Wrong);
        assert_eq!(verdict(r#"{"deadLetterTargetArn":"arn:dead","maxReceiveCount":"1"}"#), Verdict::Advice);
        let enough = format!(r#"{{"deadLetterTargetArn":"arn:dead","maxReceiveCount":"{MAX_RECEIVES}"}}"#);
        assert_eq!(verdict(&enough), Verdict::Ok);
    }

    #[test]
    fn events_come_only_where_event_bridge_may_send() {
        let verdict = |policy: &str| {
            let mut report = Report::default();
            let attributes = Attributes::from([(QueueAttributeName::Policy, policy.to_owned())]);
            check_senders(&mut report, "senders", &attributes);
            report.findings().remove(0).verdict
        };
        assert_eq!(verdict(r#"{"Statement":[{"Principal":{"Service":"events.amazonaws.com"}}]}"#), Verdict::Ok);
        assert_eq!((verdict(""), verdict(r#"{"Statement":[]}"#)), (Verdict::Advice, Verdict::Advice));
    }

    #[test]
    fn a_queue_that_orders_or_forgets_is_told() {
        let verdicts = |kept: &str, fifo: &str| {
            let mut report = Report::default();
            let attributes = Attributes::from([
                (QueueAttributeName::MessageRetentionPeriod, kept.to_owned()),
                (QueueAttributeName::FifoQueue, fifo.to_owned()),
            ]);
            check_settings(&mut report, "queue q", &attributes);
            report.findings().iter().map(|found| found.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts("1209600", ""), [Verdict::Ok]);
        assert_eq!(verdicts("345600", "true"), [Verdict::Advice, Verdict::Wrong]);
    }
}
