//! Makes the processes of a stage: its command line with values, found by PATH, with its limits and its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grid_core::items::Key;
use grid_core::pipeline::{Command as CommandLine, Quoting, Stage, Template, TemplateValues};
use grid_core::reason::{Failure, Reason};
use grid_core::submission::Submission;
use grid_core::units::ByteSize;

use super::environment::Variables;
use super::fault;
use super::running::Running;
use super::template::{is_constant, render};

/// Where a program is looked for when the environment has no PATH: what `execvp` does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Starts the processes of one task.
///
/// The `Command` is kept and only what differs is set again, since building one of sixty variables costs as much as
/// starting it. Its shape must stay one that std hands to `posix_spawn`: a program that is a path, no `pre_exec`, no
/// user or group.
pub(super) struct Launcher<'a> {
    line: &'a CommandLine,
    submission: &'a Submission,
    /// The address space that a process may use.
    memory: Option<ByteSize>,
    vars: Variables,
    path: OsString,
    is_constant: bool,
    command: Option<Command>,
    item_vars: Vec<OsString>,
    stdin: Stdin,
}

/// Where a process's standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdin {
    /// It has none: `/dev/null`.
    Null,
    /// A pipe.
    Pipe,
}

impl<'a> Launcher<'a> {
    /// A launcher of `line` with the environment `vars`.
    pub(super) fn new(
        line: &'a CommandLine,
        submission: &'a Submission,
        stage: &Stage,
        memory_factor: f64,
        vars: Variables,
    ) -> Self {
        let path = vars.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let is_constant = match line {
            CommandLine::Shell(string) => is_constant(string),
            CommandLine::Argv(arguments) => arguments.iter().all(is_constant),
        };
        Self {
            line,
            submission,
            memory: memory_limit(stage, memory_factor),
            vars,
            path: path.unwrap_or_else(|| DEFAULT_PATH.into()),
            is_constant,
            command: None,
            item_vars: Vec::new(),
            stdin: Stdin::Null,
        }
    }

    /// Starts a process for an item (or for several), with `item_vars` on top of the environment.
    pub(super) fn start(&mut self, key: Option<&Key>, item_vars: Variables, stdin: Stdin) -> Result<Running, Failure> {
        let path = item_vars.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        let is_constant = self.is_constant && path.is_none();
        let mut command = match self.command.take().filter(|_| is_constant) {
            Some(command) => command,
            None => {
                let values = TemplateValues { params: &self.submission.params, key };
                self.item_vars.clear();
                self.stdin = stdin;
                self.build(values, path.unwrap_or(&self.path), stdin)?
            }
        };
        if self.stdin != stdin {
            command.stdin(stdio(stdin)?);
            self.stdin = stdin;
        }
        for old in self.item_vars.drain(..) {
            if !item_vars.iter().any(|(name, _)| *name == old) {
                command.env_remove(old);
            }
        }
        for (name, value) in item_vars {
            command.env(&name, value);
            self.item_vars.push(name);
        }
        let started =
            Running::start(&mut command).map_err(|error| refused(&command, &self.submission.workdir, &error))?;
        // Not after a refusal: a value that is no C string would spoil it for ever.
        self.command = Some(command);
        Ok(started)
    }

    /// The command of one process (of an item, or of several), with the streams and the group of this process.
    pub(super) fn command(&self, key: Option<&Key>, item_vars: Variables) -> Result<Command, Failure> {
        let path = item_vars.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        let values = TemplateValues { params: &self.submission.params, key };
        let mut command = self.plain(values, path.unwrap_or(&self.path))?;
        command.envs(item_vars);
        Ok(command)
    }

    fn build(&self, values: TemplateValues<'_>, path: &OsStr, stdin: Stdin) -> Result<Command, Failure> {
        let mut command = self.plain(values, path)?;
        command.process_group(0).stdin(stdio(stdin)?).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    fn plain(&self, values: TemplateValues<'_>, path: &OsStr) -> Result<Command, Failure> {
        let workdir = Path::new(&self.submission.workdir);
        let mut command = match self.line {
            CommandLine::Shell(string) => {
                let string = render(string, values, Quoting::Shell, "the command")?;
                let mut command = Command::new("/bin/sh");
                command.arg("-ec").arg(match self.memory {
                    Some(limit) => format!("{}; {string}", limit_memory(limit)),
                    None => string,
                });
                command
            }
            CommandLine::Argv(arguments) => {
                let arguments: Vec<String> = arguments
                    .iter()
                    .map(|argument| render(argument, values, Quoting::None, "the command"))
                    .collect::<Result<_, Failure>>()?;
                let Some((name, rest)) = arguments.split_first() else {
                    return Err(Failure::new(Reason::Internal, "the stage's command is empty"));
                };
                self.direct(find(name, path, workdir)?, name, rest)
            }
        };
        command.current_dir(workdir).env_clear().envs(self.vars.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn direct(&self, program: PathBuf, name: &str, arguments: &[String]) -> Command {
        let mut command;
        match self.memory {
            // A limit on a process can be set from outside only once it runs; a shell that sets its own and then becomes
            // the program leaves no gap, and costs nothing where no limit is asked for.
            Some(limit) => {
                command = Command::new("/bin/sh");
                command.arg("-c").arg(format!("{} && exec \"$@\"", limit_memory(limit))).arg("sh").arg(program);
            }
            None => {
                command = Command::new(program);
                command.arg0(name);
            }
        }
        command.args(arguments);
        command
    }
}

/// The address space that a process of the stage may use in an attempt.
pub(super) fn memory_limit(stage: &Stage, factor: f64) -> Option<ByteSize> {
    stage.resources.memory.map(|size| ByteSize((size.0 as f64 * factor) as u64))
}

fn limit_memory(limit: ByteSize) -> String {
    format!("ulimit -v {}", limit.0.div_ceil(1_024))
}

fn stdio(stdin: Stdin) -> Result<Stdio, Failure> {
    match stdin {
        Stdin::Pipe => Ok(Stdio::piped()),
        // Opened once for all items, where `Stdio::null` would open it for each.
        Stdin::Null => File::open("/dev/null").map(Stdio::from).map_err(|error| fault::own("open /dev/null", &error)),
    }
}

/// Finds a program as a shell would, relative to `workdir`.
fn find(name: &str, path: &OsStr, workdir: &Path) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        return Ok(workdir.join(name));
    }
    let mut forbidden = None;
    for folder in std::env::split_paths(path) {
        let candidate = workdir.join(folder).join(name);
        if !candidate.is_file() {
            continue;
        }
        if rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok() {
            return Ok(candidate);
        }
        forbidden.get_or_insert(candidate);
    }
    Err(match forbidden {
        Some(file) => not_executable(&file),
        None => exit_failure(
            127,
            format!(
                "the command `{name}` was not found in PATH ({}): install it where the worker runs, or name it by its path",
                path.to_string_lossy()
            ),
        ),
    })
}

/// Says why a process could not be started, with the exit status that a shell would give.
fn refused(command: &Command, workdir: &str, error: &io::Error) -> Failure {
    let program = Path::new(command.get_program());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if !Path::new(workdir).is_dir() => Failure::new(
            Reason::Internal,
            format!("the folder {workdir}, in which the job's commands run, does not exist on this worker"),
        ),
        io::ErrorKind::NotFound if program.exists() => exit_failure(
            127,
            format!(
                "the command {} names an interpreter in its first line that does not exist: install it, or correct the line",
                program.display()
            ),
        ),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => exit_failure(
            127,
            format!(
                "the command {} was not found: a path with a slash is taken from {workdir}; correct it in `run`",
                program.display()
            ),
        ),
        io::ErrorKind::PermissionDenied => not_executable(program),
        io::ErrorKind::ArgumentListTooLong => exit_failure(
            126,
            format!(
                "the arguments and environment of {} are too long for the system: pass large values in the item's input",
                program.display()
            ),
        ),
        io::ErrorKind::InvalidInput => Failure::new(
            Reason::Input,
            "a parameter or key holds a NUL byte, which neither arguments nor environment can carry".to_owned(),
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => exit_failure(
            126,
            format!(
                "the command {} is no program of this machine: a script needs a first line like `#!/bin/sh`",
                program.display()
            ),
        ),
        _ => fault::own(format_args!("start {}", program.display()), error),
    }
}

fn not_executable(file: &Path) -> Failure {
    exit_failure(126, format!("the command {0} may not be executed: run `chmod +x {0}`", file.display()))
}

fn exit_failure(status: i32, message: String) -> Failure {
    Failure { exit: Some(status), ..Failure::new(Reason::Exit, message) }
}

/// The templates of the stage's environment that differ from item to item.
pub(super) fn item_environment(stage: &Stage) -> BTreeMap<&str, &Template> {
    stage.env.iter().filter(|(_, template)| !is_constant(template)).map(|(name, it)| (name.as_str(), it)).collect()
}
