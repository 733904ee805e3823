//! Seeds that are always the same; `GRIDMILL_SEED` is the first of them, `GRIDMILL_SEEDS` how many. Those that nobody has looked
//! at before are run by `tests/simulate`.

use gridmill_sim::seeds::Seeds;
use gridmill_sim::tally::Event;
use gridmill_sim::weather::Climate;
use gridmill_sim::world::Setup;

/// Each of them is run twice.
const REPLAYED: u64 = 200;

/// Seeds of every climate.
const OF_CLIMATE: u64 = 100;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_happens_every_item_is_committed_once_and_every_job_ends() {
    let (first, count) = (number("GRIDMILL_SEED", 0), number("GRIDMILL_SEEDS", 1_000));
    let summary = Seeds { first, count, threads: 2, twice: None }.run(Setup::of, |outcome| eprintln!("{outcome}"));
    let failed: Vec<u64> = summary.failed.iter().map(|outcome| outcome.seed).collect();
    assert_eq!(
        failed,
        Vec::<u64>::new(),
        "look at one with: cargo run --profile sim -p gridmill-sim -- --trace --seed N"
    );
    // Fewer seeds than usual may miss what is rare.
    if count >= 1_000 {
        assert_eq!(
            summary.tally.missing(None),
            Vec::<Event>::new(),
            "what never happens is not tested:\n{}",
            summary.tally
        );
    }
}

#[test]
fn so_they_do_where_one_thing_goes_wrong_again_and_again() {
    for climate in Climate::all() {
        let seeds = Seeds { first: 0, count: OF_CLIMATE, threads: 2, twice: None };
        let summary = seeds.run(|seed| Setup::in_climate(Some(*climate), seed), |outcome| eprintln!("{outcome}"));
        let failed: Vec<u64> = summary.failed.iter().map(|outcome| outcome.seed).collect();
        assert_eq!(failed, Vec::<u64>::new(), "in the climate {climate:?}");
        assert_eq!(summary.tally.missing(Some(*climate)), Vec::<Event>::new(), "in the climate {climate:?}");
    }
}

#[test]
fn a_seed_does_the_same_twice() {
    let summary = Seeds { first: 0, count: REPLAYED, threads: 2, twice: Some(1) }.run(Setup::of, |_| {});
    assert_eq!((summary.strayed, summary.replayed), (vec![], REPLAYED), "something in these is left to chance");
}
