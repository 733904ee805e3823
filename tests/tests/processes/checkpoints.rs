//! A long item whose workers go: it goes on where it was, on another one.

use std::time::Duration;

use anyhow::{Context, ensure};
use gridmill_tests::fleet::{Fleet, Instance};
use infra::Grid;
use serde_json::json;

use super::{MINUTES, fetched, receipt, stage, submit, until};

/// Seconds between a notice and the end of the instance, of which some are left for the item.
const NOTICE_SECS: i64 = 20;

/// An item of 15 steps that notes where each execution begins, and each step; step 5 and step 10 are followed by a wait for a gate.
fn long(fleet: &Fleet) -> String {
    let path = |name: &str| fleet.path(name).display().to_string();
    let run = format!(
        "cd \"$GRIDMILL_CHECKPOINT_DIR\"; n=$(cat step 2>/dev/null | cut -d\" \" -f2); n=${{n:-0}}; echo $$ > {}; echo $n >> {}; \
         while [ $n -lt 15 ]; do n=$((n + 1)); echo $n >> {}; echo \"step $n is done\" > new; mv new step; \
         case $n in 5|10) until [ -e {}-$n ]; do sleep 0.1; done;; esac; done; echo $n",
        path("pid"),
        path("began"),
        path("steps"),
        path("gate")
    );
    format!("name: long\nstages:\n  work: {{list: [one], checkpoint: {{interval: 1s}}, run: '{run}'}}\n")
}

/// The steps that were done, a line each.
fn steps(fleet: &Fleet) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(fleet.path("steps"))?)
}

/// Waits until nothing of the item is left: it would make its next step if the gate were opened first.
async fn ended(fleet: &Fleet) -> anyhow::Result<()> {
    let pid = std::fs::read_to_string(fleet.path("pid"))?;
    let give_up = std::time::Instant::now() + MINUTES;
    while std::time::Instant::now() < give_up {
        // A zombie has no command line any more.
        if std::fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default().is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("process {} outlives its worker", pid.trim())
}

/// Waits until a checkpoint is kept that holds these words.
async fn kept(grid: &Grid, job: &str, words: &str) -> anyhow::Result<()> {
    let give_up = std::time::Instant::now() + MINUTES;
    while std::time::Instant::now() < give_up {
        for object in grid.objects.list(&format!("jobs/{job}/work/checkpoints/"), None, 100).await? {
            // Between the look and the read a newer one may have taken its place.
            let checkpoint = grid.objects.get(&object.key, None).await.unwrap_or_default();
            if checkpoint.windows(words.len()).any(|window| window == words.as_bytes()) {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("no checkpoint says `{words}`")
}

/// One worker is killed, the next one is taken away by the market, and no step is done twice.
pub fn an_item_goes_on_from_its_checkpoint_on_another_worker() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let grid = runtime.block_on(infra::aws::open(&fleet.settings()?))?;
    let first = fleet.worker("first")?;
    let job = submit(&manager, &long(&fleet))?;
    runtime.block_on(kept(&grid, &job, "step 5 is done"))?;
    first.kill()?;
    runtime.block_on(ended(&fleet))?;
    fleet.write("gate-5", "")?;

    let instance = Instance::new("i-00000000000000002")?;
    let second = fleet.worker_on("second", &instance, &[])?;
    until(&manager.address, &job, |_| steps(&fleet).is_ok_and(|steps| steps.ends_with("\n10\n")))?;
    instance.is_reclaimed_in(NOTICE_SECS);
    ensure!(second.end()?.success(), "a worker that hands back ends well");
    fleet.write("gate-10", "")?;

    let _third = fleet.worker("third")?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), 1), "{end}");
    let receipt = receipt(&manager.address, &job)?;
    assert_eq!(receipt["balanced"], true, "{receipt}");
    let began = std::fs::read_to_string(fleet.path("began"))?;
    assert_eq!(began, "0\n5\n10\n", "each worker began where the one before was");
    assert_eq!(steps(&fleet)?, (1..=15).map(|step| format!("{step}\n")).collect::<String>(), "each step once");
    let outputs = fetched(&fleet, &manager.address, &job)?;
    assert_eq!(outputs.values().next().context("it has an output")?, b"15\n");
    let left = runtime.block_on(grid.objects.list(&format!("jobs/{job}/work/checkpoints/"), None, 100))?;
    ensure!(left.is_empty(), "what is committed has no checkpoint: {left:?}");
    Ok(())
}
