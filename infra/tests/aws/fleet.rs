//! Auto Scaling groups, on a server that makes instances at once.

use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;
use grid_core::ids::GroupName;
use infra::aws::check::{Role, Verdict, check};
use infra::aws::settings::{AWS_FLEET, EVENT_QUEUE, FLEET, GROUPS};
use infra::clock::SystemClock;
use infra::contract::fleet::Fresh;
use infra::fleet::AutoScaling;

macro_rules! doctor_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments the_doctor_looks_at_groups_and_their_events }
    };
}
pub(crate) use doctor_checks;

/// Runs one check.
pub async fn run(check: &str, (): ()) {
    match check {
        "the_doctor_looks_at_groups_and_their_events" => the_doctor_looks_at_groups_and_their_events().await,
        unknown => panic!("there is no check {unknown}"),
    }
}

async fn the_doctor_looks_at_groups_and_their_events() {
    let group = fresh().await.group;
    let clients = crate::clients().await;
    let queue = crate::make_queue(&clients, 5).await;
    let groups = format!("{group}=0.1:0.02,gridmill-test-that-is-not-there=1");
    let vars = [(FLEET, AWS_FLEET), (GROUPS, &groups), (EVENT_QUEUE, &queue)];
    let look = async |about: &str| {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let findings = check(Role::Manager, var).await;
        let of_it = findings.into_iter().filter(|found| found.name.starts_with(about));
        of_it.map(|found| (found.name[about.len()..].to_owned(), found.verdict)).collect::<Vec<_>>()
    };
    let all = |found: &[(&str, Verdict)]| found.iter().map(|(name, it)| ((*name).to_owned(), *it)).collect::<Vec<_>>();
    let good = ["", ", activities", ", capacity", ", protection"].map(|name| (name, Verdict::Ok));
    assert_eq!(look(&format!("group {group}")).await, all(&good));
    assert_eq!(look("group gridmill-test-that").await, all(&[("-is-not-there", Verdict::Wrong)]));
    let standing = clients.autoscaling.describe_auto_scaling_groups().auto_scaling_group_names(group.as_str());
    let standing = standing.send().await.unwrap();
    assert_eq!(standing.auto_scaling_groups()[0].desired_capacity(), Some(0), "nothing was launched");

    let place = format!("queue {queue}");
    let of_queue = |senders| {
        let rights = ["", ", receive", ", delete", ", settings"].map(|name| (name, Verdict::Ok));
        all(&[&rights[..], &[(", senders", senders)]].concat())
    };
    assert_eq!(look(&place).await, of_queue(Verdict::Advice));
    let url = clients.sqs.get_queue_url().queue_name(&queue).send().await.unwrap().queue_url.unwrap();
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "events", "Effect": "Allow", "Resource": "*",
        "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}]}"#;
    let change = clients.sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::Policy, policy);
    change.send().await.unwrap();
    assert_eq!(look(&place).await, of_queue(Verdict::Ok));
}

/// A group of at most ten machines, as terraform makes one: none goes by itself.
pub async fn fresh() -> Fresh {
    let client = crate::clients().await.autoscaling;
    let name = crate::unique();
    let template = client.create_launch_configuration().launch_configuration_name(&name).image_id("ami-12c6146b");
    template.instance_type("c7g.xlarge").send().await.unwrap();
    let group = client.create_auto_scaling_group().auto_scaling_group_name(&name).launch_configuration_name(&name);
    let group = group.min_size(0).max_size(10).desired_capacity(0).availability_zones("us-east-1a");
    group.new_instances_protected_from_scale_in(true).send().await.unwrap();
    let group = GroupName::new(name);
    let fleet = AutoScaling::new(client, vec![group.clone()], 4, Arc::new(SystemClock));
    Fresh { fleet: Arc::new(fleet), group }
}
