//! What a submission becomes when the same was submitted before.

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::reason::Reason;
use job_manager::{SubmitRequest, Submitted, control, submit};
use tokio::time::sleep;

use crate::yard::{Leader, Yard, request};

const TWO: &str = "name: two\nstages:\n  work: {range: 1..2, run: [\"true\"], retry: {attempts: 1}}\n";

/// The pipeline, with a program of this content.
fn with_program(text: &str, content: &str) -> SubmitRequest {
    let digest = format!("blake3:{}", blake3::hash(content.as_bytes()).to_hex());
    SubmitRequest { programs: [("./work".to_owned(), digest)].into(), ..request(text) }
}

impl Yard {
    async fn submits(&self, request: SubmitRequest) -> Submitted {
        submit(&self.grid, request).await.unwrap()
    }

    async fn submits_anew(&self, request: SubmitRequest) -> JobId {
        match self.submits(request).await {
            Submitted::New(job) => job,
            other => panic!("it is no job of its own: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_succeeded_is_done_until_its_programs_change() {
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let before = || with_program(TWO, "before");
    let job = yard.submits_anew(before()).await;
    assert_eq!(yard.submits(before()).await, Submitted::Resumed(job.clone()), "it runs");
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    assert_eq!(yard.submits(before()).await, Submitted::Finished(job.clone(), JobState::Succeeded));
    let after = || with_program(TWO, "after");
    let next = yard.submits_anew(after()).await;
    assert_eq!(yard.run_to_end(&next).await, JobState::Succeeded);
    assert_eq!(yard.submits(after()).await, Submitted::Finished(next, JobState::Succeeded));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_cached_is_done_again_once_it_has_succeeded() {
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let text = TWO.replace("retry:", "cache: false, retry:");
    let job = yard.submits_anew(request(&text)).await;
    assert_eq!(yard.submits(request(&text)).await, Submitted::Resumed(job.clone()));
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    assert_ne!(yard.submits_anew(request(&text)).await, job);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_goes_on_with_its_programs_mended_and_what_was_cancelled_begins_anew() {
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let job = yard.submits_anew(with_program(TWO, "broken")).await;
    sleep(std::time::Duration::from_millis(100)).await;
    for task in yard.tasks().await {
        yard.end(&task, Some(Reason::Exit)).await;
    }
    sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Failed);
    assert_eq!(yard.submits(with_program(TWO, "mended")).await, Submitted::Resumed(job.clone()));
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Running);
    control::cancel(&yard.grid, &job).await.unwrap();
    assert_ne!(yard.submits_anew(with_program(TWO, "mended")).await, job);
    leader.stop().await;
}
