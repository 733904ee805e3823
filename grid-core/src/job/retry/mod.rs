//! What becomes of items that failed: [`rule`] has what users can say about it, and this the rest.

pub(crate) mod rule;

use crate::limits::MAX_DEATHS;
use crate::pipeline::{Backoff, Retry, RetryThen};
use crate::reason::{Blame, Failure, Reason};

/// Draws a number from 0 to 1, for jitter.
pub type Draw<'a> = &'a mut dyn FnMut() -> f64;

/// What was spent on an item before the failure in question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Failures charged to the user's attempts.
    pub failures: u32,
    /// Those of them that every one of the items is to blame for itself: it was named, or alone.
    pub own: u32,
    /// Failures charged to the machines.
    pub deaths: u32,
    /// The memory limit was multiplied by this.
    pub memory_factor: f64,
}

/// Nothing.
impl Default for Spent {
    fn default() -> Self {
        Self { failures: 0, own: 0, deaths: 0, memory_factor: 1.0 }
    }
}

impl Spent {
    /// What is spent on a half of so many items. An item that is alone has all attempts but those that it failed itself:
    /// the others may have been the doing of its neighbours, and the rules have yet to see how it fails.
    pub fn on_half(self, items: u32) -> Self {
        if items == 1 { Self { failures: self.own, ..self } } else { self }
    }
}

/// What becomes of failed items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Another attempt.
    Again {
        /// Not before this much later, milliseconds.
        delay_ms: u64,
        /// What is spent by then.
        spent: Spent,
    },
    /// Two tasks of half the items: one of them is to blame.
    Halve {
        /// What is spent by then; see `Spent::on_half`.
        spent: Spent,
    },
    /// Given up on.
    Dead,
    /// Left out.
    Skip,
}

/// Decides about one failure of `items` items (several where the blame is not known) after what was `spent` before.
pub fn decide(retry: &Retry, failure: &Failure, items: u32, spent: Spent, draw: Draw<'_>) -> Verdict {
    match failure.reason.blame() {
        Blame::Grid => Verdict::Again { delay_ms: 0, spent },
        Blame::Machine => after_machine_failure(retry, failure, items, spent, draw),
        Blame::User => after_user_failure(retry, failure, items, spent, draw),
    }
}

fn after_machine_failure(retry: &Retry, failure: &Failure, items: u32, spent: Spent, draw: Draw<'_>) -> Verdict {
    // A lease is only given up for lost after MAX_DEATHS deliveries: such a manifest stands for that many deaths.
    let deaths = if failure.reason == Reason::LeaseLost { MAX_DEATHS } else { spent.deaths + 1 };
    let spent = Spent { deaths, ..spent };
    if deaths < MAX_DEATHS {
        return Verdict::Again { delay_ms: wait_ms(&retry.backoff, deaths, draw), spent };
    }
    if items > 1 { Verdict::Halve { spent: Spent { deaths: 0, ..spent } } } else { Verdict::Dead }
}

fn after_user_failure(retry: &Retry, failure: &Failure, items: u32, spent: Spent, draw: Draw<'_>) -> Verdict {
    let failures = spent.failures + 1;
    let own = spent.own + u32::from(items == 1);
    let rule = retry.rules.iter().find(|rule| rule.when.matches(failure));
    let memory_factor = spent.memory_factor * rule.and_then(|rule| rule.memory_factor).unwrap_or(1.0);
    let then = match rule {
        Some(rule) => rule.then,
        // The input was pinned: it will not get better by waiting.
        None if failure.reason == Reason::Input => RetryThen::Fail,
        None => RetryThen::Retry,
    };
    if then.tries_again() && failures < retry.attempts {
        let delay_ms = wait_ms(&retry.backoff, failures, draw);
        return Verdict::Again { delay_ms, spent: Spent { failures, own, memory_factor, ..spent } };
    }
    // Each half of several items has one try, or the search for the bad item would cost all attempts at every step.
    if items > 1 {
        let failures = retry.attempts.saturating_sub(1);
        return Verdict::Halve { spent: Spent { failures, memory_factor, ..spent } };
    }
    then.in_the_end()
}

/// Exponential backoff before the attempt after failure number `failures`, of which the share `jitter` is drawn.
fn wait_ms(backoff: &Backoff, failures: u32, draw: Draw<'_>) -> u64 {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let longest = backoff.max.as_secs_f64();
    let full = (backoff.initial.as_secs_f64() * backoff.factor.powi(exponent)).min(longest);
    let drawn = full * (1.0 - backoff.jitter * draw());
    (drawn * 1_000.0) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::{RetryRule, RetryWhen};

    const FRESH: Spent = Spent { failures: 0, own: 0, deaths: 0, memory_factor: 1.0 };

    fn retry(attempts: u32, rules: Vec<RetryRule>) -> Retry {
        let backoff =
            Backoff { initial: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(5), jitter: 0.5 };
        Retry { attempts, backoff, rules }
    }

    fn exit(status: i32) -> Failure {
        Failure { exit: Some(status), ..Failure::new(Reason::Exit, "exit") }
    }

    fn verdict(retry: &Retry, failure: &Failure, items: u32, spent: Spent) -> Verdict {
        decide(retry, failure, items, spent, &mut || 0.0)
    }

    #[test]
    fn a_failure_is_tried_again_until_the_attempts_are_used_up() {
        let policy = retry(2, vec![]);
        let spent = Spent { failures: 1, own: 1, ..FRESH };
        assert_eq!(verdict(&policy, &exit(1), 1, FRESH), Verdict::Again { delay_ms: 1_000, spent });
        assert_eq!(verdict(&policy, &exit(1), 1, spent), Verdict::Dead);
    }

    #[test]
    fn the_wait_grows_to_its_bound_and_is_partly_drawn() {
        let policy = retry(9, vec![]);
        let waits: Vec<u64> = (1..=5).map(|n| wait_ms(&policy.backoff, n, &mut || 0.0)).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(wait_ms(&policy.backoff, 1, &mut || 1.0), 500);
        assert_eq!(wait_ms(&policy.backoff, u32::MAX, &mut || 0.0), 5_000);
    }

    #[test]
    fn the_bad_item_of_a_bundle_is_searched_by_halving() {
        let policy = retry(1, vec![]);
        assert_eq!(verdict(&policy, &exit(1), 8, FRESH), Verdict::Halve { spent: FRESH });
        assert_eq!(verdict(&policy, &exit(1), 1, FRESH), Verdict::Dead);
    }

    #[test]
    fn an_item_that_is_alone_after_the_search_has_all_attempts() {
        let policy = retry(3, vec![]);
        let Verdict::Halve { spent } = verdict(&policy, &exit(1), 3, Spent { failures: 2, ..FRESH }) else {
            panic!("a bundle without attempts is halved");
        };
        assert_eq!(verdict(&policy, &exit(1), 2, spent.on_half(2)), Verdict::Halve { spent }, "one try for several");
        assert!(matches!(verdict(&policy, &exit(1), 1, spent.on_half(1)), Verdict::Again { .. }));
    }

    #[test]
    fn what_an_item_failed_itself_is_spent_when_it_is_halved_out_of_a_bundle() {
        let policy = retry(3, vec![]);
        let Verdict::Again { spent, .. } = verdict(&policy, &exit(1), 1, FRESH) else { panic!("it has attempts left") };
        let together = Spent { failures: spent.failures + 1, ..spent };
        assert_eq!(verdict(&policy, &exit(1), 2, spent), Verdict::Again { delay_ms: 2_000, spent: together });
        let lost = Failure::new(Reason::LeaseLost, "gone");
        let Verdict::Halve { spent: half } = verdict(&policy, &lost, 2, together) else { panic!("two died") };
        assert_eq!(half.on_half(1), spent);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let when = RetryWhen { exit: vec![4], ..RetryWhen::default() };
        let skip = RetryRule { when: when.clone(), then: RetryThen::Skip, memory_factor: None };
        let fail = RetryRule { when, then: RetryThen::Fail, memory_factor: None };
        let policy = retry(3, vec![skip, fail]);
        assert_eq!(verdict(&policy, &exit(4), 1, FRESH), Verdict::Skip);
        assert!(matches!(verdict(&policy, &exit(5), 1, FRESH), Verdict::Again { .. }));
    }

    #[test]
    fn a_rule_can_ask_for_more_memory() {
        let when = RetryWhen { reason: vec![Reason::Oom], ..RetryWhen::default() };
        let policy = retry(3, vec![RetryRule { when, then: RetryThen::Retry, memory_factor: Some(2.0) }]);
        let spent = Spent { failures: 1, own: 1, memory_factor: 2.0, ..FRESH };
        let oom = Failure::new(Reason::Oom, "killed");
        assert_eq!(verdict(&policy, &oom, 1, FRESH), Verdict::Again { delay_ms: 1_000, spent });
        let half = Spent { failures: 2, memory_factor: 4.0, ..FRESH };
        assert_eq!(
            verdict(&policy, &oom, 2, Spent { failures: 2, ..spent }),
            Verdict::Halve { spent: Spent { own: 1, ..half } }
        );
    }

    #[test]
    fn losing_a_machine_never_uses_up_the_users_attempts() {
        let policy = retry(1, vec![]);
        let drain = Failure::new(Reason::Drain, "drained");
        assert_eq!(verdict(&policy, &drain, 3, FRESH), Verdict::Again { delay_ms: 0, spent: FRESH });
        let full = Failure::new(Reason::DiskFull, "full");
        let spent = Spent { deaths: 1, ..FRESH };
        assert_eq!(verdict(&policy, &full, 1, FRESH), Verdict::Again { delay_ms: 1_000, spent });
        assert_eq!(verdict(&policy, &full, 1, Spent { deaths: MAX_DEATHS - 1, ..FRESH }), Verdict::Dead);
        let lost = Failure::new(Reason::LeaseLost, "gone");
        assert_eq!(verdict(&policy, &lost, 1, FRESH), Verdict::Dead);
        assert_eq!(verdict(&policy, &lost, 2, FRESH), Verdict::Halve { spent: FRESH });
    }

    #[test]
    fn an_input_that_changed_is_not_tried_again() {
        let (policy, changed) = (retry(3, vec![]), Failure::new(Reason::Input, "changed"));
        assert_eq!(verdict(&policy, &changed, 1, FRESH), Verdict::Dead);
        let spent = Spent { failures: 2, ..FRESH };
        assert_eq!(verdict(&policy, &changed, 2, FRESH), Verdict::Halve { spent }, "one try for each half");
    }
}
