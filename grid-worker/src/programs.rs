//! The folder in which the commands of a job run, where that is not the folder of somebody's pipeline file: the worker
//! makes one, once a job, and puts the files into it that came along with the submission.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::reason::{Failure, Reason};
use grid_core::submission::{ProgramFile, Submission};
use infra::ErrorKind;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

use crate::WorkerError;
use crate::context::{Context, Hindrance};
use crate::limits::WORK_FOLDERS_KEPT;

/// The folders of the jobs that this worker has tasks of.
#[derive(Debug, Default)]
pub(crate) struct Programs(Mutex<Folders>);

#[derive(Debug, Default)]
struct Folders {
    uses: u64,
    of_jobs: BTreeMap<JobId, (u64, Arc<Place>)>,
}

/// The folder of a job, once it is complete.
type Place = OnceCell<WorkFolder>;

/// A folder that is removed when this is dropped.
#[derive(Debug)]
struct WorkFolder(PathBuf);

/// A submission whose `workdir` is there, for as long as this is held.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) submission: Arc<Submission>,
    _place: Option<Arc<Place>>,
}

impl Ready {
    /// Leaves the folder to whoever removes the scratch folder that it lies in.
    pub(crate) fn keep(self) -> Arc<Submission> {
        std::mem::forget(self._place);
        self.submission
    }
}

/// Why there is no folder.
#[derive(Debug)]
pub(crate) enum Unready {
    /// Nobody can do better: the items fail.
    Failed(Failure),
    /// The task ends here without a manifest.
    Hindered(Hindrance),
}

/// Makes the job's folder, unless there is one, and waits for whoever does so already.
pub(crate) async fn ready(context: &Context, submission: &Arc<Submission>) -> Result<Ready, Unready> {
    if !submission.workdir.is_empty() || !context.runner.wants_scratch() {
        return Ok(Ready { submission: submission.clone(), _place: None });
    }
    let (place, over) = context.programs.place(&submission.job);
    for job in over {
        context.runner.forget(&job);
    }
    let folder = place.get_or_try_init(|| make(context, submission)).await?;
    let mut own = Submission::clone(submission);
    own.workdir = folder.0.to_str().map(str::to_owned).ok_or_else(|| {
        let path = folder.0.display();
        Unready::Hindered(Hindrance::GiveBack(format!("the name of the scratch folder {path} is no UTF-8")))
    })?;
    Ok(Ready { submission: Arc::new(own), _place: Some(place) })
}

impl Programs {
    /// The place of a job, and the jobs whose folders were removed for it: those that have not been used for longest.
    fn place(&self, job: &JobId) -> (Arc<Place>, Vec<JobId>) {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.uses += 1;
        let now = folders.uses;
        let (used, place) = folders.of_jobs.entry(job.clone()).or_default();
        *used = now;
        let place = place.clone();
        let mut over = Vec::new();
        while folders.of_jobs.len() > WORK_FOLDERS_KEPT
            && let Some(oldest) = folders.longest_unused()
        {
            folders.of_jobs.remove(&oldest);
            over.push(oldest);
        }
        (place, over)
    }

    /// Removes all folders.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).of_jobs.clear();
    }
}

impl Folders {
    /// One that no task has in hand.
    fn longest_unused(&self) -> Option<JobId> {
        let unused = self.of_jobs.iter().filter(|(_, (_, place))| Arc::strong_count(place) == 1);
        unused.min_by_key(|(_, (used, _))| *used).map(|(job, _)| job.clone())
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "failed to remove the folder of a job");
        }
    }
}

async fn make(context: &Context, submission: &Submission) -> Result<WorkFolder, Unready> {
    // Not called after the job: its id comes from a message.
    let path = context.config.scratch.join(format!("job-{}", context.dice.nonce()));
    fs::create_dir(&path).await.map_err(|error| broken(context, &path, &error))?;
    let folder = WorkFolder(path);
    for file in &submission.program_files {
        put(context, &submission.job, &folder.0, file).await?;
    }
    tracing::info!(job = %submission.job, files = submission.program_files.len(), "placed a job's programs");
    Ok(folder)
}

async fn put(context: &Context, job: &JobId, folder: &Path, file: &ProgramFile) -> Result<(), Unready> {
    let Some(relative) = below(&file.path) else {
        return Err(failed(file, "that is no path below a folder"));
    };
    let path = folder.join(relative);
    let local = |error: io::Error| broken(context, &path, &error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).await.map_err(local)?;
    }
    let key = layout::program(job, &file.path);
    let mut tries = 0;
    loop {
        match fetch(context, &key, &path, file).await {
            Ok(()) => break,
            Err(Fetch::Read(error)) if error.is_transient() && tries < FETCH_TRIES && !context.is_stopping() => {
                tries += 1;
                tokio::time::sleep(context.dice.backoff(tries)).await;
            }
            Err(Fetch::Read(error)) if error.kind == ErrorKind::NotFound => {
                return Err(failed(file, &format!("it is not in the store: {error}")));
            }
            Err(Fetch::Read(error)) => return Err(Unready::Hindered(Hindrance::of("read a program", error))),
            Err(Fetch::Write(error)) => return Err(local(error)),
            Err(Fetch::Other(why)) => return Err(failed(file, why)),
        }
    }
    let mode = if file.executable { 0o555 } else { 0o444 };
    fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).await.map_err(local)
}

/// Tries to read one file before the task is given back.
const FETCH_TRIES: u32 = 6;

/// Why a file could not be fetched.
enum Fetch {
    Read(infra::Error),
    Write(io::Error),
    Other(&'static str),
}

/// Copies an object to a file, in bounded memory, and checks that it is what was submitted.
async fn fetch(context: &Context, key: &str, path: &Path, file: &ProgramFile) -> Result<(), Fetch> {
    let mut copy = fs::File::create(path).await.map_err(Fetch::Write)?;
    let (mut digest, mut size) = (blake3::Hasher::new(), 0);
    if file.size > 0 {
        let mut pieces = context.grid.objects.stream(key, Some(0..u64::MAX)).await.map_err(Fetch::Read)?;
        while let Some(piece) = pieces.try_next().await.map_err(Fetch::Read)? {
            size += piece.len() as u64;
            if size > file.size {
                break;
            }
            digest.update(&piece);
            copy.write_all(&piece).await.map_err(Fetch::Write)?;
        }
    }
    copy.flush().await.map_err(Fetch::Write)?;
    let is_same = size == file.size && file.digest == format!("blake3:{}", digest.finalize().to_hex());
    if is_same { Ok(()) } else { Err(Fetch::Other("what the store has of it is not what was submitted")) }
}

/// A path that stays below the folder it is joined to.
fn below(path: &str) -> Option<&Path> {
    let relative = Path::new(path);
    let stays = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (stays && !path.is_empty() && !path.contains('\0')).then_some(relative)
}

fn failed(file: &ProgramFile, why: &str) -> Unready {
    let message = format!("the program {:?} cannot be placed on the worker: {why}", file.path);
    Unready::Failed(Failure::new(Reason::Setup, message))
}

fn broken(context: &Context, path: &Path, error: &io::Error) -> Unready {
    let what = format!("scratch folder {}: {error}", context.config.scratch.display());
    Unready::Hindered(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let full = infra::Error::new(ErrorKind::Full, what);
            Hindrance::Fatal(WorkerError::lasting("place a job's programs", full))
        }
        // Such as a file where another one wants a folder.
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => {
            let message = format!("the programs cannot be placed on the worker: {}: {error}", path.display());
            return Unready::Failed(Failure::new(Reason::Setup, message));
        }
        _ => Hindrance::GiveBack(format!("failed to place a job's programs: {what}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_its_folder() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a/..", "./", ".", "a\0b"] {
            assert_eq!(below(path), None, "{path:?}");
        }
        for path in ["clean", "lib/a.py", "..a", "a b/ü"] {
            assert_eq!(below(path), Some(Path::new(path)));
        }
    }

    #[test]
    fn folders_that_were_not_used_for_long_go_and_those_in_use_stay() {
        let programs = Programs::default();
        let job = |number: usize| JobId::new(format!("job-{number}"));
        let (in_use, _) = programs.place(&job(0));
        let over: Vec<JobId> = (1..WORK_FOLDERS_KEPT + 2).flat_map(|number| programs.place(&job(number)).1).collect();
        assert_eq!(over, [job(1), job(2)]);
        assert!(Arc::ptr_eq(&in_use, &programs.place(&job(0)).0));
    }
}
