//! Commands that begin where an earlier execution of their item was cut short.

use std::sync::Arc;

use infra::objects::{MemoryObjects, ObjectStore};

use super::*;
use crate::checkpoint::tests::checkpoints;

/// Counts its steps in its checkpoint; `until` says where it ends, and how.
fn steps(until: &str) -> Trial {
    shell(&format!(
        "cd \"$GRIDMILL_CHECKPOINT_DIR\"; n=$(cat step 2>/dev/null || echo 0); from=$n
         while :; do n=$((n + 1)); echo $n > new; mv new step; {until}; done"
    ))
}

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(MemoryObjects::new())
}

async fn kept(objects: &Arc<dyn ObjectStore>) -> usize {
    objects.list("", None, 100).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_begins_where_it_was_at_its_next_attempt() {
    let mut trial = steps("case $n in 3) exit 75;; 5) echo $from; exit 0;; esac");
    let objects = store();
    trial.checkpoints = Some(checkpoints(&objects, 1, Duration::from_secs(3_600)));
    assert_eq!(exit(&trial.failure().await), (Reason::Exit, Some(75)));
    trial.checkpoints = Some(checkpoints(&objects, 2, Duration::from_secs(3_600)));
    assert_eq!(pack_text(&trial.run(1).await), "3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_has_a_last_word() {
    let mut trial = shell(
        "cd \"$GRIDMILL_CHECKPOINT_DIR\"; if test -e word; then cat word; exit; fi
         trap 'echo as it was told > word; exit 1' TERM; touch ../../started; sleep 1000 & wait",
    );
    let objects = store();
    trial.checkpoints = Some(checkpoints(&objects, 1, Duration::from_secs(3_600)));
    let (stop, started) = (trial.stop.clone(), trial.workdir().join("started"));
    let kill = async {
        while !started.exists() {
            tokio::task::yield_now().await;
        }
        stop.kill.cancel();
    };
    let (ran, ()) = tokio::join!(trial.run(1), kill);
    assert_eq!((ran.items, kept(&objects).await), (vec![ItemRan::Unrun], 1));
    trial.stop = Stop::default();
    trial.checkpoints = Some(checkpoints(&objects, 1, Duration::from_secs(3_600)));
    assert_eq!(pack_text(&trial.run(1).await), "as it was told\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_command_has_done_is_kept_on_the_interval() {
    let mut trial = steps("test $n != 2 || while ! test -e ../../go; do sleep 0.01; done; test $n != 4 || exit 0");
    let objects = store();
    trial.checkpoints = Some(checkpoints(&objects, 1, Duration::from_millis(5)));
    let go = trial.workdir().join("go");
    let watch = async {
        while kept(&objects).await == 0 {
            tokio::task::yield_now().await;
        }
        std::fs::write(go, "").unwrap();
    };
    let (ran, ()) = tokio::join!(trial.run(1), watch);
    assert_eq!((ran.items, ran.log.len()), (vec![ok("")], 0));
    assert!(std::fs::read_dir(trial.workdir().join("scratch.0")).unwrap().all(|left| {
        let name = left.unwrap().file_name().into_string().unwrap();
        !name.starts_with("checkpoint.") || name.ends_with(".packed")
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_of_a_task_has_a_folder_of_its_own() {
    let mut trial = shell("cd \"$GRIDMILL_CHECKPOINT_DIR\"; ls; echo $GRIDMILL_INDEX > \"i$GRIDMILL_INDEX\"; exit 1");
    let objects = store();
    trial.checkpoints = Some(checkpoints(&objects, 1, Duration::from_secs(3_600)));
    assert_eq!(failures(&trial.run(3).await).len(), 3);
    trial.stage.run = Command::Shell(text("cd \"$GRIDMILL_CHECKPOINT_DIR\"; echo $(ls):$(cat *)"));
    trial.checkpoints = Some(checkpoints(&objects, 2, Duration::from_secs(3_600)));
    assert_eq!(pack_text(&trial.run(3).await), "i0:0\ni1:1\ni2:2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_kept_is_told_in_the_log_and_fails_nobody() {
    let mut trial = shell("cd \"$GRIDMILL_CHECKPOINT_DIR\"; mkfifo pipe; exit 75");
    trial.checkpoints = Some(checkpoints(&store(), 1, Duration::from_secs(3_600)));
    let ran = trial.run(1).await;
    assert_eq!(exit(&failures(&ran)[0]), (Reason::Exit, Some(75)));
    let log = String::from_utf8(ran.log).unwrap();
    let words = "gridmill: the last checkpoint was not kept: \\\"pipe\\\" is neither a file nor a folder";
    assert!(log.contains(words), "{log}");
}

#[tokio::test]
async fn a_stage_without_checkpoints_has_no_folder() {
    assert_eq!(pack_text(&shell("echo ${GRIDMILL_CHECKPOINT_DIR-none}").run(1).await), "none\n");
}
