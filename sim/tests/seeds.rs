//! Seeds that nobody has looked at before. `GRIDMILL_SEED` is the first, `GRIDMILL_SEEDS` how many.

use gridmill_sim::seeds::Seeds;
use gridmill_sim::tally::Event;
use gridmill_sim::world::Setup;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_happens_every_item_is_committed_once_and_every_job_ends() {
    let (first, count) = (number("GRIDMILL_SEED", 0), number("GRIDMILL_SEEDS", 240));
    let summary = Seeds { first, count, threads: 8, twice: None }.run(Setup::of, |outcome| eprintln!("{outcome}"));
    let failed: Vec<u64> = summary.failed.iter().map(|outcome| outcome.seed).collect();
    assert_eq!(failed, Vec::<u64>::new(), "look at one with: cargo run -p gridmill-sim -- --trace --seed N");
    // Fewer seeds than usual may miss what is rare.
    if count >= 240 {
        assert_eq!(
            summary.tally.missing(),
            Vec::<Event>::new(),
            "what never happens is not tested:\n{}",
            summary.tally
        );
    }
}

#[test]
#[ignore = "tokio's watch channel wakes the tasks that wait for a worker's heartbeat in an order of its own"]
fn a_seed_does_the_same_twice() {
    let summary = Seeds { first: 0, count: 200, threads: 8, twice: Some(1) }.run(Setup::of, |_| {});
    assert_eq!(summary.strayed, Vec::<u64>::new(), "something in these is left to chance");
}
