//! What people do: submit, wish, submit once more. They try again until they have an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::pipeline;
use infra::inputs::{PinOptions, pin_object};
use infra::{Grid, inputs};
use job_manager::accept::{self, Accepted, NewJob, Once};
use job_manager::control::{self, ControlError};
use job_manager::{ManagerError, SubmitRequest, submit};
use tokio::time::sleep;

use crate::workload::Workload;

/// Before something is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that is wished of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Cancel,
    Pause,
    Resume,
    /// Failed items run again.
    Redrive(Again),
}

/// Which failed items run again, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// Those that are meant.
    pub only: Only,
    /// They are made good; otherwise they fail as before.
    pub mends: bool,
}

/// Which failed items are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    All,
    OfStage(usize),
    WithStatus,
}

impl Only {
    /// The filter that says so.
    fn filter(self) -> Option<String> {
        match self {
            Self::All => None,
            Self::OfStage(stage) => Some(format!("stage=s{stage}")),
            Self::WithStatus => Some("reason=exit".to_owned()),
        }
    }
}

/// How a wish was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Fulfilled,
    Refused,
}

/// Submits a workload: people without a name as the command line does, a tenant as the HTTP interface does.
pub(super) async fn submit_it(grid: Grid, workload: Workload) -> Result<JobId, String> {
    loop {
        let request = match request(&grid, &workload).await {
            Ok(request) => request,
            Err(Trouble::Passing) => {
                sleep(AGAIN).await;
                continue;
            }
            Err(Trouble::Lasting(why)) => return Err(why),
        };
        let submitted = match workload.edition.tenant {
            "" => submit(&grid, request).await.map(|submitted| submitted.job().clone()),
            tenant => accept_of(&grid, request, tenant).await,
        };
        match submitted {
            Ok(job) => return Ok(job),
            Err(error) if is_passing(&error) => sleep(AGAIN).await,
            Err(error) => return Err(format!("submit: {error:?}")),
        }
    }
}

/// A request that comes again has the same key, and is the same job.
async fn accept_of(grid: &Grid, request: SubmitRequest, tenant: &str) -> Result<JobId, ManagerError> {
    let job = accept::new_job_id(grid.clock.as_ref());
    let once = Some(Once::new(tenant, "monday", "the same".to_owned()));
    let new = NewJob { job, request, program_files: Vec::new(), tenant: tenant.to_owned(), once };
    match accept::accept(grid, new).await? {
        Accepted::New(job) | Accepted::Before(job) => Ok(job),
        Accepted::OtherBody => unreachable!("it was sent with one body only"),
    }
}

enum Trouble {
    Passing,
    Lasting(String),
}

async fn request(grid: &Grid, workload: &Workload) -> Result<SubmitRequest, Trouble> {
    let text = workload.pipeline();
    let pipeline =
        pipeline::parse(&text, "sim.yaml").map_err(|faults| Trouble::Lasting(format!("{faults}\n{text}")))?;
    let params = pipeline.resolve_params(&BTreeMap::new()).map_err(|faults| Trouble::Lasting(faults.join("; ")))?;
    let mut pinned = BTreeMap::new();
    if workload.reads_input() {
        let mut files = Vec::new();
        for name in workload.input().keys() {
            let uri = format!("grid://{}/{name}", workload.input_folder());
            match pin_object(&grid.sources, &uri, name, PinOptions::default()).await {
                Ok(file) => files.push(file),
                Err(inputs::InputError::Store(error)) if error.is_transient() => return Err(Trouble::Passing),
                Err(error) => return Err(Trouble::Lasting(error.to_string())),
            }
        }
        pinned.insert("numbers".to_owned(), files);
    }
    let (lists, programs) = (BTreeMap::new(), BTreeMap::new());
    Ok(SubmitRequest { pipeline, params, inputs: pinned, lists, workdir: "/".into(), programs })
}

/// A conflict is somebody who was first, perhaps an earlier try of the same: looking again tells.
fn is_passing(error: &ManagerError) -> bool {
    match error {
        ManagerError::Store(error) => error.is_transient() || error.kind == infra::ErrorKind::Conflict,
        _ => false,
    }
}

/// Wishes something of a job until there is an answer.
pub(super) async fn wish(grid: Grid, job: JobId, wish: Wish) -> Result<Answer, String> {
    loop {
        let answer = match wish {
            Wish::Cancel => control::cancel(&grid, &job).await.map(|_| ()),
            Wish::Pause => control::pause(&grid, &job).await.map(|_| ()),
            Wish::Resume => control::resume(&grid, &job).await.map(|_| ()),
            Wish::Redrive(Again { only, mends }) => {
                let set = BTreeMap::from([("mend".to_owned(), mends.to_string())]);
                control::redrive(&grid, &job, only.filter().as_deref(), &set).await.map(|_| ())
            }
        };
        match answer {
            Ok(()) => return Ok(Answer::Fulfilled),
            Err(ControlError::Conflict { .. }) => return Ok(Answer::Refused),
            Err(ControlError::Manager(error)) if is_passing(&error) => sleep(AGAIN).await,
            Err(error) => return Err(format!("{wish:?}: {error:?}")),
        }
    }
}
