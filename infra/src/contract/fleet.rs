//! What every fleet must do. A check waits for what a fleet may show late.

use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{GroupName, MachineId};
use tokio::time::sleep;

use super::kind;
use crate::ErrorKind;
use crate::fleet::{Fleet, Sight, Then};

/// A fleet without machines.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The fleet.
    pub fleet: Arc<dyn Fleet>,
    /// A group of it, which may have at least 3 machines.
    pub group: GroupName,
}

/// Calls a macro with some arguments in brackets and the names of all checks.
#[macro_export]
#[doc(hidden)]
macro_rules! fleet_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            a_fleet_begins_empty
            what_was_asked_for_shows
            a_repeat_asks_for_more
            a_machine_that_is_ended_leaves_and_is_gone
            one_that_is_replaced_has_a_successor
            what_is_unknown_cannot_be_ended
            an_unknown_group_has_no_machines
        }
    };
}

macro_rules! named {
    ([$fixture:ty] $($check:ident)*) => { super::suite! { $fixture: $($check)* } };
}
fleet_checks!(named![Fresh]);

/// Looks again until it is so; a fleet that never comes to it ends the test by the runner's patience.
async fn until(fleet: &dyn Fleet, is: impl Fn(&Sight) -> bool) -> Sight {
    loop {
        let sight = fleet.look().await.unwrap();
        if is(&sight) {
            return sight;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn staying(sight: &Sight) -> Vec<&MachineId> {
    sight.machines.iter().filter(|machine| !machine.is_leaving).map(|machine| &machine.id).collect()
}

async fn a_fleet_begins_empty(fresh: Fresh) {
    let sight = fresh.fleet.look().await.unwrap();
    assert_eq!((sight.machines, sight.unfilled, sight.refused), (vec![], vec![], vec![]));
}

async fn what_was_asked_for_shows(fresh: Fresh) {
    fresh.fleet.launch(&fresh.group, 2).await.unwrap();
    let sight = until(&*fresh.fleet, |sight| sight.machines.len() == 2).await;
    assert!(sight.machines.iter().all(|machine| machine.group == fresh.group && machine.requested_ms > 0));
    assert_ne!(sight.machines[0].id, sight.machines[1].id);
    assert_eq!(sight.unfilled.iter().map(|(_, machines)| machines).sum::<u32>(), 0);
}

async fn a_repeat_asks_for_more(fresh: Fresh) {
    fresh.fleet.launch(&fresh.group, 1).await.unwrap();
    fresh.fleet.launch(&fresh.group, 2).await.unwrap();
    until(&*fresh.fleet, |sight| sight.machines.len() == 3).await;
}

async fn a_machine_that_is_ended_leaves_and_is_gone(fresh: Fresh) {
    fresh.fleet.launch(&fresh.group, 2).await.unwrap();
    let sight = until(&*fresh.fleet, |sight| sight.machines.len() == 2).await;
    let (goes, stays) = (sight.machines[0].id.clone(), sight.machines[1].id.clone());
    fresh.fleet.terminate(&goes, Then::Shrink).await.unwrap();
    let after = fresh.fleet.look().await.unwrap();
    assert_eq!(staying(&after), [&stays]);
    let gone = until(&*fresh.fleet, |sight| sight.machines.iter().all(|machine| machine.id != goes)).await;
    assert_eq!((staying(&gone), gone.refused.len()), (vec![&stays], 0));
}

async fn one_that_is_replaced_has_a_successor(fresh: Fresh) {
    fresh.fleet.launch(&fresh.group, 1).await.unwrap();
    let sight = until(&*fresh.fleet, |sight| sight.machines.len() == 1).await;
    let goes = sight.machines[0].id.clone();
    fresh.fleet.terminate(&goes, Then::Replace).await.unwrap();
    until(&*fresh.fleet, |sight| staying(sight).len() == 1 && !staying(sight).contains(&&goes)).await;
}

async fn what_is_unknown_cannot_be_ended(fresh: Fresh) {
    fresh.fleet.launch(&fresh.group, 1).await.unwrap();
    let before = until(&*fresh.fleet, |sight| sight.machines.len() == 1).await;
    let stranger = MachineId::new("i-0123456789abcdef0");
    let refused = fresh.fleet.terminate(&stranger, Then::Shrink).await;
    assert_eq!(kind(refused), Some(ErrorKind::NotFound));
    assert_eq!(staying(&fresh.fleet.look().await.unwrap()), staying(&before));
}

async fn an_unknown_group_has_no_machines(fresh: Fresh) {
    let refused = fresh.fleet.launch(&GroupName::new("no-such-group"), 1).await;
    assert_eq!(kind(refused), Some(ErrorKind::NotFound));
    assert_eq!(fresh.fleet.look().await.unwrap().machines, vec![]);
}
