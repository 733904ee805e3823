//! A task that does not come to its end where it runs.

use anyhow::Context;
use gridmill_tests::fleet::{Fleet, get};
use serde_json::json;

use super::{MINUTES, fetched, local, receipt, stage, submit};

/// The item whose first execution waits until the test lets it go.
const STUCK: u32 = 9;

/// The first execution of one item never ends; its copy does, and the job succeeds while the first one still waits.
pub fn a_copy_ends_what_the_first_execution_never_does() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let (first, gate) = (fleet.path("first"), fleet.path("gate"));
    let run = |stuck: &str| super::numbered(12, &format!("{stuck} sleep 1; echo $((GRIDMILL_KEY_ITEM * 3))"));
    // A folder is made by one execution only.
    let waits = format!("while [ ! -e {} ]; do sleep 0.1; done", gate.display());
    let stuck = format!("if [ $GRIDMILL_KEY_ITEM = {STUCK} ] && mkdir {}; then {waits}; fi;", first.display());
    let manager = fleet.manager("manager")?;
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?, fleet.worker("worker-3")?);
    let job = submit(&manager, &run(&stuck))?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert!(first.exists() && !gate.exists(), "it waits for ever");
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), 12), "{end}");
    let receipt = receipt(&manager.address, &job)?;
    let of_work = &receipt["stages"][0];
    assert_eq!((&of_work["copies"]["won"], &of_work["failures"]), (&json!(1), &json!({})), "{receipt}");
    let why = get(&manager.address, &format!("/v1/jobs/{job}/why?item=work/{STUCK}"))?.json()?;
    let attempts = why["attempts"].as_array().context("it has attempts")?;
    let told = attempts.iter().map(|attempt| (attempt["attempt"].as_u64(), attempt["is_copy"].as_bool()));
    assert_eq!(told.collect::<Vec<_>>(), [(Some(1), Some(true))], "{why}");
    fleet.write("gate", "")?;
    fleet.write("p.yaml", run(""))?;
    assert_eq!(fetched(&fleet, &manager.address, &job)?, local(&fleet, &[])?);
    Ok(())
}
