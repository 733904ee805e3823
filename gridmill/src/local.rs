//! The grid on this machine: its state folder, and the job that is meant.

use std::path::Path;
use std::sync::Arc;

use grid_api::JobStatus;
use grid_core::ids::{ItemIndex, JobId, StageName};
use infra::grid::Sources;
use infra::objects::FolderObjects;
use infra::{ErrorKind, Grid};
use job_manager::view::{self, JobHead, JobView, NoSuchJob};
use tokio::runtime::{Builder, Runtime};

use crate::exit::{Fault, Outcome};

/// Threads that drive manager, worker and display: they wait nearly all the time, since commands are processes of their
/// own and blocking calls have threads of their own.
const THREADS: usize = 2;

/// How to have a job on this machine.
pub const START_HERE: &str = "start one with `gridmill run FILE`";

/// The runtime that everything runs on.
pub fn runtime() -> Outcome<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.map_err(|error| Fault::back_end(error).while_doing("failed to start threads"))
}

/// The files of this machine, for reading.
pub fn files() -> Sources {
    Sources::default().with("file", Arc::new(FolderObjects::read_only("/")))
}

/// The grid in a state folder, for reading: also while another process runs it.
pub fn open(state: &Path) -> Outcome<Grid> {
    infra::embedded::open_read_only(state).map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            Fault::usage(error).help("start with `gridmill run FILE`, or say where the state is with --state DIR")
        }
        _ => error.into(),
    })
}

/// The job that is meant of these, the oldest of which comes first: the newest, or the one whose id holds the text.
pub fn among(jobs: &[JobHead], text: Option<&str>) -> Result<JobId, NoSuchJob> {
    match text {
        None => view::newest(jobs),
        Some(text) => view::choose(jobs, text),
    }
}

/// The job that is meant, opened.
pub async fn job(grid: &Grid, text: Option<&str>) -> Outcome<JobView> {
    let found = among(&view::all_jobs(grid).await?, text);
    let job = found.map_err(|error| no_such_job(error, START_HERE))?;
    Ok(JobView::open(grid, &job).await?)
}

/// The item that `[JOB] STAGE/ITEM` means.
pub async fn item(grid: &Grid, words: &[String]) -> Outcome<(JobView, StageName, ItemIndex)> {
    let (job_text, item_text) = job_and_item(words)?;
    let view = job(grid, job_text).await?;
    let (stage, item) = item_of(&view.status, item_text)?;
    let index = find_item(&view, &stage, item).await?;
    Ok((view, stage, index))
}

/// Splits `[JOB] STAGE/ITEM`.
pub fn job_and_item(words: &[String]) -> Outcome<(Option<&str>, &str)> {
    match words {
        [item] => Ok((None, item)),
        [job, item] => Ok((Some(job), item)),
        _ => Err(Fault::usage("say which item is meant: [JOB] STAGE/ITEM")),
    }
}

/// The stage and the item that `STAGE/ITEM` means; whether there is such an item is not known yet.
pub fn item_of<'a>(status: &JobStatus, text: &'a str) -> Outcome<(StageName, &'a str)> {
    let (stage, item) = stage_and_item(text);
    let stage = known_stage(status, stage)?;
    match item {
        Some(item) => Ok((stage, item)),
        None => Err(Fault::usage(format!("`{text}` names a stage: add an item, as in {stage}/#0 or {stage}/NAME"))),
    }
}

/// Splits `STAGE[/ITEM]`.
pub fn stage_and_item(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((stage, item)) if !item.is_empty() => (stage, Some(item)),
        Some((stage, _)) => (stage, None),
        None => (text, None),
    }
}

/// The stage of that name.
pub fn known_stage(status: &JobStatus, name: &str) -> Outcome<StageName> {
    let found = status.stages.iter().find(|stage| stage.name.as_str() == name).map(|stage| stage.name.clone());
    found.ok_or_else(|| {
        let known: Vec<&str> = status.stages.iter().map(|stage| stage.name.as_str()).collect();
        Fault::usage(format!("job {} has no stage `{name}`; it has {}", status.job, known.join(", ")))
    })
}

/// The index of an item, by `#INDEX` or by name.
pub async fn find_item(view: &JobView, stage: &StageName, item: &str) -> Outcome<ItemIndex> {
    match (view::find_item(view, stage, item).await?, item.strip_prefix('#')) {
        (Some(index), _) => Ok(index),
        (None, Some(_)) => {
            Err(Fault::usage(format!("stage {stage} has no item {item}: it has {}, from #0", view.items(stage))))
        }
        (None, None) => Err(no_item(stage, item)),
    }
}

/// What is said where a stage has no such item.
pub fn no_item(stage: &StageName, item: &str) -> Fault {
    let help = "names are those that `gridmill dead` and the output files show; STAGE/#INDEX works as well";
    Fault::usage(format!("stage {stage} has no item `{item}`")).help(help)
}

/// What is said where no job is meant; `start` tells how to have one.
pub fn no_such_job(error: NoSuchJob, start: &str) -> Fault {
    let help = match &error {
        NoSuchJob::None => start,
        NoSuchJob::Unknown(_) | NoSuchJob::Ambiguous { .. } => "`gridmill list` shows all jobs",
    };
    Fault::usage(error).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_may_have_slashes_in_its_name() {
        assert_eq!(stage_and_item("clean/#17"), ("clean", Some("#17")));
        assert_eq!(stage_and_item("clean/a/b"), ("clean", Some("a/b")));
        assert_eq!(stage_and_item("clean/"), ("clean", None));
        assert_eq!(stage_and_item("clean"), ("clean", None));
    }
}
