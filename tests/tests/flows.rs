//! Whole jobs with real processes.

use grid_core::job::JobState;
use gridmill_tests::Yard;

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_run_and_summed() -> anyhow::Result<()> {
    let yard = Yard::new()?;
    let pipeline = "
name: numbers
stages:
  square: {range: 1..20, run: 'echo $((GRIDMILL_ITEM * GRIDMILL_ITEM))'}
  sum: {all: square, run: \"awk '{n += $1} END {print n}'\"}
";
    let ended = yard.run(pipeline, &[]).await?;
    assert_eq!(ended.status.state, JobState::Succeeded, "{:?}", ended.status);
    assert_eq!(ended.stdout["sum"], [b"2870\n"]);
    Ok(())
}
