//! Auto Scaling: the groups of a manager's fleet, and the hook by which a worker's group waits for it.
//!
//! Whether the manager may end instances is not looked at: no request would tell without ending one.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::AutoScalingGroup;
use grid_core::ids::{GroupName, MachineId};

use super::report::Report;
use crate::aws::error::failed;
use crate::fleet::Hook;
use crate::{Error, ErrorKind, Result};

/// An instance that is nobody's: no group waits for it.
const NOBODY: &str = "i-00000000000000000";

/// A group that waits for its instances, by a hook.
pub(super) struct Lifecycle {
    pub(super) group: String,
    pub(super) hook: String,
}

/// The names of groups that are written as `NAME=USD[:RATE]`.
pub(super) fn group_names(groups: &str) -> impl Iterator<Item = &str> {
    let names = groups.split(',').map(|group| group.split('=').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty())
}

/// Looks at one group of a manager's fleet.
pub(super) async fn check_group(report: &mut Report, client: &Client, name: &str) {
    let place = format!("group {name}");
    let found = group(client, name).await;
    let remedy = match &found {
        Err(error) if error.kind == ErrorKind::Denied => {
            "grant autoscaling:DescribeAutoScalingGroups to the role or user of these credentials"
        }
        _ => "create the Auto Scaling group, or correct GRIDMILL_GROUPS",
    };
    let Some(group) = report.judge(&place, found, capacity, remedy) else { return };
    let activities = client.describe_scaling_activities().auto_scaling_group_name(name).max_records(1).send().await;
    let activities = activities.map(drop).map_err(|error| failed("look at the group's activities", error));
    report.right(&format!("{place}, activities"), activities, "autoscaling:DescribeScalingActivities");
    // What is desired already changes nothing. A leader that raises it in this very moment does so again with its next look.
    let same =
        client.set_desired_capacity().auto_scaling_group_name(name).set_desired_capacity(group.desired_capacity());
    let same = same.honor_cooldown(false).send().await.map(drop);
    let same = same.map_err(|error| failed("set the group's capacity to what it is", error));
    report.right(&format!("{place}, capacity"), same, "autoscaling:SetDesiredCapacity");
    check_protection(report, &format!("{place}, protection"), &group);
}

/// A group that ends machines by itself ends busy ones.
fn check_protection(report: &mut Report, what: &str, group: &AutoScalingGroup) {
    if group.new_instances_protected_from_scale_in() == Some(true) {
        report.ok(what, "new instances are protected from scale-in");
    } else {
        let advice =
            "set NewInstancesProtectedFromScaleIn: which instance goes is the manager's decision, and a busy one stays";
        report.advise(what, "new instances are not protected from scale-in", advice);
    }
}

async fn group(client: &Client, name: &str) -> Result<AutoScalingGroup> {
    let asked = client.describe_auto_scaling_groups().auto_scaling_group_names(name).send().await;
    let found = asked.map_err(|error| failed("look at the Auto Scaling groups", error))?.auto_scaling_groups;
    let missing = || Error::new(ErrorKind::NotFound, "there is no such Auto Scaling group");
    found.unwrap_or_default().pop().ok_or_else(missing)
}

fn capacity(group: &AutoScalingGroup) -> String {
    let [least, desired, most] =
        [group.min_size(), group.desired_capacity(), group.max_size()].map(Option::unwrap_or_default);
    format!("{} instances, {desired} desired of {least} to {most}", group.instances().len())
}

/// Looks at what a worker may ask of its group while it drains.
pub(super) async fn check_lifecycle(report: &mut Report, client: &Client, lifecycle: &Lifecycle) {
    let Lifecycle { group, hook } = lifecycle;
    let place = format!("group {group}, hook {hook}");
    let hook = Hook::new(client.clone(), GroupName::new(group), hook, MachineId::new(NOBODY));
    let held = nobody_waits(hook.wait_on().await);
    report.right(&format!("{place}, wait"), held, "autoscaling:RecordLifecycleActionHeartbeat");
    let let_go = nobody_waits(hook.let_go().await);
    report.right(&format!("{place}, let go"), let_go, "autoscaling:CompleteLifecycleAction");
}

/// That no group waits for this instance says that one may ask.
fn nobody_waits(answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::check::Verdict;

    #[test]
    fn groups_are_known_by_their_names() {
        assert_eq!(group_names("a-spot=0.07:0.03, b=0.17,,").collect::<Vec<_>>(), ["a-spot", "b"]);
    }

    #[test]
    fn a_group_that_may_end_busy_machines_is_told() {
        let verdict = |is_protected| {
            let mut report = Report::default();
            let group = AutoScalingGroup::builder().set_new_instances_protected_from_scale_in(is_protected).build();
            check_protection(&mut report, "group g, protection", &group);
            report.findings().remove(0).verdict
        };
        assert_eq!(
            [verdict(Some(true)), verdict(Some(false)), verdict(None)],
            [Verdict::Ok, Verdict::Advice, Verdict::Advice]
        );
    }
}
