//! Queues of others: those of SQS, by name, URL and ARN.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use infra::contract::notify::Fresh;
use infra::notify::{Notifier, SqsNotifier};
use infra::queue::{SqsQueue, TaskQueue};

/// What an owner does not wait longer for.
const POLL: Duration = Duration::from_secs(20);
const LEASE: Duration = Duration::from_secs(60);

/// A notifier that admits one queue by its name and another one by its ARN, and neither the grid's own nor a third one.
pub async fn fresh() -> Fresh {
    let clients = crate::clients().await;
    let [named, by_arn, own, third] = [(); 4].map(|()| crate::unique());
    for name in [&named, &by_arn, &own, &third] {
        clients.sqs.create_queue().queue_name(name).send().await.unwrap();
    }
    let arn = arn_of(&clients.sqs, &by_arn).await;
    let own_url = SqsQueue::open(clients.sqs.clone(), &own).await.unwrap().url().to_owned();
    let allowed = vec![named.clone(), arn.clone(), own.clone()];
    let notifier = SqsNotifier::new(clients.sqs.clone(), allowed, vec![own_url], "s3://bucket/grid/".to_owned());
    let notifier: Arc<dyn Notifier> = Arc::new(notifier);
    let sqs = clients.sqs.clone();
    // The name of an ARN is not admitted: the owner has listed the ARN.
    let refused = vec![own, third, by_arn, "no-such-queue".to_owned()];
    let read = move |queue: String, count: usize| {
        let sqs = sqs.clone();
        let reading: futures::future::BoxFuture<'static, Vec<String>> = Box::pin(read(sqs, queue, count));
        reading
    };
    Fresh { notifier, admitted: [named, arn], refused, read: Box::new(read) }
}

async fn arn_of(sqs: &Client, name: &str) -> String {
    let url = SqsQueue::open(sqs.clone(), name).await.unwrap().url().to_owned();
    let asked = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    asked.send().await.unwrap().attributes().unwrap()[&QueueAttributeName::QueueArn].clone()
}

/// As the queue's owner reads it: in batches, each deleted once it was read.
async fn read(sqs: Client, queue: String, count: usize) -> Vec<String> {
    let name = queue.rsplit(':').next().unwrap();
    let queue = SqsQueue::open(sqs, name).await.unwrap();
    let mut events = Vec::new();
    while events.len() < count {
        let received = queue.receive(10, LEASE, POLL).await.unwrap();
        assert!(!received.is_empty(), "{} of {count} events arrived in {name}", events.len());
        let receipts: Vec<_> = received.iter().map(|message| message.receipt.clone()).collect();
        events.extend(received.into_iter().map(|message| message.body));
        for answer in queue.delete(&receipts).await.unwrap() {
            answer.unwrap();
        }
    }
    assert_eq!(queue.receive(1, LEASE, Duration::ZERO).await.unwrap(), [], "nothing more");
    events
}
