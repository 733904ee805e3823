//! Auto Scaling groups, on a server that makes instances at once.

use std::sync::Arc;

use grid_core::ids::GroupName;
use infra::clock::SystemClock;
use infra::contract::fleet::Fresh;
use infra::fleet::AutoScaling;

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
