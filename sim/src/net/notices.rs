//! The way to the queues of others.

use async_trait::async_trait;
use infra::Result;
use infra::notify::Notifier;

use super::Link;

#[async_trait]
impl Notifier for Link {
    fn admits(&self, queue: &str) -> Result<()> {
        self.net.truth.notifier.admits(queue)
    }

    async fn send(&self, queue: &str, events: &[String]) -> Result<Vec<Result<()>>> {
        let (net, actor, queue, events) = (self.net.clone(), self.actor, queue.to_owned(), events.to_vec());
        self.call(async move {
            let done = net.truth.notifier.send(&queue, &events).await;
            net.watch(|watch| watch.saw_events(actor, &queue, &events, &done));
            done
        })
        .await
    }

    fn uri(&self, key: &str) -> String {
        self.net.truth.notifier.uri(key)
    }
}
