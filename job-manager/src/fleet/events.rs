//! What AWS tells of instances by EventBridge, on a queue: that one is about to go, or has gone, before anybody misses its word.
//! The spot market's events are those of the whole account: what is none of the fleet's is passed over.

use std::time::Duration;

use grid_core::ids::MachineId;
use grid_core::limits::{MAX_POLL, QUEUE_BATCH};
use infra::queue::{Receipt, TaskQueue};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How long a batch may take to be passed on.
const LEASE: Duration = Duration::from_secs(30);

/// After a receive that failed.
const REST: Duration = Duration::from_secs(5);

/// Events that wait for whoever needs them. What does not find room comes again.
pub(crate) const WAITING: usize = 256;

/// What an event says of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It goes within minutes, whatever we do.
    Leaves(MachineId),
    /// It has gone, and its worker with it.
    Gone(MachineId),
}

/// An event as EventBridge sends it, as far as it matters.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "detail-type")]
    kind: String,
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
struct Detail {
    /// As EC2 calls it.
    #[serde(rename = "instance-id")]
    instance: Option<MachineId>,
    /// As Auto Scaling calls it.
    #[serde(rename = "EC2InstanceId")]
    member: Option<MachineId>,
    #[serde(rename = "AutoScalingGroupName")]
    group: Option<String>,
    #[serde(rename = "StatusMessage")]
    words: Option<String>,
}

/// Passes on what is told, for as long as somebody listens. An event is deleted when it was passed on; one that cannot be read is
/// left to become a dead letter, which is told to people.
pub(crate) async fn listen(queue: &dyn TaskQueue, tell: &[mpsc::Sender<Event>]) {
    loop {
        let batch = match queue.receive(QUEUE_BATCH, LEASE, MAX_POLL).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(%error, "events of the fleet cannot be received; goes on trying");
                sleep(REST).await;
                continue;
            }
        };
        let mut told: Vec<Receipt> = Vec::new();
        for received in batch {
            match read(&received.body) {
                Ok(None) => told.push(received.receipt),
                Ok(Some(event)) if tell.iter().all(|listener| listener.try_send(event.clone()).is_ok()) => {
                    told.push(received.receipt);
                }
                Ok(Some(event)) => tracing::debug!(?event, "nobody has time for an event of the fleet; it comes again"),
                Err(error) => tracing::warn!(%error, "an event of the fleet cannot be read"),
            }
        }
        if told.is_empty() {
            continue;
        }
        if let Err(error) = queue.delete(&told).await {
            tracing::debug!(%error, "events of the fleet come again");
        }
    }
}

/// What it says of a machine, if it says anything that is to be acted on.
fn read(body: &str) -> Result<Option<Event>, serde_json::Error> {
    let Envelope { kind, detail } = serde_json::from_str(body)?;
    let machine = detail.instance.or(detail.member);
    Ok(match (kind.as_str(), machine) {
        ("EC2 Spot Instance Interruption Warning" | "EC2 Instance-terminate Lifecycle Action", Some(machine)) => {
            tracing::info!(%machine, kind, "a machine is taken away");
            Some(Event::Leaves(machine))
        }
        ("EC2 Instance Terminate Successful", Some(machine)) => {
            tracing::info!(%machine, "a machine has gone");
            Some(Event::Gone(machine))
        }
        ("EC2 Instance Launch Unsuccessful", _) => {
            // The fleet counts it itself, with the next look at its activities.
            let (group, words) = (detail.group.unwrap_or_default(), detail.words.unwrap_or_default());
            tracing::warn!(group, words, "a machine cannot be launched");
            None
        }
        // A risk, or what the next look shows.
        (_, machine) => {
            tracing::debug!(?machine, kind, "an event that needs nothing");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn event(kind: &str, detail: &str) -> String {
        format!(r#"{{"version": "0", "id": "1", "detail-type": "{kind}", "source": "aws.ec2", "detail": {detail}}}"#)
    }

    const EC2: &str = r#"{"instance-id": "i-1", "instance-action": "terminate"}"#;
    const MEMBER: &str =
        r#"{"EC2InstanceId": "i-2", "AutoScalingGroupName": "g", "StatusMessage": "", "StatusCode": "InProgress"}"#;

    #[test]
    fn an_event_says_that_a_machine_goes_or_has_gone_or_nothing() {
        let told = |kind: &str, detail: &str| read(&event(kind, detail)).unwrap();
        let (one, two) = (MachineId::new("i-1"), MachineId::new("i-2"));
        assert_eq!(told("EC2 Spot Instance Interruption Warning", EC2), Some(Event::Leaves(one)));
        assert_eq!(told("EC2 Instance-terminate Lifecycle Action", MEMBER), Some(Event::Leaves(two.clone())));
        assert_eq!(told("EC2 Instance Terminate Successful", MEMBER), Some(Event::Gone(two)));
        assert_eq!(told("EC2 Instance Rebalance Recommendation", EC2), None);
        assert_eq!(told("EC2 Instance Launch Successful", MEMBER), None);
        assert_eq!(told("EC2 Instance Launch Unsuccessful", MEMBER), None);
        assert_eq!(told("Something new", "{}"), None);
        assert!(read("no event").is_err() && read("{}").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_reaches_every_listener_once_and_what_cannot_be_read_stays() {
        let grid = infra::memory::grid();
        // Any queue will do.
        let queue: Arc<dyn TaskQueue> = grid.reports.clone();
        let bodies = [event("EC2 Instance Terminate Successful", MEMBER), event("else", "{}"), "no event".to_owned()];
        assert!(queue.send(&bodies).await.unwrap().iter().all(Result::is_ok));
        let (tell, mut told) = mpsc::channel(WAITING);
        let (tell_too, mut told_too) = mpsc::channel(WAITING);
        let listens = queue.clone();
        let listening = tokio::spawn(async move { listen(&*listens, &[tell, tell_too]).await });
        let gone = Event::Gone(MachineId::new("i-2"));
        assert_eq!((told.recv().await.unwrap(), told_too.recv().await.unwrap()), (gone.clone(), gone));
        sleep(LEASE * 3).await;
        assert!(told.try_recv().is_err() && told_too.try_recv().is_err());
        listening.abort();
        let depth = queue.depth().await.unwrap();
        assert_eq!(depth.waiting + depth.in_flight, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_comes_again() {
        let queue = infra::memory::grid().reports;
        let bodies = ["i-1", "i-2"]
            .map(|id| event("EC2 Instance Terminate Successful", &format!(r#"{{"EC2InstanceId": "{id}"}}"#)));
        assert!(queue.send(&bodies).await.unwrap().iter().all(Result::is_ok));
        let (tell, mut told) = mpsc::channel(1);
        let listens = queue.clone();
        let listening = tokio::spawn(async move { listen(&*listens, &[tell]).await });
        sleep(LEASE / 2).await;
        let mut seen = vec![told.recv().await.unwrap(), told.recv().await.unwrap()];
        seen.sort_by_key(|event| format!("{event:?}"));
        assert_eq!(seen, ["i-1", "i-2"].map(|id| Event::Gone(MachineId::new(id))));
        listening.abort();
    }
}
