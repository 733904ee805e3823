//! A whole grid in one process, for flows: embedded back ends in a folder, the real manager, a real worker, real
//! processes. For flows against servers: [`fleet`] and [`recorder`]; [`chaos`] is the worst of them.

#[cfg(feature = "aws")]
pub mod chaos;
#[cfg(feature = "aws")]
pub mod fleet;
pub mod fuzz;
#[cfg(feature = "aws")]
pub mod recorder;

/// Makes tests, in a module `ministack`, of functions of that name: they run where somebody has started that server, and
/// say by their module which one they want.
#[macro_export]
macro_rules! on_ministack {
    ($($test:ident)*) => {
        mod ministack {
            $(#[test]
            #[ignore = "needs a server in AWS_ENDPOINT_URL, and our programs"]
            fn $test() -> anyhow::Result<()> {
                super::$test()
            })*
        }
    };
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::TryStreamExt;
use grid_api::JobStatus;
use grid_core::ids::{JobId, StageName, WorkerId};
use grid_core::pipeline::Pipeline;
use grid_core::wire::OutputRef;
use grid_worker::process::{ProcessConfig, ProcessRunner};
use grid_worker::runner::{Runner, Stop};
use grid_worker::{Worker, WorkerConfig};
use infra::Grid;
use infra::embedded::StateDir;
use infra::inputs::PinOptions;
use infra::outputs::OutputReader;
use job_manager::{ManagerConfig, Progress, SubmitRequest, Submitted};
use tokio::sync::watch;

/// A folder with a pipeline, its inputs and the state of its grid.
pub struct Yard {
    folder: tempfile::TempDir,
}

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    /// The job.
    pub job: JobId,
    /// What it became when it was submitted.
    pub submitted: Submitted,
    /// Where it stood at the end.
    pub status: JobStatus,
    /// What each stage's items wrote to standard output, in item order; items that are not committed are left out.
    pub stdout: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Yard {
    /// An empty one.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), content)?)
    }

    /// Runs a pipeline to its end, with real processes on two slots.
    pub async fn run(&self, pipeline: &str, inputs: &[(&str, &str)]) -> anyhow::Result<Ended> {
        let config = ProcessConfig { base_env: std::env::vars_os().collect() };
        self.run_with(Arc::new(ProcessRunner::new(config)?), pipeline, inputs).await
    }

    /// Runs a pipeline to its end with another runner.
    pub async fn run_with(
        &self,
        runner: Arc<dyn Runner>,
        pipeline: &str,
        inputs: &[(&str, &str)],
    ) -> anyhow::Result<Ended> {
        let (state, grid) = StateDir::open(&self.path(".gridmill"))?;
        let request = self.request(&grid, pipeline, inputs).await?;
        let submitted = job_manager::submit(&grid, request).await?;
        let job = submitted.job().clone();
        let status = drive(&grid, &state.scratch(), runner, &job).await?;
        let stdout = outputs(&grid, &status).await?;
        Ok(Ended { job, submitted, status, stdout })
    }

    async fn request(&self, grid: &Grid, text: &str, inputs: &[(&str, &str)]) -> anyhow::Result<SubmitRequest> {
        let pipeline: Pipeline = grid_core::pipeline::parse(text, "pipeline.yaml")?;
        let params = pipeline.resolve_params(&BTreeMap::new()).map_err(|faults| anyhow::anyhow!(faults.join("\n")))?;
        let mut pinned = BTreeMap::new();
        for (name, spec) in inputs {
            let specs = [(*spec).to_owned()];
            let files =
                infra::inputs::resolve(&grid.sources, &specs, self.folder.path(), PinOptions::default()).await?;
            pinned.insert((*name).to_owned(), files);
        }
        let workdir = self.folder.path().to_str().context("the folder's name is not UTF-8")?.to_owned();
        let (lists, programs) = (BTreeMap::new(), BTreeMap::new());
        Ok(SubmitRequest { pipeline, params, inputs: pinned, lists, workdir, programs })
    }
}

/// Leads and works until the job has ended.
async fn drive(grid: &Grid, scratch: &Path, runner: Arc<dyn Runner>, job: &JobId) -> anyhow::Result<JobStatus> {
    let stop = Stop::default();
    let (progress, mut watched) = watch::channel(Progress::default());
    let leader = tokio::spawn(job_manager::lead(grid.clone(), ManagerConfig::default(), progress, stop.drain.clone()));
    let config = WorkerConfig {
        worker: WorkerId::new("worker"),
        pool: "default".into(),
        slots: 2,
        lease: Duration::from_secs(2),
        poll: Duration::from_secs(1),
        rest: Duration::ZERO,
        heartbeat: Duration::from_secs(1),
        patience: Duration::from_secs(600),
        scratch: scratch.to_owned(),
        seed: 7,
    };
    let worker = tokio::spawn(Worker::new(grid.for_worker(), runner.clone(), config).run(stop.clone()));
    let is_over = |progress: &Progress| progress.jobs.get(job).is_some_and(|status| status.state.is_final());
    let status = watched.wait_for(is_over).await.map(|progress| progress.jobs[job].clone());
    stop.drain.cancel();
    leader.await??;
    worker.await??;
    runner.shutdown().await;
    Ok(status?)
}

async fn outputs(grid: &Grid, status: &JobStatus) -> anyhow::Result<BTreeMap<String, Vec<Vec<u8>>>> {
    let reader = OutputReader::new(grid.objects.clone());
    let mut stdout = BTreeMap::new();
    for stage in &status.stages {
        let mut items = BTreeMap::new();
        for shard in 0..stage.items.div_ceil(u64::from(grid_core::limits::SHARD_ITEMS)) as u32 {
            for key in job_manager::view::ended_attempts(grid.objects.as_ref(), &status.job, &stage.name, shard).await?
            {
                let committed = reader.manifest(&status.job, &OutputRef { stage: stage.name.clone(), key }).await?;
                for (first, count) in committed.items().to_vec() {
                    for item in first..first + count {
                        items.insert(item, read(&reader, committed.stdout(item)).await?);
                    }
                }
            }
        }
        stdout.insert(stage.name.to_string(), items.into_values().collect());
    }
    Ok(stdout)
}

async fn read(reader: &OutputReader, piece: Option<infra::outputs::Piece>) -> anyhow::Result<Vec<u8>> {
    let Some(piece) = piece else { return Ok(Vec::new()) };
    let pieces: Vec<bytes::Bytes> = reader.stream(&[piece]).try_collect().await?;
    Ok(pieces.concat())
}

impl Ended {
    /// Items of a stage by how they ended: ok, skipped, dead.
    pub fn counts(&self, stage: &str) -> (u64, u64, u64) {
        let name = StageName::new(stage);
        let found = self.status.stages.iter().find(|status| status.name == name);
        found.map_or((0, 0, 0), |status| (status.ok, status.skipped, status.dead))
    }
}
