//! A job manager and a worker in this process, and the real command against them over HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::WorkerId;
use grid_worker::process::{ProcessConfig, ProcessRunner};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig};
use infra::Grid;
use infra::embedded::StateDir;
use job_manager::http::{Access, Api, InputPolicy, Limits, Names, router, serve};
use job_manager::{ManagerConfig, Progress, lead};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A folder to run in, and a manager to talk to.
pub struct Yard {
    address: String,
    grid: Grid,
    stop: Stop,
    runtime: Runtime,
    _state: StateDir,
    folder: tempfile::TempDir,
}

impl Yard {
    /// With a manager that leads, and a worker of two slots.
    pub fn new(pipeline: &str) -> Self {
        let yard = Self::without_worker(pipeline);
        yard.works();
        yard
    }

    /// With a manager that leads, and nobody who works.
    pub fn without_worker(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.yaml"), pipeline).unwrap();
        let runtime = Runtime::new().unwrap();
        let (state, grid) = runtime.block_on(async { StateDir::open(&folder.path().join("there")) }).unwrap();
        let stop = Stop::default();
        let address = runtime.block_on(start_manager(&grid, &stop));
        Self { address, grid, stop, runtime, _state: state, folder }
    }

    /// Lets somebody work from now on.
    pub fn works(&self) {
        let runner = ProcessRunner::new(ProcessConfig { base_env: std::env::vars_os().collect() }).unwrap();
        let config = WorkerConfig {
            worker: WorkerId::new("worker"),
            pool: "default".into(),
            slots: 2,
            lease: Duration::from_secs(2),
            poll: Duration::from_secs(1),
            rest: Duration::ZERO,
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(600),
            scratch: self.path().join("there/scratch"),
            seed: 7,
        };
        let worker = Worker::new(self.grid.for_worker(), Arc::new(runner), config);
        self.runtime.spawn(worker.run(self.stop.clone()));
    }

    /// The folder that commands run in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A command that knows the manager.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridmill"));
        command.args(line.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        for name in ["GRIDMILL_STATE", "GRIDMILL_TOKEN", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("GRIDMILL_MANAGER", &self.address);
        command
    }

    /// What a command answers, what it says, and its exit code.
    pub fn gridmill(&self, line: &str) -> (String, String, i32) {
        spoken(self.command(line).output().unwrap())
    }

    /// The JSON document that a command answers; it must be content.
    pub fn json(&self, line: &str) -> Value {
        let (answer, said, code) = self.gridmill(line);
        assert_eq!(code, 0, "{line}: {said}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Every file below a folder, by its path there.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path().join(folder);
        let mut found = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let name = path.strip_prefix(&root).unwrap().display().to_string();
                        found.insert(name, fs::read(&path).unwrap());
                    }
                }
            }
        }
        found
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.stop.kill.cancel();
        self.stop.drain.cancel();
    }
}

/// Standard input with that text.
pub fn text(text: &str) -> Stdio {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// What a process answered, what it said, and its exit code.
pub fn spoken(output: Output) -> (String, String, i32) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

async fn start_manager(grid: &Grid, stop: &Stop) -> String {
    let (publish, _) = watch::channel(Progress::default());
    tokio::spawn(lead(grid.clone(), ManagerConfig::default(), publish, stop.drain.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let access = Access::ThisMachine(Names::default());
    let api = Arc::new(Api::new(grid.clone(), access, InputPolicy::default(), stop.drain.clone()));
    tokio::spawn(serve(listener, router(api), Limits::default(), stop.drain.clone()));
    address
}
