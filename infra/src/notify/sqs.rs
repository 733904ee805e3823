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
        let client = self.client.clone();
        let opened = match self.named(queue)? {
            Named::Here(name_or_url) => SqsQueue::open(client, name_or_url).await?,
            Named::Of { account, name } => SqsQueue::of_account(client, account, name).await?,
        };
        if self.own.iter().any(|own| place(own) == place(opened.url())) {
            return Err(of_the_grid(queue));
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
            return match self.named(queue)?.is(&self.own) {
                true => Err(of_the_grid(queue)),
                false => Ok(()),
            };
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

/// What a queue is opened by.
#[derive(Debug, PartialEq, Eq)]
enum Named<'queue> {
    /// Its URL, or its name in our account.
    Here(&'queue str),
    /// Its name in an account, as an ARN says.
    Of { account: &'queue str, name: &'queue str },
}

impl Named<'_> {
    /// Whether it is one of these, by their URLs.
    fn is(&self, urls: &[String]) -> bool {
        urls.iter().any(|url| match *self {
            Self::Here(name_or_url) if name_or_url.contains("://") => place(name_or_url) == place(url),
            Self::Here(name) => place(url).first() == Some(&name),
            Self::Of { account, name } => place(url) == [name, account],
        })
    }
}

fn of_the_grid(queue: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("`{queue}` is a queue of the grid itself"))
}

impl SqsNotifier {
    fn named<'queue>(&self, queue: &'queue str) -> Result<Named<'queue>> {
        let refused = |why: String| Err(Error::new(ErrorKind::Invalid, why));
        if queue.is_empty() || queue.ends_with(".fifo") {
            return refused(format!("`{queue}` is no standard queue: events go to standard queues only"));
        }
        if !queue.starts_with("arn:") {
            return Ok(Named::Here(queue));
        }
        let parts: Vec<&str> = queue.split(':').collect();
        let [_, _, "sqs", region, account, name] = parts[..] else {
            return refused(format!("`{queue}` is no ARN of a queue: arn:aws:sqs:REGION:ACCOUNT:NAME"));
        };
        match self.client.config().region().map(AsRef::as_ref) {
            Some(own) if own != region => {
                refused(format!("`{queue}` lies in another region than the grid, which is in {own}"))
            }
            Some(_) | None => Ok(Named::Of { account, name }),
        }
    }
}

/// Account and name of a queue, whatever host its URL names.
fn place(url: &str) -> Vec<&str> {
    url.trim_end_matches('/').rsplit('/').take(2).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::config::{BehaviorVersion, Config, Region};

    use super::*;

    fn notifier(allowed: &[&str]) -> SqsNotifier {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
        let client = Client::from_conf(config.build());
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

    #[test]
    fn an_arn_means_the_queue_of_its_account_and_region() {
        let all = notifier(&["*"]);
        let (account, name) = ("210987654321", "orders");
        assert_eq!(all.named("arn:aws:sqs:us-east-1:210987654321:orders").unwrap(), Named::Of { account, name });
        assert_eq!(all.named("orders").unwrap(), Named::Here("orders"));
        for wrong in ["arn:aws:sqs:eu-west-1:210987654321:orders", "arn:aws:sns:us-east-1:210987654321:orders", "arn:x"]
        {
            assert_eq!(all.admits(wrong).unwrap_err().kind, ErrorKind::Invalid, "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_grids_own_queues_are_refused_by_whatever_host_they_are_named() {
        let all = notifier(&["*"]);
        let names = [
            "http://127.0.0.1:4566/000000000000/gridmill-tasks",
            "https://sqs.example/000000000000/gridmill-tasks/",
            "gridmill-tasks",
            "arn:aws:sqs:us-east-1:000000000000:gridmill-tasks",
        ];
        for name in names {
            for refused in [all.admits(name).unwrap_err(), all.send(name, &["{}".to_owned()]).await.unwrap_err()] {
                let words = refused.to_string();
                assert!(refused.kind == ErrorKind::Invalid && words.contains("the grid itself"), "{words}");
            }
        }
        all.admits("arn:aws:sqs:us-east-1:210987654321:gridmill-tasks").unwrap();
    }
}
