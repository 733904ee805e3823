//! A folder in which the real program runs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A run that takes longer hangs: it is killed, and the test fails.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A folder with a pipeline, its inputs, its state and its outputs.
pub struct Place {
    folder: tempfile::TempDir,
}

/// A run that goes on.
pub struct Going {
    child: Child,
    stdout: Reader,
    stderr: Reader,
}

/// Reads what a process says for as long as it speaks.
struct Reader {
    thread: thread::JoinHandle<()>,
    said: Arc<Mutex<Vec<u8>>>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it said on standard output, as JSON; null when that was nothing.
    pub answer: Value,
    /// What it said on standard error.
    pub stderr: String,
}

impl Drop for Place {
    /// Keeps what a failed test was about.
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("its folder is kept: {}", self.folder.path().display());
        }
    }
}

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One with a pipeline.
    pub fn with(pipeline: &str) -> Self {
        let place = Self::new();
        place.write("pipeline.yaml", pipeline);
        place
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The lines of a file; none when there is none.
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The program, not yet started, in this folder. Its commands carry the folder's name in their environment.
    pub fn gridmill(&self, arguments: &[&str]) -> Command {
        self.through(&[], arguments)
    }

    /// The program, started by another one that ends in `exec "$@"` or the like.
    pub fn through(&self, before: &[&str], arguments: &[&str]) -> Command {
        let mut words = before.iter().copied().chain([env!("CARGO_BIN_EXE_gridmill")]).chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.folder.path()).env("PROOF_PLACE", self.folder.path());
        command.env_remove("GRIDMILL_STATE").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `gridmill run pipeline.yaml --json`, started.
    pub fn start(&self, arguments: &[&str]) -> Going {
        Going::start(self.gridmill(&run_words(arguments)))
    }

    /// `gridmill run pipeline.yaml --json`, to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// The dead letters of the newest job.
    pub fn dead(&self) -> Vec<Value> {
        let output = self.gridmill(&["dead", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything in a folder, by path.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let root = self.path(folder);
        collect(&root, &root, &mut found);
        found
    }

    /// Processes that this folder's runs have left behind.
    pub fn left_over(&self) -> Vec<String> {
        let mark = format!("PROOF_PLACE={}", self.folder.path().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push(String::from_utf8_lossy(&words).replace('\0', " "));
            }
        }
        found
    }

    /// Fails unless every process of this folder's runs has gone; those of a killed run are given the time that their
    /// guard takes.
    pub fn assert_nothing_left_over(&self) {
        for _ in 0..3_000 {
            if self.left_over().is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("these processes were left over: {:#?}", self.left_over());
    }
}

/// The words of `gridmill run`.
pub fn run_words<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let given = |names: &[&str]| arguments.iter().any(|argument| names.contains(argument));
    let mut words = vec!["run", "pipeline.yaml", "--json"];
    if !given(&["--workers"]) {
        words.extend(["--workers", "4"]);
    }
    words.extend(arguments);
    words
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read(&path).unwrap());
        }
    }
}

impl Going {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: Reader::new(stdout), stderr: Reader::new(stderr) }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it has said this on standard error.
    pub fn said(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.stderr.said.lock().unwrap()).contains(words)
    }

    /// Whether a signal would no longer end it by itself.
    pub fn catches(&self, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        caught & (1 << (signal.as_raw() - 1)) != 0
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it as the machine would, and waits until it has gone.
    pub fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let pid = Pid::from_child(&self.child);
        let (done, watch) = channel::<()>();
        let watchdog = thread::spawn(move || {
            let hangs = watch.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if hangs {
                let _ = kill_process(pid, Signal::KILL);
            }
            hangs
        });
        let status = self.child.wait().unwrap();
        drop(done);
        let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!watchdog.join().unwrap(), "it hung\n{stderr}");
        let answer = match stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&stdout).unwrap_or_else(|_| String::from_utf8_lossy(&stdout).into()),
        };
        Ended { code: status.code(), signal: status.signal(), answer, stderr }
    }
}

impl Reader {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let all = said.clone();
        let thread = thread::spawn(move || {
            let mut chunk = vec![0; 64 << 10];
            loop {
                let len = from.read(&mut chunk).unwrap();
                if len == 0 {
                    return;
                }
                all.lock().unwrap().extend_from_slice(&chunk[..len]);
            }
        });
        Self { thread, said }
    }

    /// Everything, once it is known that nothing follows.
    fn end(self) -> Vec<u8> {
        self.thread.join().unwrap();
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

impl Ended {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}\n{}", self.stderr, self.answer);
        self
    }

    /// Fails unless it said all of these words on standard error.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in:\n{}", self.stderr);
        }
        self
    }

    /// A stage's line of the receipt.
    #[track_caller]
    pub fn stage(&self, name: &str) -> &Value {
        let stages = self.answer["stages"].as_array().unwrap_or_else(|| panic!("no receipt: {}", self.stderr));
        stages.iter().find(|stage| stage["name"] == name).unwrap_or_else(|| panic!("no stage {name}"))
    }

    /// Items of a stage, by how they ended: ok, skipped, dead, not run.
    #[track_caller]
    pub fn items(&self, name: &str) -> [u64; 4] {
        ["ok", "skipped", "dead", "not_run"].map(|how| self.stage(name)[how].as_u64().unwrap())
    }

    /// Fails unless the receipt says that it balances, and does.
    #[track_caller]
    pub fn balances(self) -> Self {
        assert_eq!(self.answer["balanced"], true, "{}", self.answer);
        assert_eq!(self.answer["faults"], Value::Null);
        for stage in self.answer["stages"].as_array().unwrap() {
            let sum: u64 = ["ok", "skipped", "dead", "not_run"].map(|how| stage[how].as_u64().unwrap()).iter().sum();
            assert_eq!(stage["items"], sum, "{stage}");
            // What a stage takes from others is not planned in bytes.
            if stage["bytes_planned"] != 0 && stage["dead"] == 0 && stage["not_run"] == 0 {
                assert_eq!(stage["bytes_planned"], stage["bytes_in"], "{stage}");
            }
        }
        self
    }
}
