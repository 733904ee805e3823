//! Jobs with which a leader cannot go on: they hold up nobody else.

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::layout;
use tokio::time::{Duration, sleep};

use crate::yard::{Leader, Yard};

fn simple(name: &str) -> String {
    format!("name: {name}\nstages:\n  work: {{range: 1..3, run: [\"true\"]}}\n")
}

/// Replaces an object by what nobody can read.
async fn damage(yard: &Yard, key: &str) {
    yard.grid.objects.put(key, "{".into()).await.unwrap();
}

async fn state(yard: &Yard, job: &JobId) -> JobState {
    yard.meta(job).await.unwrap().state
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_submission_cannot_be_read_is_left_alone_and_told() {
    let yard = Yard::new();
    let (damaged, sound) = (yard.submit(&simple("damaged")).await, yard.submit(&simple("sound")).await);
    damage(&yard, &layout::submission(&damaged)).await;
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&sound).await, JobState::Succeeded);
    let message = leader.progress.borrow().jobs[&damaged].message.clone().unwrap();
    assert!(message.contains(&layout::submission(&damaged)), "{message}");
    assert_eq!(yard.active().await, [damaged.to_string()], "whoever mends it will find it");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_manifest_that_cannot_be_read_is_set_aside_after_a_few_tries_and_the_others_go_on() {
    let yard = Yard::new();
    let damaged = yard.submit(&simple("damaged")).await;
    let leader = Leader::start(&yard.grid);
    let task = loop {
        sleep(Duration::from_secs(1)).await;
        if let Some(task) = yard.tasks().await.pop() {
            break task;
        }
    };
    damage(&yard, &layout::manifest(&damaged, &task.stage, task.key())).await;
    yard.completed(&task).await;
    let sound = yard.submit(&simple("sound")).await;
    assert_eq!(yard.run_to_end(&sound).await, JobState::Succeeded);
    while !state(&yard, &damaged).await.is_final() {
        sleep(Duration::from_secs(1)).await;
    }
    let meta = yard.meta(&damaged).await.unwrap();
    let key = layout::manifest(&damaged, &task.stage, task.key());
    assert!(meta.message.as_ref().is_some_and(|why| why.contains(&key)), "{meta:?}");
    assert_eq!(meta.state, JobState::Quarantined);
    assert!(yard.has_tombstone(&damaged).await, "nothing more of it is begun");
    leader.stop().await;
}
