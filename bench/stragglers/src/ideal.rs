//! The ideal: nobody waits, and every slot ends with a whole item.

use std::time::Duration;

use crate::{Job, SLOWNESS, WORKERS};

/// The shortest time in which the fleet can do so many whole items: no schedule without copies is shorter, and none with them.
pub fn ideal(job: &Job) -> Duration {
    let done = |ms: u64| {
        let of_slot = |slowness: u32| ms / (job.item_ms * u64::from(slowness));
        let slots = u64::from(job.slots);
        slots * (u64::from(WORKERS - 1) * of_slot(1) + of_slot(SLOWNESS))
    };
    let (mut too_short, mut enough) = (0, job.item_ms * u64::from(job.items));
    while too_short + 1 < enough {
        let middle = too_short.midpoint(enough);
        if done(middle) >= u64::from(job.items) {
            enough = middle;
        } else {
            too_short = middle;
        }
    }
    Duration::from_millis(enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_items_at_the_summed_speed() {
        let job = |items| Job { slots: 1, items, item_ms: 1_000 };
        assert_eq!(ideal(&job(7)), Duration::from_secs(1));
        assert_eq!(ideal(&job(8)), Duration::from_secs(2));
        assert_eq!(ideal(&job(71)), Duration::from_secs(10));
        assert_eq!(ideal(&job(72)), Duration::from_secs(11));
    }
}
