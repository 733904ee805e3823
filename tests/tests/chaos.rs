//! A short storm over a grid of real processes; `tests/chaos` is the long one.
//!
//! Ignored unless asked for: `tests/servers` starts a server for it.

mod ministack {
    use std::time::Duration;

    use gridmill_tests::chaos::{Options, run};

    #[test]
    #[ignore = "needs a server in AWS_ENDPOINT_URL, and our programs"]
    fn what_a_storm_leaves_is_what_a_calm_run_leaves() -> anyhow::Result<()> {
        run(Options { length: Duration::from_secs(30), seed: 1 })
    }
}
