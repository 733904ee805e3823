//! Leases: what workers leave behind when they go (E7).

use std::time::Duration;

use grid_core::wire::TaskMessage;
use infra::queue::{Receipt, Received};
use tokio::time::Instant;

use super::Watch;
use crate::net::ActorId;
use crate::world::LEASE;

impl Watch {
    /// A worker is told to go.
    pub fn told_to_go(&mut self, actor: ActorId) {
        self.going.entry(actor).or_insert_with(Instant::now);
    }

    /// Another life of an actor begins. What it asked of the queue in the last one may still bring something: to nobody.
    pub fn begins(&mut self, actor: ActorId) {
        self.begun_at.insert(actor, Instant::now());
        self.going.remove(&actor);
        self.leases.retain(|(of, _), _| *of != actor);
    }

    /// A task was received: whoever had the same message has it no more.
    pub(super) fn leased(&mut self, actor: ActorId, received: &Received) {
        self.leases.retain(|_, body| *body != received.body);
        if self.begun_at.get(&actor).is_some_and(|begun| begun.elapsed() >= LEASE) {
            self.leases.insert((actor, received.receipt.clone()), received.body.clone());
        }
    }

    /// Leases were extended, or ended: at once by whoever goes, and after a while by whoever stays.
    pub(super) fn gave_back(&mut self, actor: ActorId, receipts: &[Receipt], lease: Duration) {
        let is_put_off = lease > LEASE && !self.going.contains_key(&actor);
        if lease.is_zero() || is_put_off {
            receipts.iter().for_each(|receipt| _ = self.leases.remove(&(actor, receipt.clone())));
        }
    }

    /// A worker has gone as it was told: whatever it had and nobody has done is there for others at once (E7).
    pub fn has_gone(&mut self, actor: ActorId) {
        let Some(since) = self.going.get(&actor).copied() else { return };
        let of_it = self.leases.iter().filter(|((of, _), _)| *of == actor);
        let tasks: Vec<TaskMessage> = of_it.filter_map(|(_, body)| serde_json::from_str(body).ok()).collect();
        let is_open =
            |task: &&TaskMessage| !self.is_settled(&((task.job.clone(), task.stage.clone(), task.key()), task.round));
        let left = tasks.iter().find(is_open).filter(|_| self.is_well_since(actor, since));
        if let Some(task) = left {
            self.violated("E7", format!("a worker has gone with the lease of {} {}", task.stage, task.key()));
        }
    }
}
