//! Strangers' tools: boto3, and a script that knows the documents only.

use anyhow::ensure;
use gridmill_tests::fleet::Fleet;
use serde_json::json;

use super::{MINUTES, numbered, receipt, stage, submit, until};

/// What lies in bucket, table and queues is as documented; task messages that somebody delivers twice, while workers run and
/// after the end, change nothing of it.
pub fn a_stranger_reads_what_is_documented_and_delivers_twice() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let job = submit(&manager, &numbered(60, "sleep 0.2; echo $((GRIDMILL_KEY_ITEM * GRIDMILL_KEY_ITEM))"))?;
    let messages = fleet.python("tests/strangers/look.py", &["tasks"], "")?;
    ensure!(messages.contains(&job), "no task of the job waits: {messages}");
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?);
    until(&manager.address, &job, |status| stage(status, 0, "ok") > 0)?;
    fleet.python("tests/strangers/look.py", &["deliver"], &messages)?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok"), stage(&end, 0, "dead")), (&json!("succeeded"), 60, 0), "{end}");
    assert_eq!(receipt(&manager.address, &job)?["balanced"], true);
    fleet.python("tests/strangers/look.py", &["drained"], "")?;
    let before = fleet.python("tests/strangers/look.py", &["read", &job], "")?;
    fleet.python("tests/strangers/look.py", &["deliver"], &messages)?;
    fleet.python("tests/strangers/look.py", &["drained"], "")?;
    assert_eq!(fleet.python("tests/strangers/look.py", &["read", &job], "")?, before, "what was done is as it was");
    Ok(())
}
