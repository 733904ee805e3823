//! What every notifier must do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use grid_core::limits::{MAX_MESSAGE_BYTES, QUEUE_BATCH};

use super::kind;
use crate::notify::Notifier;
use crate::{ErrorKind, Result};

/// A notifier, and the other end of its queues.
pub struct Fresh {
    /// The notifier.
    pub notifier: Arc<dyn Notifier>,
    /// Queues that it admits; nothing lies in them.
    pub admitted: [String; 2],
    /// Queues that it does not admit, although some of them are there.
    pub refused: Vec<String>,
    /// So many events that lie in a queue, as its owner finds them; waits for them.
    pub read: ReadEvents,
}

/// Reads a number of events of a queue.
pub type ReadEvents = Box<dyn Fn(String, usize) -> BoxFuture<'static, Vec<String>> + Send + Sync>;

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { notifier, admitted, refused, read: _ } = self;
        f.debug_struct("Fresh")
            .field("notifier", notifier)
            .field("admitted", admitted)
            .field("refused", refused)
            .finish_non_exhaustive()
    }
}

/// Calls a macro with some arguments in brackets and the names of all checks.
#[macro_export]
#[doc(hidden)]
macro_rules! notify_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            events_arrive_in_the_queue_that_was_named
            a_repeat_arrives_again
            a_queue_that_is_not_admitted_gets_nothing
            a_batch_of_events_is_limited
            an_event_that_no_queue_takes_is_refused_in_its_place
            whoever_is_told_finds_the_objects
        }
    };
}

macro_rules! named {
    ([$fixture:ty] $($check:ident)*) => { super::suite! { $fixture: $($check)* } };
}
notify_checks!(named![Fresh]);

async fn events_arrive_in_the_queue_that_was_named(fresh: Fresh) {
    let [one, other] = &fresh.admitted;
    let events: Vec<String> = (0..QUEUE_BATCH).map(|nth| format!("{{\"id\": \"{nth}\"}}")).collect();
    all_right(fresh.notifier.send(one, &events).await, QUEUE_BATCH);
    all_right(fresh.notifier.send(other, &["{\"id\": \"other\"}".to_owned()]).await, 1);
    assert_eq!(sorted((fresh.read)(one.clone(), QUEUE_BATCH).await), sorted(events));
    assert_eq!((fresh.read)(other.clone(), 1).await, ["{\"id\": \"other\"}"]);
}

async fn a_repeat_arrives_again(fresh: Fresh) {
    // It keeps nothing in mind: whoever is told knows a repeat by its id.
    let event = ["{\"id\": \"again\"}".to_owned()];
    for _ in 0..2 {
        all_right(fresh.notifier.send(&fresh.admitted[0], &event).await, 1);
    }
    assert_eq!((fresh.read)(fresh.admitted[0].clone(), 2).await, [event[0].clone(), event[0].clone()]);
}

async fn a_queue_that_is_not_admitted_gets_nothing(fresh: Fresh) {
    for queue in &fresh.admitted {
        fresh.notifier.admits(queue).unwrap();
    }
    assert!(!fresh.refused.is_empty(), "a notifier that admits everything is none");
    for queue in &fresh.refused {
        assert_eq!(kind(fresh.notifier.admits(queue)), Some(ErrorKind::Invalid), "{queue}");
        assert_eq!(kind(fresh.notifier.send(queue, &["{}".to_owned()]).await), Some(ErrorKind::Invalid), "{queue}");
    }
}

async fn a_batch_of_events_is_limited(fresh: Fresh) {
    let queue = &fresh.admitted[0];
    let events = vec!["{}".to_owned(); QUEUE_BATCH + 1];
    assert_eq!(kind(fresh.notifier.send(queue, &events).await), Some(ErrorKind::Invalid));
    all_right(fresh.notifier.send(queue, &[]).await, 0);
    all_right(fresh.notifier.send(queue, &["{\"id\": \"after\"}".to_owned()]).await, 1);
    assert_eq!((fresh.read)(queue.clone(), 1).await, ["{\"id\": \"after\"}"]);
}

async fn an_event_that_no_queue_takes_is_refused_in_its_place(fresh: Fresh) {
    let queue = &fresh.admitted[0];
    let whole = "x".repeat(MAX_MESSAGE_BYTES);
    let events = [format!("{whole}x"), "good".to_owned(), "\u{1}".to_owned(), whole.clone(), "\u{fc}".to_owned()];
    let answers = fresh.notifier.send(queue, &events).await.unwrap();
    let kinds: Vec<Option<ErrorKind>> = answers.into_iter().map(kind).collect();
    let invalid = Some(ErrorKind::Invalid);
    assert_eq!(kinds, [invalid, None, invalid, None, invalid]);
    assert_eq!(sorted((fresh.read)(queue.clone(), 2).await), sorted(vec!["good".to_owned(), whole]));
}

async fn whoever_is_told_finds_the_objects(fresh: Fresh) {
    let uri = fresh.notifier.uri("jobs/1/a b");
    let (scheme, place) = uri.split_once("://").unwrap_or_else(|| panic!("{uri} is no URI"));
    assert!(!scheme.is_empty() && place.ends_with("jobs/1/a b"), "{uri}");
}

fn all_right(answers: Result<Vec<Result<()>>>, count: usize) {
    let answers = answers.unwrap();
    assert_eq!(answers.len(), count);
    for answer in answers {
        answer.unwrap();
    }
}

fn sorted(events: Vec<String>) -> BTreeSet<String> {
    let count = events.len();
    let set: BTreeSet<String> = events.into_iter().collect();
    assert_eq!(set.len(), count, "each of them once");
    set
}
