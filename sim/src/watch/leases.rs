//! Leases: what workers leave behind when they go (E7).

use std::time::Duration;

use grid_core::wire::TaskMessage;
use infra::queue::{Receipt, Received};
use tokio::time::Instant;

use super::Watch;
use crate::net::ActorId;
use crate::world::LEASE;

/// A message that a worker has in hand.
#[derive(Debug)]
pub(super) struct Lease {
    body: String,
    since: Instant,
}

impl Watch {
    /// A worker is told to go.
    pub fn told_to_go(&mut self, actor: ActorId) {
        self.going.insert(actor);
    }

    /// Another life of an actor begins. What it asked of the queue in the last one may still bring something: to nobody.
    pub fn begins(&mut self, actor: ActorId) {
        self.begun_at.insert(actor, Instant::now());
        self.going.remove(&actor);
        self.leases.retain(|(of, _), _| *of != actor);
    }

    /// A task was received: whoever had the same message has it no more.
    pub(super) fn leased(&mut self, actor: ActorId, received: &Received) {
        self.leases.retain(|_, lease| lease.body != received.body);
        if self.begun_at.get(&actor).is_some_and(|begun| begun.elapsed() >= LEASE) {
            let lease = Lease { body: received.body.clone(), since: Instant::now() };
            self.leases.insert((actor, received.receipt.clone()), lease);
        }
    }

    /// Leases were extended, or ended: at once by whoever goes, and after a while by whoever stays.
    pub(super) fn gave_back(&mut self, actor: ActorId, receipts: &[Receipt], lease: Duration) {
        let is_put_off = lease > LEASE && !self.going.contains(&actor);
        if lease.is_zero() || is_put_off {
            receipts.iter().for_each(|receipt| _ = self.leases.remove(&(actor, receipt.clone())));
        }
    }

    /// A worker has gone as it was told: whatever it had and nobody has done is there for others at once (E7).
    pub fn has_gone(&mut self, actor: ActorId) {
        if !self.going.contains(&actor) {
            return;
        }
        // Who was not well while it had a task may have given it back by a call that was lost.
        let of_it =
            self.leases.iter().filter(|((of, _), lease)| *of == actor && self.is_well_since(actor, lease.since));
        let mut tasks = of_it.filter_map(|(_, lease)| serde_json::from_str::<TaskMessage>(&lease.body).ok());
        let is_open =
            |task: &TaskMessage| !self.is_settled(&((task.job.clone(), task.stage.clone(), task.key()), task.round));
        if let Some(task) = tasks.find(is_open) {
            self.violated("E7", format!("a worker has gone with the lease of {} {}", task.stage, task.key()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::advance;

    use super::*;

    fn message() -> Received {
        let task = json!({
            "v": 1, "job": "j", "stage": "s", "first": 0, "count": 1, "attempt": 1, "failures": 0,
            "keys": {"items": {"stage": "s", "first": 0, "count": 1}}, "inputs": "plan",
        });
        Received { body: task.to_string(), receipt: Receipt("r".into()), receives: 1 }
    }

    /// Seeds 1369739 and 1447196: what a worker did to give a task back may have been lost before it was told to go.
    #[tokio::test(start_paused = true)]
    async fn who_was_well_since_it_took_a_task_does_not_go_with_it() {
        for (is_well, violations) in [(true, 1), (false, 0)] {
            let (mut watch, worker) = (Watch::new(false), ActorId(0));
            watch.name(worker, "worker");
            watch.begins(worker);
            advance(LEASE).await;
            watch.leased(worker, &message());
            advance(Duration::from_secs(1)).await;
            if !is_well {
                watch.troubled_until(worker, Instant::now());
            }
            advance(Duration::from_secs(1)).await;
            watch.told_to_go(worker);
            watch.has_gone(worker);
            assert_eq!(watch.violations().len(), violations, "{:?}", watch.violations());
        }
    }
}
