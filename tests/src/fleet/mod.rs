//! A grid of real processes: managers and workers against a server that speaks AWS's language, on names that nobody else
//! uses. Each program's log is kept in the grid's folder; where a test fails, that is named and left there.

mod daemon;
mod http;
mod instance;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

pub use self::daemon::Daemon;
pub use self::http::{Answer, get, get_within, post};
pub use self::instance::Instance;

/// How long a lease of these workers lasts, seconds: the shortest that leaves room for a slow machine.
pub(crate) const LEASE_SECS: u64 = 10;

/// How long a manager may take until its back ends have answered.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The names of a grid, and a folder for what its programs say.
pub struct Fleet {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
    programs: PathBuf,
}

impl Fleet {
    /// Makes bucket, queues and table on the server that `AWS_ENDPOINT_URL` names.
    pub fn new() -> anyhow::Result<Self> {
        Self::at(&server()?)
    }

    /// The same where its programs reach the server by another address.
    pub fn at(address: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let name = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let env = [
            ("AWS_ENDPOINT_URL", address.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("GRIDMILL_BUCKET", format!("fleet-{name}")),
            ("GRIDMILL_TASK_QUEUE", format!("fleet-{name}-tasks")),
            ("GRIDMILL_DEAD_TASK_QUEUE", format!("fleet-{name}-dead-tasks")),
            ("GRIDMILL_REPORT_QUEUE", format!("fleet-{name}-reports")),
            ("GRIDMILL_DEAD_REPORT_QUEUE", format!("fleet-{name}-dead-reports")),
            ("GRIDMILL_EVENT_QUEUE", format!("fleet-{name}-events")),
            ("GRIDMILL_DEAD_EVENT_QUEUE", format!("fleet-{name}-dead-events")),
            ("GRIDMILL_TABLE", format!("fleet-{name}")),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let fleet = Self { folder, env, programs: programs()? };
        fleet.create()?;
        Ok(fleet)
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), content)?)
    }

    /// Runs a daemon that is expected to end by itself.
    pub fn daemon_ends(&self, program: &str, words: &[&str]) -> anyhow::Result<Output> {
        Ok(self.command(program).args(words).stdin(Stdio::null()).output()?)
    }

    /// Starts a manager with further variables, and waits until it listens.
    pub fn manager_that_waits(&self, name: &str, env: &[(&str, &str)]) -> anyhow::Result<Daemon> {
        Daemon::start(self.manager_command(name).envs(env.iter().copied()), &self.path(name), "listening")
    }

    /// Starts a manager and waits until it is ready.
    pub fn manager(&self, name: &str) -> anyhow::Result<Daemon> {
        self.manager_with(name, &[])
    }

    /// The same with further settings.
    pub fn manager_with(&self, name: &str, words: &[&str]) -> anyhow::Result<Daemon> {
        let manager = Daemon::start(self.manager_command(name).args(words), &self.path(name), "listening")?;
        // It listens before its back ends have answered, and says so to whoever asks for more.
        let give_up = Instant::now() + READY_WITHIN;
        loop {
            let answer = get(&manager.address, "/readyz")?;
            if answer.status == 200 {
                return Ok(manager);
            }
            ensure!(
                Instant::now() < give_up,
                "{name} does not become ready: {}",
                String::from_utf8_lossy(&answer.body)
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts a worker of two slots and waits until it works.
    pub fn worker(&self, name: &str) -> anyhow::Result<Daemon> {
        let lease = LEASE_SECS.to_string();
        self.worker_with(name, &["--slots", "2", "--lease-secs", &lease, "--heartbeat-secs", "2"])
    }

    /// Starts a worker with these settings and waits until it works.
    pub fn worker_with(&self, name: &str, words: &[&str]) -> anyhow::Result<Daemon> {
        Daemon::start(&mut self.worker_command(words), &self.path(name), "working")
    }

    /// Starts a worker of two slots on an instance of the group `workers`.
    pub fn worker_on(&self, name: &str, instance: &Instance, words: &[&str]) -> anyhow::Result<Daemon> {
        let lease = LEASE_SECS.to_string();
        let settings = ["--slots", "2", "--lease-secs", &lease, "--heartbeat-secs", "2"];
        let mut command = self.worker_command_on(instance, &settings);
        Daemon::start(command.args(words), &self.path(name), "working")
    }

    /// Starts the service that stands before an instance's metadata, and gives credentials for the secret.
    pub fn metadata_of(&self, instance: &Instance, secret: &str) -> anyhow::Result<Daemon> {
        let mut command = Command::new(self.programs.join("grid-worker"));
        command.args(["metadata", "--listen", "127.0.0.1:0", "--from", &instance.address, "--log-format", "json"]);
        command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", secret);
        Daemon::start(&mut command, &self.path("metadata"), "listening")
    }

    /// Starts a worker that knows its instance by that service, and has no other credentials than it gives.
    pub fn worker_behind(&self, name: &str, metadata: &Daemon, secret: &str) -> anyhow::Result<Daemon> {
        let mut command = self.worker_command(&["--slots", "2", "--instance-metadata", &metadata.address]);
        for own in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
            command.env_remove(own);
        }
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/credentials", metadata.address));
        command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", secret).env("AWS_EC2_METADATA_DISABLED", "true");
        Daemon::start(&mut command, &self.path(name), "working")
    }

    /// What a worker on an instance of the group `workers` finds when it checks what it needs, which must be there.
    pub fn check_of_worker(&self, instance: &Instance) -> anyhow::Result<String> {
        let output = self.worker_command_on(instance, &["--check"]).output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{}: {said}", output.status);
        Ok(said)
    }

    fn manager_command(&self, name: &str) -> Command {
        let mut command = self.command("job-manager");
        command.args(["--name", name, "--log-format", "json"]).env("GRIDMILL_LISTEN", "127.0.0.1:0");
        command
    }

    fn worker_command_on(&self, instance: &Instance, words: &[&str]) -> Command {
        let mut command = self.worker_command(words);
        command.args(["--instance-metadata", &instance.address, "--group", "workers"]);
        command.env("AWS_ENDPOINT_URL_AUTO_SCALING", format!("http://{}", instance.address));
        command
    }

    fn worker_command(&self, words: &[&str]) -> Command {
        let mut command = self.command("grid-worker");
        command.args(words).args(["--log-format", "json"]);
        command.arg("--scratch").arg(self.path("scratch"));
        command
    }

    /// What `gridmill` answers, run in the grid's folder.
    pub fn gridmill(&self, words: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command("gridmill");
        Ok(command.args(words).stdin(Stdio::null()).output()?)
    }

    /// Like [`gridmill`](Self::gridmill), where it has to end with status 0.
    pub fn succeeds(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.gridmill(words)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "gridmill {}: {}\n{stderr}", words.join(" "), output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Waits for the end of a job: asks one manager after the other for its events, since any of them may be killed.
    pub fn end_of(&self, managers: &dyn Fn() -> Vec<String>, job: &str, within: Duration) -> anyhow::Result<Value> {
        let give_up = Instant::now() + within;
        loop {
            for address in managers() {
                // A manager that is killed ends the stream; the next one tells from the beginning.
                if let Ok(Some(end)) = http::last_event(&address, &format!("/v1/jobs/{job}/events"), within) {
                    return Ok(end);
                }
            }
            ensure!(Instant::now() < give_up, "job {job} has not ended; see {}", self.folder.path().display());
        }
    }

    /// The settings by which this process opens the grid itself.
    pub fn settings(&self) -> anyhow::Result<infra::aws::Settings> {
        Ok(infra::aws::Settings::from_vars(|name| self.var(name).map(str::to_owned))?)
    }

    /// Another table, with nothing in it, in place of the one that there was.
    pub fn lose_table(&mut self) -> anyhow::Result<()> {
        for (name, value) in &mut self.env {
            if name == "GRIDMILL_TABLE" {
                value.push_str("-again");
            }
        }
        self.create()
    }

    /// Leaves its folder where it is when this is dropped.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// The address of the server.
    pub fn server(&self) -> anyhow::Result<&str> {
        self.var("AWS_ENDPOINT_URL").context("AWS_ENDPOINT_URL names no server")
    }

    /// Whether a program can be given a disk of its own here.
    pub fn has_small_disks(&self) -> bool {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs"]).arg(self.folder.path());
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// A program of ours with a small disk at `folder` that nobody else sees: in a mount namespace of its own.
    pub(crate) fn command_on_small_disk(&self, program: &str, folder: &Path) -> Command {
        let mut command = self.command("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command
            .arg("mount -t tmpfs -o size=16m tmpfs \"$0\" && exec \"$@\"")
            .arg(folder)
            .arg(self.programs.join(program));
        command
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A program of ours, or of the system, with the grid's settings, in the grid's folder.
    pub(crate) fn command(&self, program: &str) -> Command {
        let ours = self.programs.join(program);
        let mut command = if ours.exists() { Command::new(ours) } else { Command::new(program) };
        command.current_dir(self.folder.path()).envs(self.env.iter().cloned());
        for inherited in ["GRIDMILL_MANAGER", "GRIDMILL_TOKEN", "GRIDMILL_STATE", "GRIDMILL_LISTEN", "RUST_LOG"] {
            command.env_remove(inherited);
        }
        command
    }

    fn create(&self) -> anyhow::Result<()> {
        self.python("localstack/create.py", &[], "").map(drop)
    }

    /// What a script of the repository answers, with the grid's names and boto3, which comes with LocalStack.
    pub fn python(&self, script: &str, words: &[&str], said: &str) -> anyhow::Result<String> {
        self.script(Command::new(self.emulators().join("localstack/bin/python")), script, words, said)
    }

    /// The same of a shell script that asks with the aws command line.
    pub fn aws_cli(&self, script: &str, words: &[&str], said: &str) -> anyhow::Result<String> {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.emulators().join("awscli/bin")).chain(std::env::split_paths(&others));
        let mut command = Command::new("bash");
        command.env("PATH", std::env::join_paths(folders)?);
        self.script(command, script, words, said)
    }

    /// Where the tools lie that scripts ask with.
    fn emulators(&self) -> PathBuf {
        std::env::var_os("GRIDMILL_EMULATORS").map_or_else(|| self.programs.join("../emulators"), PathBuf::from)
    }

    fn script(&self, mut command: Command, script: &str, words: &[&str], said: &str) -> anyhow::Result<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        command.arg(root.join(script)).args(words).envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().with_context(|| format!("failed to start {script}: run `localstack/up` first"))?;
        child.stdin.take().context("it has a standard input")?.write_all(said.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The server that `AWS_ENDPOINT_URL` names.
pub fn server() -> anyhow::Result<String> {
    std::env::var("AWS_ENDPOINT_URL").context("AWS_ENDPOINT_URL names no server")
}

/// Where cargo has put our programs: beside this one, or, when this is a test, a folder above it.
fn programs() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().context("a program lies in a folder")?;
    let folder =
        if folder.ends_with("deps") { folder.parent().context("a test lies in target/PROFILE/deps")? } else { folder };
    for program in ["job-manager", "grid-worker", "gridmill"] {
        let path = folder.join(program);
        ensure!(path.exists(), "{} is missing: cargo build -p gridmill -p job-manager -p grid-worker", path.display());
    }
    Ok(folder.to_owned())
}

/// The content of all files below a folder, by relative path.
pub fn tree(folder: &Path) -> anyhow::Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("failed to read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                found.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(found)
}
