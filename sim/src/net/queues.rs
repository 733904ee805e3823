//! The ways to the three queues.

use std::time::Duration;

use async_trait::async_trait;
use infra::Result;
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use tokio::sync::oneshot;

use super::release::{Release, is_newer};
use super::{Fate, Link, Net, no_answer};
use crate::tally::Event;

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueName {
    /// Task messages.
    Tasks,
    /// Those that were received too often.
    DeadTasks,
    /// Reports.
    Reports,
}

impl QueueName {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::DeadTasks => "dead tasks",
            Self::Reports => "reports",
        }
    }
}

/// The way to one queue.
#[derive(Debug)]
pub(super) struct QueueLink {
    link: Link,
    name: QueueName,
}

impl Link {
    pub(super) fn queue(&self, name: QueueName) -> QueueLink {
        QueueLink { link: self.clone(), name }
    }
}

impl QueueLink {
    /// What its actor makes of what it received.
    fn heard(&self, mut received: Vec<Received>) -> Vec<Received> {
        for message in &mut received {
            if self.link.release == Release::This && is_newer(&message.body) {
                self.link.net.note(Event::NewerMessage);
            }
            message.body = self.link.release.hears(&message.body);
        }
        received
    }
}

impl Net {
    pub(super) fn queue(&self, name: QueueName) -> &dyn TaskQueue {
        match name {
            QueueName::Tasks => self.truth.tasks.as_ref(),
            QueueName::DeadTasks => self.truth.dead_tasks.as_ref(),
            QueueName::Reports => self.truth.reports.as_ref(),
        }
    }
}

#[async_trait]
impl TaskQueue for QueueLink {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        let (net, actor, name) = (self.link.net.clone(), self.link.actor, self.name);
        let bodies: Vec<String> = bodies.iter().map(|body| self.link.release.says(name, body)).collect();
        self.link
            .call(async move {
                let done = net.queue(name).send(&bodies).await;
                net.watch(|watch| watch.saw_send(actor, name, &bodies, &done));
                net.sent(done)
            })
            .await
    }

    /// A receive goes on without its caller: what it brings is leased to nobody.
    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        let (net, actor, name) = (self.link.net.clone(), self.link.actor, self.name);
        if !net.is_looked_at(name) {
            tokio::time::sleep(wait).await;
            return Ok(Vec::new());
        }
        let link = self.link.clone();
        let receive = async move {
            let done = net.queue(name).receive(max, lease, wait).await;
            net.watch(|watch| watch.saw_receive(actor, name, &done));
            if let Ok(received) = &done
                && net.deletes_on_receive(name)
            {
                link.delete_received(name, received).await;
            }
            done
        };
        let net = &self.link.net;
        net.thawed(self.link.actor).await;
        let answer = match net.fate(self.link.actor) {
            Fate::Plain { .. } | Fate::Late(_) => {
                let (answer, answered) = oneshot::channel();
                net.under_way.spawn(async move { drop(answer.send(receive.await)) });
                answered.await.unwrap_or_else(|_| Err(no_answer()))
            }
            // A receive that is slow is a receive whose leases have begun long before its caller knows.
            Fate::Slow { request: _, response } => {
                let response = response.min(super::CALL_TIMEOUT / 2);
                self.link.ask(Duration::ZERO, receive, response).await
            }
            Fate::AnswerLost | Fate::CutOff { is_applied: true } => {
                net.note(Event::AnswerLost);
                self.link.send_off(Duration::ZERO, receive);
                tokio::time::sleep(super::CALL_TIMEOUT / 4).await;
                Err(no_answer())
            }
            Fate::CallLost | Fate::Throttled | Fate::CutOff { is_applied: false } => {
                net.note(Event::CallLost);
                tokio::time::sleep(super::CALL_TIMEOUT / 4).await;
                Err(no_answer())
            }
            Fate::Death { is_applied } => {
                if is_applied {
                    self.link.send_off(Duration::ZERO, receive);
                }
                net.doom(self.link.actor);
                std::future::pending().await
            }
        };
        net.thawed(self.link.actor).await;
        answer.map(|received| self.heard(received))
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        let (net, actor, name, receipts) = (self.link.net.clone(), self.link.actor, self.name, receipts.to_vec());
        let is_undone = net.chance(|weather| weather.delete_undone);
        self.link
            .call(async move {
                if is_undone {
                    net.note(Event::DeleteUndone);
                    return Ok(receipts.iter().map(|_| Ok(())).collect());
                }
                let done = net.queue(name).delete(&receipts).await;
                net.watch(|watch| watch.saw_acknowledge(actor, name, &receipts, &done));
                done
            })
            .await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        let (net, actor, name, receipts) = (self.link.net.clone(), self.link.actor, self.name, receipts.to_vec());
        if !net.extends(lease) {
            return Ok(receipts.iter().map(|_| Ok(())).collect());
        }
        self.link
            .call(async move {
                let done = net.queue(name).extend(&receipts, lease).await;
                net.watch(|watch| watch.saw_extend(actor, name, (&receipts, lease), &done));
                done
            })
            .await
    }

    async fn depth(&self) -> Result<Depth> {
        let (net, actor, name) = (self.link.net.clone(), self.link.actor, self.name);
        let is_old = net.chance(|weather| weather.old_depth);
        self.link
            .call(async move {
                let done = net.queue(name).depth().await;
                net.watch(|watch| watch.saw_depth(actor, name, is_old, done)).map(|depth| net.depth(depth))
            })
            .await
    }
}
