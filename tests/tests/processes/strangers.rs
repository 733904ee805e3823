//! Strangers' tools: boto3 and the aws command line, and scripts that know the documents only.

use anyhow::ensure;
use gridmill_tests::fleet::Fleet;
use serde_json::json;

use super::{MINUTES, numbered, receipt, stage, submit, until};

pub fn a_stranger_reads_what_is_documented_and_delivers_twice() -> anyhow::Result<()> {
    look(&Fleet::new()?, |fleet, words, said| fleet.python("tests/strangers/look.py", words, said))
}

pub fn the_aws_command_line_reads_what_is_documented_and_delivers_twice() -> anyhow::Result<()> {
    look(&Fleet::new()?, |fleet, words, said| fleet.aws_cli("tests/strangers/look.sh", words, said))
}

/// What lies in bucket, table and queues is as documented; task messages that somebody delivers twice, while workers run and
/// after the end, change nothing of it.
fn look(fleet: &Fleet, ask: impl Fn(&Fleet, &[&str], &str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let manager = fleet.manager("manager")?;
    let job = submit(&manager, &numbered(60, "sleep 0.2; echo $((GRIDMILL_KEY_ITEM * GRIDMILL_KEY_ITEM))"))?;
    let messages = ask(fleet, &["tasks"], "")?;
    ensure!(messages.contains(&job), "no task of the job waits: {messages}");
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?);
    until(&manager.address, &job, |status| stage(status, 0, "ok") > 0)?;
    ask(fleet, &["deliver"], &messages)?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok"), stage(&end, 0, "dead")), (&json!("succeeded"), 60, 0), "{end}");
    assert_eq!(receipt(&manager.address, &job)?["balanced"], true);
    ask(fleet, &["drained"], "")?;
    let before = ask(fleet, &["read", &job], "")?;
    ask(fleet, &["deliver"], &messages)?;
    ask(fleet, &["drained"], "")?;
    assert_eq!(ask(fleet, &["read", &job], "")?, before, "what was done is as it was");
    Ok(())
}
