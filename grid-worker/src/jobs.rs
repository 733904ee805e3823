//! Submissions, read once per job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use grid_core::ids::{JobId, StageName};
use grid_core::layout;
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::Stage;
use grid_core::submission::Submission;
use infra::lru::Lru;

use crate::context::{Context, Hindrance};
use crate::limits::JOBS_KEPT;

/// A job that this worker has tasks of.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) submission: Arc<Submission>,
    stages: BTreeMap<StageName, Arc<Stage>>,
}

/// The jobs that were used last.
#[derive(Debug)]
pub(crate) struct Jobs(Mutex<Lru<JobId, Arc<Job>>>);

impl Default for Jobs {
    fn default() -> Self {
        Self(Mutex::new(Lru::new(JOBS_KEPT)))
    }
}

impl Job {
    fn new(submission: Submission) -> Self {
        let stages = submission.pipeline.stages.iter().map(|stage| (stage.name.clone(), Arc::new(stage.clone())));
        Self { stages: stages.collect(), submission: Arc::new(submission) }
    }

    /// The stage of that name; a message that names another cannot be used.
    pub(crate) fn stage(&self, name: &StageName) -> Result<&Arc<Stage>, Hindrance> {
        self.stages
            .get(name)
            .ok_or_else(|| Hindrance::GiveBack(format!("job {} has no stage `{name}`", self.submission.job)))
    }
}

/// The job of that id, from memory or from its submission.
pub(crate) async fn load(context: &Context, id: &JobId) -> Result<Arc<Job>, Hindrance> {
    let jobs = &context.jobs.0;
    let known = jobs.lock().unwrap_or_else(PoisonError::into_inner).get(id);
    if let Some(job) = known {
        return Ok(job);
    }
    let key = layout::submission(id);
    let read = context.persist(&context.stop.drain, || context.grid.objects.get(&key, None)).await;
    let body = read.map_err(|error| Hindrance::of("read the submission", error))?;
    let job = Arc::new(parse(&key, &body)?);
    jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), job.clone(), 1);
    Ok(job)
}

fn parse(key: &str, body: &[u8]) -> Result<Job, Hindrance> {
    let submission: Submission = serde_json::from_slice(body)
        .map_err(|error| Hindrance::GiveBack(format!("{key} is no submission that this worker can read: {error}")))?;
    if submission.v > WIRE_VERSION {
        let v = submission.v;
        return Err(Hindrance::GiveBack(format!("{key} has version {v}, this worker reads up to {WIRE_VERSION}")));
    }
    Ok(Job::new(submission))
}
