//! Queues of others in SQS: those that the grid's owner allows, and never the grid's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_sqs::Client;

use super::Notifier;
use crate::queue::{SqsQueue, TaskQueue};
use crate::{Error, ErrorKind, Result};

/// Sends to the queues of one account and region that are allowed.
#[derive(Debug)]
pub struct SqsNotifier {
    client: Client,
    allowed: Vec<String>,
    own: Vec<String>,
    base: String,
    open: Mutex<BTreeMap<String, Arc<SqsQueue>>>,
}

impl SqsNotifier {
    /// `allowed` are names, URLs or ARNs as pipelines may write them; one that ends in `*` allows all that begin so. `own`
    /// are the URLs of the grid's own queues. `base` is the URI that the keys of objects are relative to, with its slash.
    pub fn new(client: Client, allowed: Vec<String>, own: Vec<String>, base: String) -> Self {
        Self { client, allowed, own, base, open: Mutex::default() }
    }

    async fn open(&self, queue: &str) -> Result<Arc<SqsQueue>> {
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(queue) {
            return Ok(open.clone());
        }
        let opened = SqsQueue::open(self.client.clone(), name_or_url(queue)?).await?;
        if self.own.iter().any(|own| place(own) == place(opened.url())) {
            return Err(Error::new(ErrorKind::Invalid, format!("`{queue}` is a queue of the grid itself")));
        }
        let opened = Arc::new(opened);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(queue.to_owned(), opened.clone());
        Ok(opened)
    }
}

#[async_trait]
impl Notifier for SqsNotifier {
    fn admits(&self, queue: &str) -> Result<()> {
        let is_allowed = |allowed: &String| match allowed.strip_suffix('*') {
            Some(prefix) => queue.starts_with(prefix),
            None => queue == allowed,
        };
        if self.allowed.iter().any(is_allowed) {
            return name_or_url(queue).map(drop);
        }
        let context = format!(
            "`{queue}` is not among the queues that this grid may notify: its owner lists them in GRIDMILL_NOTIFY_QUEUES"
        );
        Err(Error::new(ErrorKind::Invalid, context))
    }

    async fn send(&self, queue: &str, events: &[String]) -> Result<Vec<Result<()>>> {
        self.admits(queue)?;
        self.open(queue).await?.send(events).await
    }

    fn uri(&self, key: &str) -> String {
        format!("{}{key}", self.base)
    }
}

/// What a queue is opened by: of an ARN, its name.
fn name_or_url(queue: &str) -> Result<&str> {
    let name = if queue.starts_with("arn:") { queue.rsplit(':').next().unwrap_or_default() } else { queue };
    if name.is_empty() || name.ends_with(".fifo") {
        let context = format!("`{queue}` is no standard queue: events go to standard queues only");
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(name)
}

/// Account and name of a queue, whatever host its URL names.
fn place(url: &str) -> Vec<&str> {
    url.trim_end_matches('/').rsplit('/').take(2).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::config::{BehaviorVersion, Config};

    use super::*;

    fn notifier(allowed: &[&str]) -> SqsNotifier {
        let client = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
        let own = vec!["http://127.0.0.1:4566/000000000000/gridmill-tasks".to_owned()];
        SqsNotifier::new(client, allowed.iter().map(|name| (*name).to_owned()).collect(), own, "s3://bucket/".into())
    }

    #[test]
    fn only_what_is_listed_is_admitted() {
        let some = notifier(&["orders", "arn:aws:sqs:us-east-1:000000000000:done-*"]);
        for queue in ["orders", "arn:aws:sqs:us-east-1:000000000000:done-a"] {
            some.admits(queue).unwrap();
        }
        for queue in ["orders2", "done-a", "https://sqs.us-east-1.amazonaws.com/000000000000/orders", ""] {
            assert_eq!(some.admits(queue).unwrap_err().kind, ErrorKind::Invalid, "{queue}");
        }
        assert!(notifier(&[]).admits("orders").is_err(), "without a list nothing is");
        assert!(notifier(&["*"]).admits("orders.fifo").is_err());
    }

    #[tokio::test]
    async fn the_grids_own_queues_are_refused_by_whatever_host_they_are_named() {
        let all = notifier(&["*"]);
        for url in
            ["http://127.0.0.1:4566/000000000000/gridmill-tasks", "https://sqs.example/000000000000/gridmill-tasks/"]
        {
            let refused = all.send(url, &["{}".to_owned()]).await.unwrap_err();
            assert!(refused.kind == ErrorKind::Invalid && refused.to_string().contains("the grid itself"), "{refused}");
        }
    }
}
