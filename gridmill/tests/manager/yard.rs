//! A job manager and a worker in this process, and the real command against them over HTTP.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use grid_worker::runner::Stop;
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
    stop: Stop,
    _runtime: Runtime,
    _state: StateDir,
    folder: tempfile::TempDir,
}

impl Yard {
    /// With a manager that leads, and nobody who works.
    pub fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.yaml"), pipeline).unwrap();
        let runtime = Runtime::new().unwrap();
        let (state, grid) = runtime.block_on(async { StateDir::open(&folder.path().join("there")) }).unwrap();
        let stop = Stop::default();
        let address = runtime.block_on(start_manager(&grid, &stop));
        Self { address, stop, _runtime: runtime, _state: state, folder }
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
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.stop.kill.cancel();
        self.stop.drain.cancel();
    }
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
