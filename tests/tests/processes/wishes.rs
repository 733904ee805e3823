//! What people wish of jobs that run: to end, to run again what failed; and a table that is lost meanwhile.

use std::os::unix::fs::PermissionsExt;

use anyhow::Context;
use gridmill_tests::fleet::{Fleet, get};
use serde_json::json;

use super::{MINUTES, fetched, numbered, receipt, stage, submit, until};

/// A pipeline whose items 4 and 5 fail for as long as a file is there.
fn gated(fleet: &Fleet) -> String {
    let gate = fleet.path("gate");
    let run = format!("test $GRIDMILL_KEY_ITEM -lt 4 || test ! -e {}; echo $GRIDMILL_KEY_ITEM", gate.display());
    numbered(5, &run).replace("range: 1..5,", "range: 1..5, retry: {attempts: 1},")
}

/// A cancelled job hands out nothing more, its workers stop what they do, and another job goes on.
pub fn a_job_that_is_cancelled_ends_and_the_next_one_runs() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let _worker = fleet.worker("worker")?;
    let url = format!("http://{}", manager.address);
    // The first items end at once, the others would take for ever.
    let slow = submit(&manager, &numbered(500, "test $GRIDMILL_KEY_ITEM -lt 3 || sleep 3600; echo over"))?;
    until(&manager.address, &slow, |status| stage(status, 0, "ok") > 0 && stage(status, 0, "running") > 0)?;
    fleet.succeeds(&["cancel", &slow, "--manager", &url])?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &slow, MINUTES)?;
    assert_eq!(end["state"], "cancelled", "{end}");
    assert!(stage(&end, 0, "ok") < 500, "{end}");
    let refused = fleet.gridmill(&["resume", &slow, "--manager", &url])?;
    assert!(!refused.status.success(), "what was cancelled does not go on");

    // Both slots are free again: an item that sleeps for an hour would hold one.
    let next = submit(&manager, &numbered(20, "echo $GRIDMILL_KEY_ITEM"))?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &next, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), 20), "{end}");
    Ok(())
}

/// Only what failed runs again, and the receipt balances.
pub fn what_failed_is_redriven_and_nothing_else_runs_again() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let _worker = fleet.worker("worker")?;
    let url = format!("http://{}", manager.address);
    fleet.write("gate", "")?;
    let job = submit(&manager, &gated(&fleet))?;
    let failed = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&failed["state"], stage(&failed, 0, "ok"), stage(&failed, 0, "dead")), (&json!("failed"), 3, 2));
    let dead = fleet.succeeds(&["dead", &job, "--json", "--manager", &url])?;
    assert_eq!(dead.lines().count(), 2, "{dead}");

    std::fs::remove_file(fleet.path("gate"))?;
    fleet.succeeds(&["redrive", &job, "--where", "stage=work", "--manager", &url])?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok"), stage(&end, 1, "ok")), (&json!("succeeded"), 5, 1), "{end}");
    let receipt = receipt(&manager.address, &job)?;
    assert_eq!(receipt["balanced"], true, "{receipt}");
    // Three that succeeded once, two that failed once and then succeeded: no item of the three ran again.
    let items = get(&manager.address, &format!("/v1/jobs/{job}/why?item=work/%230"))?.json()?;
    assert_eq!(items["attempts"].as_array().map(Vec::len), Some(1), "{items}");
    let outputs = fetched(&fleet, &manager.address, &job)?;
    let sum = outputs.values().next().context("it has an output")?;
    assert_eq!(String::from_utf8_lossy(sum), "1\n2\n3\n4\n5\n", "{:?}", outputs.keys());
    Ok(())
}

/// A manager is killed, its table is gone: what the bucket holds is enough.
pub fn a_table_that_is_lost_is_made_again_and_the_job_goes_on() -> anyhow::Result<()> {
    let mut fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let worker = fleet.worker("worker")?;
    // Every execution leaves a line: an item that was committed before must not run again.
    let ran = fleet.path("ran");
    std::fs::create_dir(&ran)?;
    std::fs::set_permissions(&ran, std::fs::Permissions::from_mode(0o777))?;
    let run = format!("echo >> {}/$GRIDMILL_KEY_ITEM; sleep 0.05; echo $GRIDMILL_KEY_ITEM", ran.display());
    let pipeline = numbered(200, &run);
    let job = submit(&manager, &pipeline)?;
    until(&manager.address, &job, |status| stage(status, 0, "ok") > 0)?;
    manager.kill()?;
    fleet.lose_table()?;
    let told = fleet.succeeds(&["rebuild", "--aws"])?;
    assert!(told.contains(&job), "{told}");
    let manager = fleet.manager("manager-again")?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), 200), "{end}");
    assert_eq!(receipt(&manager.address, &job)?["balanced"], true);
    drop(worker);
    for item in 1..=200 {
        let runs = std::fs::read_to_string(ran.join(item.to_string())).context(item)?.lines().count();
        assert_eq!(runs, 1, "item {item}: no worker died, so that nothing ran twice");
    }
    fleet.write("p.yaml", &pipeline)?;
    let expected: String = (1..=200).map(|item| format!("{item}\n")).collect();
    let outputs = fetched(&fleet, &manager.address, &job)?;
    let sum = outputs.values().next().context("it has an output")?;
    assert_eq!(String::from_utf8_lossy(sum), expected);
    Ok(())
}
