//! What the queue in memory promises beyond the contract: it is stricter than SQS, and keeps order without faults.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::sync::Arc;
use std::time::Duration;

use infra::ErrorKind;
use infra::queue::{DeadLetters, Depth, MemoryQueue, QueueFaults, QueueSettings, Receipt, Received, TaskQueue};
use tokio::time::{Instant, advance, timeout};

const LEASE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

fn limited(max_in_flight: usize) -> MemoryQueue {
    MemoryQueue::new(QueueSettings { max_in_flight, ..QueueSettings::default() })
}

async fn send(queue: &MemoryQueue, bodies: &[&str]) {
    let bodies: Vec<String> = bodies.iter().map(|&body| body.to_owned()).collect();
    queue.send(&bodies).await.unwrap().into_iter().for_each(|answer| answer.unwrap());
}

async fn receive(queue: &MemoryQueue, max: usize, wait: Duration) -> Vec<Received> {
    queue.receive(max, LEASE, wait).await.unwrap()
}

async fn delete(queue: &MemoryQueue, receipt: &Receipt) {
    queue.delete(std::slice::from_ref(receipt)).await.unwrap().remove(0).unwrap();
}

async fn extend(queue: &MemoryQueue, receipt: &Receipt, lease: Duration) -> Option<ErrorKind> {
    let answer = queue.extend(std::slice::from_ref(receipt), lease).await.unwrap().remove(0);
    answer.err().map(|refused| refused.kind)
}

fn bodies(messages: Vec<Received>) -> Vec<String> {
    messages.into_iter().map(|message| message.body).collect()
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_an_earlier_receive_deletes_and_extends_nothing() {
    let queue = MemoryQueue::default();
    send(&queue, &["a"]).await;
    let first = receive(&queue, 1, POLL).await.remove(0).receipt;
    advance(LEASE).await;
    delete(&queue, &first).await;
    let second = receive(&queue, 1, POLL).await.remove(0).receipt;
    delete(&queue, &first).await;
    assert_eq!(extend(&queue, &first, LEASE).await, Some(ErrorKind::NotFound));
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 0, in_flight: 1 });
    delete(&queue, &second).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_receipt_is_refused() {
    let queue = MemoryQueue::default();
    for wrong in ["", "1", "a-b", "1-", "-1", "1-2-3"] {
        let receipts = [Receipt(wrong.to_owned())];
        assert_eq!(queue.delete(&receipts).await.unwrap().remove(0).unwrap_err().kind, ErrorKind::Invalid, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_order_and_keep_their_place_when_given_back() {
    let queue = MemoryQueue::default();
    send(&queue, &["a", "b", "c", "d"]).await;
    let first = receive(&queue, 2, POLL).await;
    assert_eq!(extend(&queue, &first[0].receipt, Duration::ZERO).await, None);
    assert_eq!(bodies(receive(&queue, 2, POLL).await), ["a", "c"]);
    assert_eq!(bodies(first), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_zero_takes_nothing_away() {
    let queue = MemoryQueue::default();
    send(&queue, &["a"]).await;
    let peeked = queue.receive(10, Duration::ZERO, POLL).await.unwrap();
    assert_eq!((peeked.len(), queue.depth().await.unwrap()), (1, Depth { waiting: 1, in_flight: 0 }));
    assert_eq!(extend(&queue, &peeked[0].receipt, LEASE).await, Some(ErrorKind::NotFound));
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_in_flight_nothing_comes_until_something_goes() {
    let queue = limited(2);
    send(&queue, &["a", "b", "c"]).await;
    let leased = receive(&queue, 10, POLL).await;
    assert_eq!(leased.len(), 2);
    assert_eq!(receive(&queue, 10, SECOND).await, []);
    let waiting = receive(&queue, 10, POLL);
    let began = Instant::now();
    let (got, ()) = tokio::join!(waiting, delete(&queue, &leased[0].receipt));
    assert_eq!((bodies(got), began.elapsed()), (vec!["c".to_owned()], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_woken_by_a_lease_that_was_made_shorter() {
    let queue = MemoryQueue::default();
    send(&queue, &["a"]).await;
    let leased = receive(&queue, 1, POLL).await.remove(0);
    let shorten = extend(&queue, &leased.receipt, SECOND);
    let began = Instant::now();
    let (first, second, _) = tokio::join!(receive(&queue, 1, POLL), receive(&queue, 1, POLL), shorten);
    assert_eq!(bodies(first), ["a"]);
    assert_eq!((second, began.elapsed()), (vec![], POLL));
}

#[tokio::test(start_paused = true)]
async fn every_poll_learns_of_an_earlier_event_though_others_give_up() {
    let queue = MemoryQueue::default();
    send(&queue, &["a"]).await;
    let leased = receive(&queue, 1, POLL).await.remove(0);
    let impatient = async || assert!(timeout(SECOND / 2, receive(&queue, 1, POLL)).await.is_err());
    let began = Instant::now();
    let patient = async || (bodies(receive(&queue, 1, POLL).await), began.elapsed());
    let shorten = extend(&queue, &leased.receipt, SECOND);
    let ((), (), (), got, _) = tokio::join!(impatient(), impatient(), impatient(), patient(), shorten);
    assert_eq!(got, (vec!["a".to_owned()], SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_given_up_takes_no_message_and_no_wake_up_along() {
    let queue = MemoryQueue::default();
    let mut given_up = Box::pin(receive(&queue, 1, POLL));
    let mut patient = Box::pin(receive(&queue, 1, POLL));
    assert!(timeout(Duration::ZERO, &mut given_up).await.is_err());
    assert!(timeout(Duration::ZERO, &mut patient).await.is_err());
    send(&queue, &["a"]).await;
    drop(given_up);
    let began = Instant::now();
    assert_eq!((bodies(patient.await), began.elapsed()), (vec!["a".to_owned()], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn every_poll_gets_one_of_a_batch() {
    let queue = MemoryQueue::default();
    // Its lease ends first, so that the leases of the batch change nobody's alarm.
    send(&queue, &["before"]).await;
    queue.receive(1, SECOND, POLL).await.unwrap();
    let polls = futures::future::join_all((0..3).map(|_| receive(&queue, 1, POLL)));
    let began = Instant::now();
    let (got, ()) = tokio::join!(polls, send(&queue, &["a", "b", "c"]));
    let mut got: Vec<String> = got.into_iter().flat_map(bodies).collect();
    got.sort();
    assert_eq!((got.join(""), began.elapsed()), ("abc".to_owned(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_old_message_is_gone_wherever_it_lies() {
    let retention = 10 * LEASE;
    let aging = |dead_letters| QueueSettings { dead_letters, retention, ..QueueSettings::default() };
    let dead = Arc::new(MemoryQueue::new(aging(None)));
    let queue = MemoryQueue::new(aging(Some(DeadLetters { max_receives: 1, queue: dead.clone() })));
    send(&queue, &["dead", "leased", "waiting"]).await;
    assert_eq!(receive(&queue, 1, POLL).await.len(), 1);
    advance(retention / 2).await;
    let leased = queue.receive(1, retention, POLL).await.unwrap();
    assert_eq!((bodies(leased), dead.depth().await.unwrap().waiting), (vec!["leased".to_owned()], 1));
    assert_eq!(queue.depth().await.unwrap(), Depth { waiting: 1, in_flight: 1 });
    advance(retention / 2).await;
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    assert_eq!(dead.depth().await.unwrap(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_poll_for_dead_letters_is_woken() {
    let dead = Arc::new(MemoryQueue::default());
    let dead_letters = Some(DeadLetters { max_receives: 1, queue: dead.clone() });
    let queue = MemoryQueue::new(QueueSettings { dead_letters, ..QueueSettings::default() });
    send(&queue, &["a"]).await;
    let message = receive(&queue, 1, POLL).await.remove(0);
    assert_eq!(extend(&queue, &message.receipt, Duration::ZERO).await, None);
    let began = Instant::now();
    let (letters, received) = tokio::join!(receive(&dead, 1, POLL), receive(&queue, 1, Duration::ZERO));
    assert_eq!((bodies(letters), received, began.elapsed()), (vec!["a".to_owned()], vec![], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn faults_follow_from_their_seed() {
    let story = async |seed| {
        let faults = QueueFaults {
            seed,
            duplicate: 0.2,
            delay: 0.2,
            max_delay: LEASE,
            lose: 0.2,
            fail_entry: 0.2,
            shuffle: 0.5,
        };
        let queue = MemoryQueue::new(QueueSettings { faults, ..QueueSettings::default() });
        for n in 0..100 {
            let _ = queue.send(&[n.to_string()]).await.unwrap();
        }
        let mut story = Vec::new();
        while queue.depth().await.unwrap().waiting > 0 {
            story.extend(bodies(queue.receive(1, 100 * LEASE, POLL).await.unwrap()));
        }
        story
    };
    assert_eq!(story(1).await, story(1).await);
    assert_ne!(story(1).await, story(2).await);
}

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_its_name_says() {
    let with = |faults: QueueFaults| MemoryQueue::new(QueueSettings { faults, ..QueueSettings::default() });
    let lossy = with(QueueFaults { lose: 1.0, ..QueueFaults::default() });
    send(&lossy, &["a"]).await;
    assert_eq!(lossy.depth().await.unwrap(), Depth::default());

    let doubling = with(QueueFaults { duplicate: 1.0, ..QueueFaults::default() });
    send(&doubling, &["a"]).await;
    assert_eq!(bodies(receive(&doubling, 10, POLL).await), ["a", "a"]);

    let slow = with(QueueFaults { delay: 1.0, max_delay: LEASE, ..QueueFaults::default() });
    send(&slow, &["a"]).await;
    assert_eq!((receive(&slow, 1, Duration::ZERO).await, slow.depth().await.unwrap().waiting), (vec![], 1));
    advance(LEASE).await;
    assert_eq!(bodies(receive(&slow, 1, Duration::ZERO).await), ["a"]);

    let failing = with(QueueFaults { fail_entry: 1.0, ..QueueFaults::default() });
    for _ in 0..20 {
        assert_eq!(failing.send(&["a".to_owned()]).await.unwrap().remove(0).unwrap_err().kind, ErrorKind::Unavailable);
    }
    failing.calm();
    send(&failing, &["a"]).await;
    assert!((2..21).contains(&failing.depth().await.unwrap().waiting), "some of those that failed were applied");
}
