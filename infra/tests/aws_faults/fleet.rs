//! Auto Scaling groups, as they say what is and what fails.

use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{GroupName, MachineId};
use grid_core::scale::Refused;
use infra::clock::TokioClock;
use infra::fleet::{AutoScaling, Fleet, Hook, SeenMachine, Sight, Then};
use infra::{ErrorKind, Result};

use crate::service::{Answer, Service, says};

const NOW_MS: u64 = 1_767_225_600_000;

fn groups(names: &[&str], answers: impl IntoIterator<Item = Answer>) -> (Service, AutoScaling) {
    let (service, clients) = Service::that(answers);
    let names = names.iter().map(|name| GroupName::new(*name)).collect();
    (service, AutoScaling::new(clients.autoscaling, names, 4, Arc::new(TokioClock::starting_at(NOW_MS))))
}

fn member(fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    format!("<member>{fields}</member>")
}

fn answer(operation: &str, result: &str) -> Answer {
    says(&format!(
        "<{operation}Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><{operation}Result>{result}\
         </{operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
    ))
}

fn describes(groups: &[String]) -> Answer {
    answer("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{}</AutoScalingGroups>", groups.concat()))
}

fn group(name: &str, kind: &str, desired: u32, instances: &[(&str, &str)], suspended: &str) -> String {
    let instance = |(id, state): &(&str, &str)| member(&[("InstanceId", id), ("LifecycleState", state)]);
    let instances: String = instances.iter().map(instance).collect();
    member(&[
        ("AutoScalingGroupName", name),
        ("MinSize", "0"),
        ("MaxSize", "40"),
        ("DesiredCapacity", &desired.to_string()),
        ("DesiredCapacityType", kind),
        ("Instances", &instances),
        ("SuspendedProcesses", suspended),
    ])
}

fn activities(activities: &[String]) -> Answer {
    answer("DescribeScalingActivities", &format!("<Activities>{}</Activities>", activities.concat()))
}

/// A launch that began so many seconds after the test does.
fn launching(secs: u64, status: &str, more: &str, words: &str) -> String {
    member(&[
        ("ActivityId", "a"),
        ("AutoScalingGroupName", "spot"),
        ("Cause", "because"),
        ("StartTime", &format!("2026-01-01T00:00:{secs:02}Z")),
        ("StatusCode", status),
        ("Description", &format!("Launching a new EC2 instance{more}")),
        ("StatusMessage", words),
    ])
}

fn refuses(status: u16, code: &str, words: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{words}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    );
    match says(&body) {
        Answer::Says(_, headers, body) => Answer::Says(status, headers, body),
        other => other,
    }
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}

fn machine(id: &str, group: &str, is_leaving: bool) -> SeenMachine {
    SeenMachine { id: MachineId::new(id), group: GroupName::new(group), requested_ms: NOW_MS, is_leaving }
}

fn spot() -> GroupName {
    GroupName::new("spot")
}

/// What the requests of a kind said, in the order in which they came.
fn said(service: &Service, action: &str) -> Vec<String> {
    let bodies = service.seen().into_iter().map(|seen| seen.body);
    bodies.filter(|body| body.starts_with(&format!("Action={action}&"))).collect()
}

/// The capacities that were set.
fn capacities(service: &Service) -> Vec<u32> {
    let capacity = |body: &String| {
        let (_, rest) = body.split_once("DesiredCapacity=").unwrap();
        rest.split('&').next().unwrap().parse().unwrap()
    };
    said(service, "SetDesiredCapacity").iter().map(capacity).collect()
}

#[tokio::test(start_paused = true)]
async fn what_goes_is_told_and_what_is_missing_is_counted_in_machines() {
    let instances = [("i-1", "InService"), ("i-2", "Pending:Wait"), ("i-3", "Terminating:Wait")];
    let described = describes(&[group("spot", "vcpu", 20, &instances, ""), group("on-demand", "units", 1, &[], "")]);
    let (_service, fleet) = groups(&["spot", "on-demand"], [described, activities(&[]), activities(&[])]);
    let expected = Sight {
        machines: vec![machine("i-1", "spot", false), machine("i-2", "spot", false), machine("i-3", "spot", true)],
        unfilled: vec![(spot(), 3), (GroupName::new("on-demand"), 1)],
        refused: vec![],
        words: vec![],
    };
    assert_eq!(fleet.look().await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn groups_are_read_to_the_last_page() {
    let page = |name: &str, next: &str| {
        let groups = group(name, "units", 0, &[(&format!("i-{name}"), "InService")], "");
        let next = if next.is_empty() { String::new() } else { format!("<NextToken>{next}</NextToken>") };
        answer("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{groups}</AutoScalingGroups>{next}"))
    };
    let answers = [page("a", "more"), page("b", ""), activities(&[]), activities(&[])];
    let (service, fleet) = groups(&["a", "b"], answers);
    let seen = fleet.look().await.unwrap();
    assert_eq!(seen.machines, [machine("i-a", "a", false), machine("i-b", "b", false)]);
    assert!(said(&service, "DescribeAutoScalingGroups")[1].contains("NextToken=more"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_was_asked_for_when_its_launch_began_or_else_when_it_was_first_seen() {
    let there = || describes(&[group("spot", "units", 2, &[("i-1", "Pending"), ("i-2", "InService")], "")]);
    let told = || activities(&[launching(7, "InProgress", ": i-1", "")]);
    let (_service, fleet) = groups(&["spot"], [there(), told(), there(), activities(&[])]);
    let requested = async || {
        let machines = fleet.look().await.unwrap().machines;
        machines.into_iter().map(|machine| machine.requested_ms - NOW_MS).collect::<Vec<_>>()
    };
    assert_eq!(requested().await, [7_000, 0]);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(requested().await, [7_000, 0], "it stays so");
}

#[tokio::test(start_paused = true)]
async fn launches_that_failed_of_late_are_told_in_their_order_and_other_failures_are_not() {
    let ended =
        launching(9, "Failed", "", "x").replace("Launching a new EC2 instance", "Terminating EC2 instance: i-9");
    let old = launching(0, "Failed", "", "long ago").replace("2026-01-01T00:00", "2025-12-31T23:44");
    let told = activities(&[
        ended,
        launching(6, "Failed", ".  Status Reason: none", "We currently do not have sufficient capacity"),
        launching(5, "Failed", "", "You have requested more vCPU capacity than your limit"),
        old,
    ]);
    let (_service, fleet) = groups(&["spot"], [describes(&[group("spot", "units", 1, &[], "")]), told]);
    let sight = fleet.look().await.unwrap();
    let refused = |secs: u64| Refused { group: spot(), at_ms: NOW_MS + secs * 1_000 };
    assert_eq!(sight.refused, [refused(5), refused(6)]);
    let words = "no capacity: We currently do not have sufficient capacity".to_owned();
    assert_eq!(sight.words, [(spot(), words)]);
    assert_eq!(sight.unfilled, [], "it tries in vain: nobody is to wait for that");
}

#[tokio::test(start_paused = true)]
async fn of_a_launch_that_failed_in_part_the_rest_is_waited_for_only_while_the_group_has_not_failed_again() {
    let there = || describes(&[group("spot", "units", 3, &[("i-1", "Pending")], "")]);
    let failed = launching(1, "Failed", "", "none");
    let came = |secs| launching(secs, "InProgress", ": i-1", "");
    let answers = [there(), activities(&[came(2), failed.clone()]), there(), activities(&[failed, came(0)])];
    let (_service, fleet) = groups(&["spot"], answers);
    let waiting = fleet.look().await.unwrap();
    assert_eq!((waiting.unfilled, waiting.refused.len()), (vec![(spot(), 2)], 1));
    let in_vain = fleet.look().await.unwrap();
    assert_eq!((in_vain.unfilled, in_vain.machines.len()), (vec![], 1));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_people_have_paused_says_so_and_is_not_waited_for() {
    let suspended = member(&[("ProcessName", "AZRebalance")]) + &member(&[("ProcessName", "Launch")]);
    let paused = || describes(&[group("spot", "units", 2, &[], &suspended)]);
    let (_service, fleet) = groups(&["spot"], [paused(), activities(&[]), paused(), activities(&[])]);
    let words = "paused: the process Launch of the group is suspended".to_owned();
    let sight = fleet.look().await.unwrap();
    assert_eq!((sight.words, sight.unfilled), (vec![(spot(), words)], vec![]));
    assert_eq!(kind(fleet.launch(&spot(), 1).await), Some(ErrorKind::Conflict));
}

#[tokio::test(start_paused = true)]
async fn a_launch_adds_to_what_is_desired_in_the_groups_own_units_up_to_its_maximum() {
    let asked = |desired| describes(&[group("spot", "vcpu", desired, &[], "")]);
    let set = || answer("SetDesiredCapacity", "");
    let none = || activities(&[]);
    let (service, fleet) = groups(&["spot"], [asked(8), none(), set(), asked(36), none(), set(), asked(40), none()]);
    fleet.launch(&spot(), 3).await.unwrap();
    fleet.launch(&spot(), 3).await.unwrap();
    assert_eq!(kind(fleet.launch(&spot(), 1).await), Some(ErrorKind::Full));
    assert_eq!(capacities(&service), [20, 40]);
}

#[tokio::test(start_paused = true)]
async fn what_a_group_tries_for_in_vain_is_not_asked_for_twice_and_never_lowered() {
    let there = || describes(&[group("spot", "units", 4, &[("i-1", "InService")], "")]);
    let failed = || activities(&[launching(3, "Failed", "", "none")]);
    let set = answer("SetDesiredCapacity", "");
    let (service, fleet) = groups(&["spot"], [there(), failed(), there(), failed(), set]);
    assert_eq!(kind(fleet.launch(&spot(), 2).await), Some(ErrorKind::Conflict), "3 of 4 are wanted");
    fleet.launch(&spot(), 5).await.unwrap();
    assert_eq!(capacities(&service), [6]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_busy_is_asked_again() {
    let there = || describes(&[group("spot", "units", 1, &[], "")]);
    let throttled = || refuses(400, "Throttling", "Rate exceeded");
    let in_progress = || refuses(400, "ScalingActivityInProgress", "There are scaling activities in progress");
    let (service, fleet) = groups(
        &["spot"],
        [throttled(), there(), throttled(), activities(&[]), throttled(), answer("SetDesiredCapacity", "")],
    );
    fleet.launch(&spot(), 1).await.unwrap();
    assert_eq!(capacities(&service), [2, 2], "a repeat sets the same number");
    let (_service, fleet) = groups(&["spot"], [there(), activities(&[]), in_progress()]);
    let busy = fleet.launch(&spot(), 1).await.unwrap_err();
    assert_eq!((busy.kind, busy.is_transient()), (ErrorKind::Throttled, true), "{busy}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_goes_by_its_name_and_none_that_was_never_seen() {
    let there = group("spot", "units", 2, &[("i-1", "InService"), ("i-2", "InService")], "");
    let ended = || answer("TerminateInstanceInAutoScalingGroup", "");
    let (service, fleet) = groups(&["spot"], [describes(&[there]), activities(&[]), ended(), ended()]);
    let [one, two, other] = ["i-1", "i-2", "i-3"].map(MachineId::new);
    assert_eq!(kind(fleet.terminate(&one, Then::Shrink).await), Some(ErrorKind::NotFound), "not looked yet");
    fleet.look().await.unwrap();
    fleet.terminate(&one, Then::Shrink).await.unwrap();
    fleet.terminate(&two, Then::Replace).await.unwrap();
    assert_eq!(kind(fleet.terminate(&other, Then::Shrink).await), Some(ErrorKind::NotFound));
    let ended = said(&service, "TerminateInstanceInAutoScalingGroup");
    assert!(ended[0].contains("InstanceId=i-1") && ended[0].contains("ShouldDecrementDesiredCapacity=true"));
    assert!(ended[1].contains("InstanceId=i-2") && ended[1].contains("ShouldDecrementDesiredCapacity=false"));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_gone_and_one_that_must_stay_are_told_apart() {
    let there = group("spot", "units", 1, &[("i-1", "InService")], "");
    let gone = "Instance Id not found - No managed instance found for instance ID: i-1";
    let least = "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's \
                 min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.";
    let refusals = [gone, least, "something else"].map(|words| refuses(400, "ValidationError", words));
    let answers = [describes(&[there]), activities(&[])].into_iter().chain(refusals);
    let (_service, fleet) = groups(&["spot"], answers);
    fleet.look().await.unwrap();
    for expected in [ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::Invalid] {
        assert_eq!(kind(fleet.terminate(&MachineId::new("i-1"), Then::Shrink).await), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_there_is_named() {
    let described = describes(&[group("spot", "units", 0, &[], "")]);
    let (_service, fleet) = groups(&["spot", "gone"], [described, activities(&[])]);
    let refused = fleet.look().await.unwrap_err();
    let words = "there is no Auto Scaling group gone";
    assert_eq!((refused.kind, refused.to_string().as_str()), (ErrorKind::NotFound, words));
}

#[tokio::test(start_paused = true)]
async fn a_hook_is_held_and_let_go_by_its_group_name_and_machine() {
    let over = || refuses(400, "ValidationError", "No active Lifecycle Action found with instance ID i-1");
    let [held, gone] = ["RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"].map(|it| answer(it, ""));
    let denied = refuses(403, "AccessDenied", "not authorized to perform");
    let (service, clients) = Service::that([held, gone, over(), over(), denied]);
    let hook = Hook::new(clients.autoscaling, spot(), "drain", MachineId::new("i-1"));
    hook.wait_on().await.unwrap();
    hook.let_go().await.unwrap();
    assert_eq!(kind(hook.wait_on().await), Some(ErrorKind::NotFound));
    assert_eq!(kind(hook.let_go().await), Some(ErrorKind::NotFound), "a repeat, or too late");
    assert_eq!(kind(hook.let_go().await), Some(ErrorKind::Denied));
    let names = "LifecycleHookName=drain&AutoScalingGroupName=spot";
    assert!(said(&service, "RecordLifecycleActionHeartbeat")[0].contains(names));
    let let_go = &said(&service, "CompleteLifecycleAction")[0];
    for part in [names, "LifecycleActionResult=CONTINUE", "InstanceId=i-1"] {
        assert!(let_go.contains(part), "{let_go}");
    }
}
