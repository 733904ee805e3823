//! Auto Scaling groups as a fleet. A group's capacity is counted as the group does: in machines, or in vCPUs.
//!
//! A group keeps trying for what it was asked for. What it tries for in vain is told as refused and not as unfilled: nobody
//! waits for it, and another group can be asked.

mod launches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance};
use grid_core::ids::{GroupName, MachineId};
use grid_core::scale::Refused;

use self::launches::Launches;
use super::{Fleet, SeenMachine, Sight, Then};
use crate::aws::Clients;
use crate::aws::error::failed;
use crate::clock::Clock;
use crate::{Error, ErrorKind, Result};

/// The type of a group's capacity that is counted in vCPUs.
const VCPUS: &str = "vcpu";

/// The process of a group without which nothing is launched: people pause a group by suspending it.
const LAUNCH: &str = "Launch";

/// Scaling activities of a group that are looked at, the newest: as many as the service tells at once.
const ACTIVITIES: i32 = 100;

/// Groups of one account and region.
#[derive(Debug)]
pub struct AutoScaling {
    client: Client,
    groups: Vec<GroupName>,
    /// What a machine counts in groups whose capacity is in vCPUs, unless the group says what each does.
    vcpus: u32,
    clock: Arc<dyn Clock>,
    /// When each machine was asked for, or else first seen.
    seen: Mutex<BTreeMap<MachineId, u64>>,
}

/// A group as it stands.
struct Standing {
    group: AutoScalingGroup,
    name: GroupName,
    launches: Launches,
    /// What one more machine counts.
    unit: u32,
    desired: u32,
    most: u32,
    /// Capacity of the machines that do not go.
    staying: u32,
}

impl AutoScaling {
    /// Groups, by the SDK's own settings. A machine of theirs has so many vCPUs, as a rule.
    pub async fn open(groups: Vec<GroupName>, vcpus: u32, clock: Arc<dyn Clock>) -> Result<Self> {
        Ok(Self::new(Clients::from_env().await?.autoscaling, groups, vcpus, clock))
    }

    /// The groups of these names, which must exist.
    pub fn new(client: Client, groups: Vec<GroupName>, vcpus: u32, clock: Arc<dyn Clock>) -> Self {
        Self { client, groups, vcpus: vcpus.max(1), clock, seen: Mutex::default() }
    }

    /// Every one of these groups.
    async fn describe(&self, names: &[GroupName]) -> Result<Vec<Standing>> {
        let asked = names.iter().map(|group| group.as_str().to_owned()).collect();
        let pages = self.client.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(asked));
        let found: Vec<AutoScalingGroup> = pages
            .into_paginator()
            .items()
            .send()
            .collect::<std::result::Result<_, _>>()
            .await
            .map_err(|error| failed("look at the Auto Scaling groups", error))?;
        let mut standing = Vec::new();
        for name in names {
            let group = found.iter().find(|group| group.auto_scaling_group_name() == Some(name.as_str()));
            let missing = || Error::new(ErrorKind::NotFound, format!("there is no Auto Scaling group {name}"));
            let group = group.ok_or_else(missing)?.clone();
            standing.push(self.standing(group, name.clone(), self.launches(name).await?));
        }
        Ok(standing)
    }

    async fn launches(&self, group: &GroupName) -> Result<Launches> {
        let asked = self.client.describe_scaling_activities().auto_scaling_group_name(group.as_str());
        let told = asked.max_records(ACTIVITIES).send().await;
        let told = told.map_err(|error| failed(format!("look at the activities of {group}"), error))?;
        Ok(Launches::of(told.activities(), self.clock.now_ms()))
    }

    fn standing(&self, group: AutoScalingGroup, name: GroupName, launches: Launches) -> Standing {
        let unit = if group.desired_capacity_type() == Some(VCPUS) { self.vcpus } else { 1 };
        let weight = |instance: &Instance| instance.weighted_capacity().and_then(|it| it.parse().ok()).unwrap_or(unit);
        let staying = group.instances().iter().filter(|instance| !is_leaving(instance)).map(weight).sum();
        let (desired, most) = (count(group.desired_capacity()), count(group.max_size()));
        Standing { group, name, launches, unit, desired, most, staying }
    }

    /// Fills in when machines were asked for, and forgets those that have gone.
    fn date(&self, machines: &mut [SeenMachine]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|id, _| machines.iter().any(|machine| machine.id == *id));
        for machine in machines {
            machine.requested_ms = *seen.entry(machine.id.clone()).or_insert(machine.requested_ms);
        }
    }
}

#[async_trait]
impl Fleet for AutoScaling {
    async fn look(&self) -> Result<Sight> {
        let mut sight = Sight::default();
        let standing = self.describe(&self.groups).await?;
        let now_ms = self.clock.now_ms();
        for group in &standing {
            sight
                .machines
                .extend(group.group.instances().iter().filter_map(|instance| group.machine(instance, now_ms)));
            let unfilled = group.unfilled();
            if unfilled > 0 && group.why_in_vain().is_none() {
                sight.unfilled.push((group.name.clone(), unfilled));
            }
            let refused = |(at_ms, _): &(u64, String)| Refused { group: group.name.clone(), at_ms: *at_ms };
            sight.refused.extend(group.launches.failed.iter().map(refused));
            sight.words.extend(group.why_in_vain().map(|words| (group.name.clone(), words)));
        }
        self.date(&mut sight.machines);
        Ok(sight)
    }

    /// Raises what is desired, and never lowers it: what a group asks for in vain is there to be asked for again.
    async fn launch(&self, group: &GroupName, machines: u32) -> Result<()> {
        let unknown = || Error::new(ErrorKind::NotFound, format!("{group} is no group of this fleet"));
        let known = self.groups.iter().find(|known| *known == group).ok_or_else(unknown)?;
        let standing = self.describe(std::slice::from_ref(known)).await?;
        let wanted = standing.first().ok_or_else(unknown)?.wanted(machines)?;
        let set = self.client.set_desired_capacity().auto_scaling_group_name(group.as_str()).honor_cooldown(false);
        let set = set.desired_capacity(i32::try_from(wanted).unwrap_or(i32::MAX)).send().await;
        set.map(|_| ()).map_err(|error| failed(format!("set the capacity of {group} to {wanted}"), error))
    }

    async fn terminate(&self, machine: &MachineId, then: Then) -> Result<()> {
        let is_ours = self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains_key(machine);
        if !is_ours {
            return Err(Error::new(ErrorKind::NotFound, format!("{machine} is no machine of this fleet")));
        }
        let asked = self.client.terminate_instance_in_auto_scaling_group().instance_id(machine.as_str());
        let ended = asked.should_decrement_desired_capacity(then == Then::Shrink).send().await;
        let Err(error) = ended else { return Ok(()) };
        // Both are a ValidationError, and told apart by their words only.
        let says = |words: &str| error.message().is_some_and(|message| message.contains(words));
        let kind = match () {
            () if says("not found") => ErrorKind::NotFound,
            () if says("min size") => ErrorKind::Conflict,
            () => return Err(failed(format!("end the machine {machine}"), error)),
        };
        let words = error.message().unwrap_or_default();
        Err(Error::new(kind, format!("{machine} cannot be ended: {words}")))
    }
}

impl Standing {
    fn machine(&self, instance: &Instance, now_ms: u64) -> Option<SeenMachine> {
        let id = MachineId::new(instance.instance_id()?);
        let requested_ms = self.launches.begun.get(&id).copied().unwrap_or(now_ms);
        Some(SeenMachine { id, group: self.name.clone(), requested_ms, is_leaving: is_leaving(instance) })
    }

    /// Machines that were asked for and are not there.
    fn unfilled(&self) -> u32 {
        self.desired.saturating_sub(self.staying).div_ceil(self.unit)
    }

    /// Why what was asked for does not come, if that is known.
    fn why_in_vain(&self) -> Option<String> {
        let mut suspended = self.group.suspended_processes().iter().filter_map(|process| process.process_name());
        if suspended.any(|process| process == LAUNCH) {
            return Some(format!("paused: the process {LAUNCH} of the group is suspended"));
        }
        let words = self.launches.newest_failure.as_ref().filter(|_| self.unfilled() > 0)?;
        Some(format!("no capacity: {words}"))
    }

    /// The capacity by which so many machines come. What the group tries for in vain is not asked for twice.
    fn wanted(&self, machines: u32) -> Result<u32> {
        let name = &self.name;
        let why_in_vain = self.why_in_vain();
        let there = if why_in_vain.is_some() { self.staying } else { self.desired };
        if there >= self.most {
            return Err(Error::new(ErrorKind::Full, format!("{name} is at its maximum of {}", self.most)));
        }
        let wanted = there.saturating_add(machines.saturating_mul(self.unit)).min(self.most);
        match why_in_vain {
            Some(words) if wanted <= self.desired => {
                Err(Error::new(ErrorKind::Conflict, format!("{name} tries for {} already; {words}", self.desired)))
            }
            _ => Ok(wanted.max(self.desired)),
        }
    }
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// Whether it is no capacity of the group any more, or not for us. By its words: there are more states than the SDK knows.
fn is_leaving(instance: &Instance) -> bool {
    let state = instance.lifecycle_state().map(|state| state.as_str()).unwrap_or_default();
    let ways = ["Terminat", "Detach", "EnteringStandby", "Standby", "Quarantined", "Warmed"];
    ways.iter().any(|way| state.starts_with(way))
}
