//! What every queue must do. A check asserts nothing that SQS does not promise; what our queue in memory promises
//! beyond that is tested beside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use grid_core::limits::{MAX_LEASE, MAX_MESSAGE_BYTES, QUEUE_BATCH};
use tokio::time::{Instant, sleep};

use super::kind;
use crate::queue::{Depth, Receipt, Received, TaskQueue};
use crate::{ErrorKind, Result};

/// An empty queue with a queue for its dead letters.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The queue.
    pub queue: Arc<dyn TaskQueue>,
    /// Where messages go after `max_receives`.
    pub dead_letters: Arc<dyn TaskQueue>,
    /// At least 3.
    pub max_receives: u32,
    /// How many messages are many: as many as the queue takes in seconds.
    pub many: usize,
}

/// Calls a macro with some arguments in brackets and the names of all checks.
#[macro_export]
#[doc(hidden)]
macro_rules! queue_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            what_is_sent_is_received_and_gone_once_deleted
            an_empty_queue_gives_nothing
            a_leased_message_is_not_received_again
            a_message_comes_again_when_its_lease_ends
            an_extended_lease_lasts_longer
            a_message_that_is_given_back_comes_at_once
            a_lease_that_is_over_cannot_be_extended
            a_stale_receipt_is_no_error
            a_long_poll_ends_when_a_message_is_sent
            a_long_poll_ends_when_a_lease_does
            a_batch_is_answered_entry_by_entry
            a_batch_is_limited
            bodies_are_limited
            leases_are_limited
            a_message_received_too_often_becomes_a_dead_letter
            the_depth_counts_waiting_and_leased_messages
            nothing_is_lost_among_many
        }
    };
}

macro_rules! named {
    ([$fixture:ty] $($check:ident)*) => { super::suite! { $fixture: $($check)* } };
}
queue_checks!(named![Fresh]);

/// SQS counts in whole seconds.
const LEASE: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(20);

async fn what_is_sent_is_received_and_gone_once_deleted(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["{\"v\": 1}"]).await;
    let message = receive(&*queue, LONG).await;
    assert_eq!((message.body.as_str(), message.receives), ("{\"v\": 1}", 1));
    delete(&*queue, &message).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

async fn an_empty_queue_gives_nothing(Fresh { queue, .. }: Fresh) {
    for wait in [Duration::ZERO, Duration::from_secs(1)] {
        assert_eq!(queue.receive(10, LEASE, wait).await.unwrap(), []);
    }
}

async fn a_leased_message_is_not_received_again(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    receive(&*queue, LONG).await;
    assert_eq!(queue.receive(10, LEASE, Duration::from_secs(3)).await.unwrap(), []);
}

async fn a_message_comes_again_when_its_lease_ends(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let first = receive(&*queue, LEASE).await;
    sleep(LEASE).await;
    let second = receive(&*queue, LONG).await;
    assert_eq!((second.body.as_str(), second.receives), ("a", 2));
    assert_ne!(second.receipt, first.receipt);
    delete(&*queue, &second).await;
}

async fn an_extended_lease_lasts_longer(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let message = receive(&*queue, LEASE).await;
    assert_eq!(extend(&*queue, &message, LONG).await, None);
    sleep(LEASE * 2).await;
    assert_eq!(queue.receive(10, LEASE, Duration::ZERO).await.unwrap(), []);
    delete(&*queue, &message).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

async fn a_message_that_is_given_back_comes_at_once(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let first = receive(&*queue, LONG).await;
    assert_eq!(extend(&*queue, &first, Duration::ZERO).await, None);
    let second = receive(&*queue, LONG).await;
    assert_eq!((second.body.as_str(), second.receives), ("a", 2));
}

async fn a_lease_that_is_over_cannot_be_extended(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let expired = receive(&*queue, LEASE).await;
    sleep(LEASE * 2).await;
    assert_eq!(extend(&*queue, &expired, LONG).await, Some(ErrorKind::NotFound));
    let again = receive(&*queue, LONG).await;
    delete(&*queue, &again).await;
    assert_eq!(extend(&*queue, &again, LONG).await, Some(ErrorKind::NotFound));
}

async fn a_stale_receipt_is_no_error(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let first = receive(&*queue, LEASE).await;
    sleep(LEASE).await;
    let second = receive(&*queue, LONG).await;
    delete(&*queue, &first).await;
    delete(&*queue, &second).await;
    delete(&*queue, &second).await;
}

async fn a_long_poll_ends_when_a_message_is_sent(Fresh { queue, .. }: Fresh) {
    let began = Instant::now();
    let waiting = {
        let queue = queue.clone();
        tokio::spawn(async move { queue.receive(1, LONG, POLL).await })
    };
    sleep(Duration::from_secs(1)).await;
    send(&*queue, &["a"]).await;
    assert_eq!(bodies(&waiting.await.unwrap().unwrap()), ["a"]);
    assert!(began.elapsed() < POLL / 2, "it ends with the message, not with the poll");
}

async fn a_long_poll_ends_when_a_lease_does(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    receive(&*queue, LEASE).await;
    let began = Instant::now();
    assert_eq!(bodies(&queue.receive(1, LONG, POLL).await.unwrap()), ["a"]);
    assert!(began.elapsed() < POLL / 2, "it ends with the lease, not with the poll");
}

async fn a_batch_is_answered_entry_by_entry(Fresh { queue, .. }: Fresh) {
    let answers = queue.send(&["a".to_owned(), "b\u{0}".to_owned(), "c".to_owned()]).await.unwrap();
    assert_eq!(kinds(answers), [None, Some(ErrorKind::Invalid), None]);
    let messages = drain(&*queue, 2).await;
    assert_eq!(sorted_bodies(&messages), ["a", "c"]);
    let receipts: Vec<Receipt> = messages.into_iter().map(|message| message.receipt).collect();
    assert_eq!(kinds(queue.extend(&receipts, LONG).await.unwrap()), [None, None]);
    assert_eq!(kinds(queue.delete(&receipts).await.unwrap()), [None, None]);
    assert_eq!(kinds(queue.send(&[]).await.unwrap()), []);
}

async fn a_batch_is_limited(Fresh { queue, .. }: Fresh) {
    let bodies = vec!["x".to_owned(); QUEUE_BATCH + 1];
    assert_eq!(kind(queue.send(&bodies).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(queue.receive(QUEUE_BATCH + 1, LEASE, Duration::ZERO).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(queue.receive(0, LEASE, Duration::ZERO).await), Some(ErrorKind::Invalid));
    let receipts = vec![Receipt("0-0".to_owned()); QUEUE_BATCH + 1];
    assert_eq!(kind(queue.delete(&receipts).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(queue.extend(&receipts, LEASE).await), Some(ErrorKind::Invalid));
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

async fn bodies_are_limited(Fresh { queue, .. }: Fresh) {
    let largest = "x".repeat(MAX_MESSAGE_BYTES);
    let printable: String = (b' '..=b'~').map(char::from).collect();
    for wrong in [&format!("{largest}x"), "", "\n", "\u{7f}", "\u{e9}", "\u{fffe}"] {
        let answers = queue.send(&[wrong.to_owned()]).await.unwrap();
        assert_eq!(kinds(answers), [Some(ErrorKind::Invalid)], "{} bytes", wrong.len());
    }
    for right in [largest, printable] {
        send(&*queue, &[&right]).await;
        let message = receive(&*queue, LONG).await;
        assert_eq!(message.body, right);
        delete(&*queue, &message).await;
    }
}

async fn leases_are_limited(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a"]).await;
    let too_long = MAX_LEASE + Duration::from_secs(1);
    assert_eq!(kind(queue.receive(1, too_long, Duration::ZERO).await), Some(ErrorKind::Invalid));
    let message = receive(&*queue, LONG).await;
    let receipts = [message.receipt.clone()];
    assert_eq!(kind(queue.extend(&receipts, too_long).await), Some(ErrorKind::Invalid));
    sleep(LEASE).await;
    assert_eq!(extend(&*queue, &message, MAX_LEASE).await, Some(ErrorKind::Invalid), "all in all it is too long");
    assert_eq!(extend(&*queue, &message, LONG).await, None);
}

async fn a_message_received_too_often_becomes_a_dead_letter(Fresh { queue, dead_letters, max_receives, .. }: Fresh) {
    send(&*queue, &["poison"]).await;
    for receives in 1..=max_receives {
        let message = receive(&*queue, LONG).await;
        assert_eq!((message.body.as_str(), message.receives), ("poison", receives));
        assert_eq!(extend(&*queue, &message, Duration::ZERO).await, None);
    }
    assert_eq!(queue.receive(1, LONG, Duration::from_secs(1)).await.unwrap(), []);
    let dead = receive(&*dead_letters, LONG).await;
    assert_eq!(dead.body, "poison");
    delete(&*dead_letters, &dead).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

async fn the_depth_counts_waiting_and_leased_messages(Fresh { queue, .. }: Fresh) {
    send(&*queue, &["a", "b", "c"]).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 3, in_flight: 0 });
    let message = receive(&*queue, LONG).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 2, in_flight: 1 });
    delete(&*queue, &message).await;
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 2, in_flight: 0 });
}

/// Also holds for a queue that fails, delays, repeats and shuffles, as long as it loses nothing.
async fn nothing_is_lost_among_many(Fresh { queue, dead_letters, many, .. }: Fresh) {
    let sent: BTreeSet<String> = (0..many).map(|n| format!("message {n}")).collect();
    let mut unsent: Vec<String> = sent.iter().cloned().collect();
    while !unsent.is_empty() {
        let batch: Vec<String> = unsent.split_off(unsent.len().saturating_sub(QUEUE_BATCH));
        let answers = queue.send(&batch).await.unwrap();
        unsent.extend(batch.into_iter().zip(answers).filter(|(_, answer)| answer.is_err()).map(|(body, _)| body));
    }
    let mut seen = BTreeSet::new();
    while !is_empty(&*queue).await || !is_empty(&*dead_letters).await {
        seen.extend(receive_and_delete(&*queue, POLL).await);
        seen.extend(receive_and_delete(&*dead_letters, Duration::ZERO).await);
    }
    assert!(seen == sent, "{} of {} came", seen.len(), sent.len());
}

async fn receive_and_delete(queue: &dyn TaskQueue, wait: Duration) -> Vec<String> {
    let messages = queue.receive(QUEUE_BATCH, LONG, wait).await.unwrap();
    let receipts: Vec<Receipt> = messages.iter().map(|message| message.receipt.clone()).collect();
    // A message whose entry fails comes again.
    let _ = queue.delete(&receipts).await.unwrap();
    messages.into_iter().map(|message| message.body).collect()
}

async fn is_empty(queue: &dyn TaskQueue) -> bool {
    queue.depth().await.unwrap() == Depth::default()
}

async fn send(queue: &dyn TaskQueue, bodies: &[&str]) {
    let bodies: Vec<String> = bodies.iter().map(|&body| body.to_owned()).collect();
    let answers = queue.send(&bodies).await.unwrap();
    assert_eq!(kinds(answers), vec![None; bodies.len()]);
}

/// The one message that must be there; a queue may take its time.
async fn receive(queue: &dyn TaskQueue, lease: Duration) -> Received {
    let mut messages = queue.receive(1, lease, POLL).await.unwrap();
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

async fn drain(queue: &dyn TaskQueue, expected: usize) -> Vec<Received> {
    let mut messages = Vec::new();
    while messages.len() < expected {
        let more = queue.receive(QUEUE_BATCH, LONG, POLL).await.unwrap();
        assert!(!more.is_empty(), "{} of {expected} came", messages.len());
        messages.extend(more);
    }
    messages
}

async fn delete(queue: &dyn TaskQueue, message: &Received) {
    let answers = queue.delete(std::slice::from_ref(&message.receipt)).await.unwrap();
    assert_eq!(kinds(answers), [None]);
}

async fn extend(queue: &dyn TaskQueue, message: &Received, lease: Duration) -> Option<ErrorKind> {
    let answers = queue.extend(std::slice::from_ref(&message.receipt), lease).await.unwrap();
    assert_eq!(answers.len(), 1);
    kinds(answers).remove(0)
}

fn kinds(answers: Vec<Result<()>>) -> Vec<Option<ErrorKind>> {
    answers.into_iter().map(kind).collect()
}

fn bodies(messages: &[Received]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn sorted_bodies(messages: &[Received]) -> Vec<&str> {
    let mut bodies = bodies(messages);
    bodies.sort_unstable();
    bodies
}
