//! Before a manager serves: who may ask at all, and what it waits for.

use anyhow::{Context, ensure};
use gridmill_tests::fleet::{Fleet, get};

/// A port that nothing listens on.
const NOBODY: &str = "http://127.0.0.1:1";

/// Its file would be there, had it listened for a moment only.
pub fn nobody_is_listened_to_beyond_this_machine_before_there_is_a_token() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let file = fleet.path("address");
    let words = ["--listen", "0.0.0.0:0", "--listen-file", file.to_str().context("a name of letters")?];
    let refused = fleet.daemon_ends("job-manager", &words)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(1) && said.contains("gridmill token create"), "{}: {said}", refused.status);
    ensure!(!file.exists() && !said.contains("listening"), "it listened: {said}");

    fleet.succeeds(&["token", "create", "--scope", "admin"])?;
    let manager = fleet.manager_with("manager", &words)?;
    assert_eq!(std::fs::read_to_string(&file)?.trim(), manager.address);
    assert_eq!(get(&manager.address, "/v1/jobs")?.status, 401);
    Ok(())
}

/// One of them is out of reach: it is named, and the others are not.
pub fn a_manager_says_which_back_end_it_waits_for() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    for (service, down, setting) in [
        ("AWS_ENDPOINT_URL_S3", &["objects"][..], "GRIDMILL_BUCKET"),
        ("AWS_ENDPOINT_URL_SQS", &["tasks", "dead_tasks", "reports"], "GRIDMILL_TASK_QUEUE"),
        ("AWS_ENDPOINT_URL_DYNAMODB", &["state"], "GRIDMILL_TABLE"),
    ] {
        let manager = fleet.manager_that_waits(service, &[(service, NOBODY)])?;
        let readiness = loop {
            let answer = get(&manager.address, "/readyz")?;
            assert_eq!(answer.status, 503);
            let readiness: grid_api::Readiness = serde_json::from_slice(&answer.body)?;
            if readiness.back_ends.iter().any(|it| it.detail.is_some()) {
                break readiness;
            }
            std::thread::yield_now();
        };
        let waits = readiness.back_ends.iter().filter(|it| !it.ready);
        assert_eq!(waits.clone().map(|it| it.name.as_str()).collect::<Vec<_>>(), down, "{readiness:?}");
        let first = waits.into_iter().next().and_then(|it| it.detail.clone()).context("one is out of reach")?;
        ensure!(
            first.contains(setting) && first.contains("does not answer") && !first.contains("127.0.0.1"),
            "{first}"
        );
    }
    Ok(())
}
