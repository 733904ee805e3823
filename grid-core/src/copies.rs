//! Which tasks get a copy: a second execution of the same attempt on another worker, since the first is far slower than the
//! others of its stage. Whichever commits first is how the attempt ends.
//!
//! A task is judged by its items: bundles differ in size, and what an item takes does not. Nothing here sends anything.

use std::collections::VecDeque;
use std::time::Duration;

/// Copies of one attempt, at most: two machines that are both slow are rare, and a task that is slow on two is slow by itself.
pub const MAX_COPIES: u32 = 1;

/// A task is a straggler from so many times on what three of four tasks take at most (as Spark's speculation has it).
const FACTOR: f64 = 1.5;

/// Copies run in one of so many slots at most: one machine of eight that is slow is made good at once, and a stage whose items
/// differ in truth costs little more.
const SLOTS_PER_COPY: u32 = 8;

/// Results from which on a stage's times say anything.
const LEAST_RESULTS: usize = 4;

/// Results that are remembered of a stage: what it did long ago fades.
const MAX_RESULTS: usize = 256;

/// How long the items of a stage took, task by task: the newest results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemTimes(VecDeque<f64>);

/// How long an item of a stage takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ItemTime {
    /// Seconds that half of the tasks need for an item at most.
    pub half: f64,
    /// Seconds that three of four do.
    pub three_quarters: f64,
}

/// A task that executes somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Execution {
    /// Items in it.
    pub items: u32,
    /// How long it has executed.
    pub age: Duration,
    /// How long it had when it last told how far it is.
    pub told_at: Duration,
    /// Items that had ended then, and parts of items where a command says how far it is.
    pub items_done: f64,
    /// How long items of its stage take.
    pub usual: ItemTime,
}

/// Where copies could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Slots of all workers.
    pub slots: u32,
    /// Of those, the ones for which there is no task.
    pub idle: u32,
    /// Copies that run, or were sent.
    pub copies: u32,
    /// No task that has run for less is copied: below it a copy costs more than it saves.
    pub least_age: Duration,
}

/// Which executions get a copy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Their places, the one with the most left to do first.
    pub copied: Vec<usize>,
    /// After this time there may be another one, though nothing is heard until then.
    pub look_again: Option<Duration>,
}

/// What an execution is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// As fast as others, for so much longer.
    Timely(Duration),
    /// Slow, and over before a copy would be.
    AlmostDone,
    /// Slow, and with so many seconds left to do; infinitely many where it has said nothing.
    Straggles(f64),
}

impl ItemTimes {
    /// A task of so many items succeeded.
    pub fn learn(&mut self, items: u32, busy: Duration) {
        if items == 0 {
            return;
        }
        if self.0.len() == MAX_RESULTS {
            self.0.pop_front();
        }
        self.0.push_back(busy.as_secs_f64() / f64::from(items));
    }

    /// What is usual; nothing while too few have ended.
    pub fn usual(&self) -> Option<ItemTime> {
        if self.0.len() < LEAST_RESULTS {
            return None;
        }
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        // By nearest rank: a time that some task did take.
        let rank = |quarters: usize| sorted[(quarters * sorted.len()).div_ceil(4) - 1];
        Some(ItemTime { half: rank(2), three_quarters: rank(3) })
    }
}

/// Chooses what to copy: stragglers alone, as long as slots are idle and copies have not their share yet, those first that have the
/// most left to do.
pub fn choose(executions: &[Execution], room: &Room) -> Choice {
    let share = (room.slots / SLOTS_PER_COPY).max(1);
    let free = room.idle.min(share.saturating_sub(room.copies)) as usize;
    if free == 0 {
        return Choice::default();
    }
    let (mut late, mut look_again) = (Vec::new(), None);
    for (place, execution) in executions.iter().enumerate() {
        match execution.verdict(room.least_age) {
            Verdict::Straggles(left) => late.push((place, left)),
            Verdict::Timely(more) => look_again = look_again.min(Some(more)).or(Some(more)),
            Verdict::AlmostDone => {}
        }
    }
    late.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    Choice { copied: late.into_iter().take(free).map(|(place, _)| place).collect(), look_again }
}

impl Execution {
    fn verdict(&self, least_age: Duration) -> Verdict {
        let items = f64::from(self.items);
        let late_at = seconds(FACTOR * self.usual.three_quarters * items).max(least_age);
        if self.age < late_at {
            return Verdict::Timely(late_at - self.age);
        }
        let done = self.items_done / items;
        if done <= 0.0 {
            return Verdict::Straggles(f64::INFINITY);
        }
        let left = self.told_at.as_secs_f64() / done - self.age.as_secs_f64();
        if left > self.usual.half * items { Verdict::Straggles(left) } else { Verdict::AlmostDone }
    }
}

/// What is longer than any time is as long as can be told.
fn seconds(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: ItemTime = ItemTime { half: 1.0, three_quarters: 2.0 };

    const ROOM: Room = Room { slots: 16, idle: 16, copies: 0, least_age: Duration::from_millis(100) };

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    /// One that has run for so long, and said at its last word that so much of its 10 items is done.
    fn execution(age: f64, items_done: f64) -> Execution {
        Execution { items: 10, age: secs(age), told_at: secs(age), items_done, usual: USUAL }
    }

    fn copied(executions: &[Execution], room: &Room) -> Vec<usize> {
        choose(executions, room).copied
    }

    #[test]
    fn times_say_nothing_before_four_tasks_have_ended_and_then_by_item() {
        let mut times = ItemTimes::default();
        for (items, busy) in [(1, 4.0), (10, 10.0), (2, 4.0), (0, 99.0)] {
            times.learn(items, secs(busy));
        }
        assert_eq!(times.usual(), None);
        times.learn(1, secs(3.0));
        assert_eq!(times.usual(), Some(ItemTime { half: 2.0, three_quarters: 3.0 }));
        (0..MAX_RESULTS).for_each(|_| times.learn(1, secs(7.0)));
        assert_eq!(times.usual(), Some(ItemTime { half: 7.0, three_quarters: 7.0 }), "what is old is forgotten");
        assert_eq!(times.0.len(), MAX_RESULTS);
    }

    #[test]
    fn a_task_straggles_from_one_and_a_half_times_what_three_of_four_take() {
        assert_eq!(copied(&[execution(29.9, 0.0)], &ROOM), [0; 0]);
        assert_eq!(copied(&[execution(30.0, 0.0)], &ROOM), [0]);
        let early = choose(&[execution(29.0, 0.0), execution(12.0, 0.0)], &ROOM);
        assert_eq!(early, Choice { copied: vec![], look_again: Some(secs(1.0)) });
        let short = Execution { usual: ItemTime { half: 0.0, three_quarters: 0.0 }, ..execution(0.09, 0.0) };
        assert_eq!(copied(&[short], &ROOM), [0; 0], "nothing short is copied");
    }

    #[test]
    fn one_that_says_it_is_over_sooner_than_a_copy_would_be_is_left_alone() {
        // A copy takes 10 s.
        assert_eq!(copied(&[execution(30.0, 8.0)], &ROOM), [0; 0], "7.5 s left");
        assert_eq!(copied(&[execution(30.0, 7.49)], &ROOM), [0], "10.1 s left");
        assert_eq!(copied(&[execution(30.0, 7.51)], &ROOM), [0; 0], "9.9 s left");
        assert_eq!(copied(&[execution(30.0, 7.0)], &ROOM), [0], "12.9 s left");
        let silent_since = Execution { told_at: secs(10.0), ..execution(30.0, 2.5) };
        assert_eq!(copied(&[silent_since], &ROOM), [0; 0], "it said that it takes 40 s in all");
        let stalls = Execution { told_at: secs(35.0), ..execution(35.0, 2.5) };
        assert_eq!(copied(&[stalls], &ROOM), [0], "and then that it stands where it stood");
    }

    #[test]
    fn those_with_the_most_left_to_do_come_first() {
        let late = [execution(40.0, 6.0), execution(31.0, 0.0), execution(40.0, 1.0)];
        assert_eq!(copied(&late, &ROOM), [1, 2]);
        assert_eq!(copied(&late, &Room { slots: 24, ..ROOM }), [1, 2, 0]);
    }

    #[test]
    fn copies_have_a_share_of_the_slots_and_only_of_idle_ones() {
        let late = [execution(40.0, 0.0); 9];
        let many = |room: Room| copied(&late, &room).len();
        assert_eq!(many(Room { slots: 1, idle: 1, ..ROOM }), 1, "always one");
        assert_eq!(many(Room { slots: 32, idle: 32, ..ROOM }), 4);
        assert_eq!(many(Room { slots: 32, idle: 32, copies: 3, ..ROOM }), 1);
        assert_eq!(many(Room { slots: 32, idle: 2, ..ROOM }), 2);
        assert_eq!(choose(&late, &Room { idle: 0, ..ROOM }), Choice::default());
        assert_eq!(choose(&late, &Room { slots: 8, copies: 7, ..ROOM }), Choice::default());
    }

    fn any_execution() -> impl Strategy<Value = Execution> {
        let times = (0.0..1e6_f64, 0.0..1e6_f64, 0.0..1e4_f64, 0.0..1e4_f64);
        (1..=8_192_u32, 0.0..=1.0_f64, times).prop_map(|(items, done, (age, since, half, more))| Execution {
            items,
            age: secs(age + since),
            told_at: secs(age),
            items_done: done * f64::from(items),
            usual: ItemTime { half, three_quarters: half + more },
        })
    }

    proptest! {
        #[test]
        fn no_more_than_the_share_and_never_one_that_is_as_fast_as_others(
            executions in prop::collection::vec(any_execution(), 0..40),
            (slots, idle, copies) in (0..200_u32, 0..200_u32, 0..40_u32),
        ) {
            let room = Room { slots, idle, copies, least_age: secs(1.0) };
            let copied = copied(&executions, &room);
            prop_assert!(copied.len() as u32 <= idle);
            prop_assert!(copied.is_empty() || copied.len() as u32 + copies <= (slots / 8).max(1));
            for place in &copied {
                let it = executions[*place];
                prop_assert!(it.age.as_secs_f64() >= 1.0);
                prop_assert!(it.age.as_secs_f64() > 1.49 * it.usual.three_quarters * f64::from(it.items));
            }
            let mut places = copied.clone();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(places.len(), copied.len(), "each once");
        }
    }
}
