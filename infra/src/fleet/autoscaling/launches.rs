//! What a group's scaling activities tell of its launches: setting a capacity is answered at once, and what becomes of it is told
//! nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use grid_core::ids::MachineId;

/// Failures that are older tell nothing about now. As long as a group is left alone at most.
const OF_LATE: Duration = Duration::from_secs(15 * 60);

/// How a launch is described, before the instance: "Launching a new EC2 instance: i-0123456789abcdef0".
const LAUNCHING: &str = "Launching";

/// The launches of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Launches {
    /// Those that failed of late, the oldest first: when, Unix milliseconds, and why.
    pub failed: Vec<(u64, String)>,
    /// Why the newest one failed, unless it did not.
    pub newest_failure: Option<String>,
    /// When those of which an instance came had begun.
    pub begun: BTreeMap<MachineId, u64>,
}

impl Launches {
    /// Those among these activities, which are in any order.
    pub fn of(activities: &[Activity], now_ms: u64) -> Self {
        let launch = |activity| Some((started_ms(activity)?, activity)).filter(|(_, activity)| is_launch(activity));
        let mut all: Vec<(u64, &Activity)> = activities.iter().filter_map(launch).collect();
        all.sort_by_key(|(at_ms, _)| *at_ms);
        let newest_failure = all.last().filter(|(_, activity)| has_failed(activity)).map(|(_, activity)| why(activity));
        let oldest_ms = now_ms.saturating_sub(OF_LATE.as_millis() as u64);
        let of_late = all.iter().filter(|(at_ms, activity)| *at_ms >= oldest_ms && has_failed(activity));
        let failed = of_late.map(|(at_ms, activity)| (*at_ms, why(activity))).collect();
        let begun = all.iter().filter_map(|(at_ms, activity)| Some((instance(activity)?, *at_ms))).collect();
        Self { failed, newest_failure, begun }
    }
}

fn started_ms(activity: &Activity) -> Option<u64> {
    u64::try_from(activity.start_time()?.to_millis().ok()?).ok()
}

fn is_launch(activity: &Activity) -> bool {
    activity.description().is_some_and(|words| words.starts_with(LAUNCHING))
}

fn has_failed(activity: &Activity) -> bool {
    activity.status_code() == Some(&ScalingActivityStatusCode::Failed)
}

/// The service's own words, for people.
fn why(activity: &Activity) -> String {
    activity.status_message().or(activity.cause()).unwrap_or("the group does not say why").to_owned()
}

fn instance(activity: &Activity) -> Option<MachineId> {
    let mut words = activity.description()?.split([' ', ':', ',', '.']);
    words.find(|word| word.starts_with("i-")).map(MachineId::new)
}
