//! What holds a machine back from its end until its worker has drained: the termination hook of its Auto Scaling group.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::error::ProvideErrorMetadata;
use grid_core::ids::{GroupName, MachineId};

use crate::aws::Clients;
use crate::aws::error::failed;
use crate::{Error, ErrorKind, Result};

/// What tells the group that its wait is over.
const CONTINUE: &str = "CONTINUE";

/// The hook of one machine.
#[derive(Clone, Debug)]
pub struct Hook {
    client: Client,
    group: GroupName,
    name: String,
    machine: MachineId,
}

impl Hook {
    /// The hook of this name, by the SDK's own settings.
    pub async fn open(group: GroupName, name: &str, machine: MachineId) -> Result<Self> {
        Ok(Self::new(Clients::from_env().await?.autoscaling, group, name, machine))
    }

    /// The same with a client that there is.
    pub fn new(client: Client, group: GroupName, name: &str, machine: MachineId) -> Self {
        Self { client, group, name: name.to_owned(), machine }
    }

    /// Has the group wait on: from now as long again as the hook says. `NotFound` when it does not wait, or not any more.
    pub async fn wait_on(&self) -> Result<()> {
        let asked = self.client.record_lifecycle_action_heartbeat().auto_scaling_group_name(self.group.as_str());
        let sent = asked.lifecycle_hook_name(&self.name).instance_id(self.machine.as_str()).send().await;
        let Err(error) = sent else { return Ok(()) };
        if is_over(error.message()) {
            Err(self.over())
        } else {
            Err(failed(format!("have {} wait", self.group), error))
        }
    }

    /// Lets the machine go. `NotFound` as with [`wait_on`](Self::wait_on).
    pub async fn let_go(&self) -> Result<()> {
        let asked = self.client.complete_lifecycle_action().auto_scaling_group_name(self.group.as_str());
        let asked = asked.lifecycle_hook_name(&self.name).instance_id(self.machine.as_str());
        let Err(error) = asked.lifecycle_action_result(CONTINUE).send().await else { return Ok(()) };
        if is_over(error.message()) { Err(self.over()) } else { Err(failed(format!("let {} go", self.machine), error)) }
    }

    fn over(&self) -> Error {
        let context = format!("{} does not wait for {} by its hook {}", self.group, self.machine, self.name);
        Error::new(ErrorKind::NotFound, context)
    }
}

/// A ValidationError, known by its words only: "No active Lifecycle Action found with instance ID i-..".
fn is_over(message: Option<&str>) -> bool {
    message.is_some_and(|words| words.contains("No active Lifecycle Action found"))
}
