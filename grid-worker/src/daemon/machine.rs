//! The machine under a worker: the worker drains before that goes, and tells whoever waits for it that it has.

use std::time::Duration;

use anyhow::Context;
use grid_core::ids::{GroupName, MachineId};
use grid_worker::runner::Stop;
use infra::ErrorKind;
use infra::clock::{Clock, SystemClock};
use infra::fleet::Hook;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::instance::{Instance, Leaving, Notice, POLL};
use super::settings::Settings;

/// Between two words to a group that it shall wait on: hooks wait for half a minute at least.
const BEAT: Duration = Duration::from_secs(20);

/// Items may go on for this long after a spot notice ..
const AFTER_NOTICE: Duration = Duration::from_secs(100);

/// .. and never into the last seconds, in which what is left is handed back.
const LAST_SECONDS: Duration = Duration::from_secs(15);

/// How long the group is told that the machine may go, which it takes for granted later.
const FAREWELL: Duration = Duration::from_secs(20);

/// An EC2 instance that is watched until this is dropped.
#[derive(Debug)]
pub struct Machine {
    /// What it is called.
    pub id: MachineId,
    instance: Instance,
    hook: Option<Hook>,
    _watching: AbortOnDropHandle<()>,
}

impl Machine {
    /// The instance that the metadata service tells of, if there is to be one; nothing when somebody says stop before it does.
    pub async fn find(settings: &Settings, stop: &Stop) -> anyhow::Result<Option<Self>> {
        let Some(address) = &settings.instance_metadata else { return Ok(None) };
        let mut instance = Instance::new(address, POLL);
        let Some(id) = id(&mut instance, stop).await else { return Ok(None) };
        let id = MachineId::new(settings.machine.clone().unwrap_or(id));
        let hook = match &settings.group {
            Some(group) => Some(Hook::open(GroupName::new(group), &settings.hook, id.clone()).await),
            None => None,
        };
        let hook = hook.transpose().context("failed to open Auto Scaling")?;
        let watched = watch(instance.clone(), stop.clone(), settings.drain(), hook.clone());
        Ok(Some(Self { id, instance, hook, _watching: AbortOnDropHandle::new(tokio::spawn(watched)) }))
    }

    /// The worker has nothing in hand any more: the group need not wait for it.
    pub async fn leave(mut self) {
        let Some(hook) = &self.hook else { return };
        if !matches!(self.instance.notice().await, Ok(Notice::Terminated)) {
            return;
        }
        match timeout(FAREWELL, hook.let_go()).await {
            Ok(Ok(())) => tracing::info!(machine = %self.id, "the group may end this instance"),
            Ok(Err(error)) if error.kind == ErrorKind::NotFound => tracing::debug!(%error, "nobody waits"),
            Ok(Err(error)) => tracing::warn!(%error, "the group waits until its hook runs out"),
            Err(_) => tracing::warn!("the group does not answer: it waits until its hook runs out"),
        }
    }
}

/// A worker that does not know its machine would be ended by its manager like one that never came: it is asked until it is known.
async fn id(instance: &mut Instance, stop: &Stop) -> Option<String> {
    let mut is_told = false;
    loop {
        match instance.id().await {
            Ok(id) => return Some(id),
            Err(error) if is_told => tracing::debug!(%error, "the instance metadata cannot be read"),
            Err(error) => tracing::warn!(%error, "this worker does not know its machine; goes on asking"),
        }
        is_told = true;
        tokio::select! {
            () = stop.drain.cancelled() => return None,
            () = sleep(POLL) => {}
        }
    }
}

/// Drains the worker when its instance is about to go, and ends the items in hand when the time is up, so that they are
/// handed back.
async fn watch(mut instance: Instance, stop: Stop, drain: Duration, hook: Option<Hook>) {
    match instance.leaves().await {
        Leaving::Spot(at) => {
            let within = left_after(at, SystemClock.now_ms());
            tracing::warn!(%at, finish_within_secs = within.as_secs(), "this instance is taken away: draining");
            stop.drain.cancel();
            sleep(within).await;
            stop.kill.cancel();
        }
        Leaving::Terminated => {
            tracing::warn!(finish_within_secs = drain.as_secs(), "the group ends this instance: draining");
            stop.drain.cancel();
            let killing = async {
                sleep(drain).await;
                stop.kill.cancel();
            };
            // What was told to end needs a moment, too.
            tokio::join!(killing, keep_waiting(hook));
        }
    }
}

/// Has the group wait for as long as this is polled.
async fn keep_waiting(hook: Option<Hook>) {
    let Some(hook) = hook else { return };
    loop {
        let next = Instant::now() + BEAT;
        match hook.wait_on().await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::NotFound => return tracing::warn!(%error, "the instance goes now"),
            Err(error) => tracing::warn!(%error, "the group may not wait for what is in hand"),
        }
        sleep_until(next).await;
    }
}

/// How long items may go on.
fn left_after(at: Timestamp, now_ms: u64) -> Duration {
    let left_ms = at.as_millisecond().saturating_sub(i64::try_from(now_ms).unwrap_or(i64::MAX));
    let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    left.saturating_sub(LAST_SECONDS).min(AFTER_NOTICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_go_on_for_a_hundred_seconds_and_never_into_the_last_ones() {
        let left = |secs_left: i64| {
            let at = Timestamp::from_second(1_800_000_000 + secs_left).unwrap();
            left_after(at, 1_800_000_000_000).as_secs()
        };
        assert_eq!([left(120), left(60), left(10), left(-5)], [100, 45, 0, 0]);
    }
}
