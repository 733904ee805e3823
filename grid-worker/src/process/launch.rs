//! Makes the processes of a stage: its command line with values, found by PATH, with its limits and its environment.

use std::collections::BTreeMap;
use std::ffi::{NulError, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use grid_core::items::Key;
use grid_core::pipeline::{Command as CommandLine, Quoting, Stage, Template, TemplateValues};
use grid_core::reason::{Failure, Reason};
use grid_core::submission::Submission;
use grid_core::units::ByteSize;
use spawn::{Environment, Program};

use super::environment::Variables;
use super::fault;
use super::running::Running;
use super::template::{is_constant, render};

/// Where a program is looked for when the environment has no PATH: what `execvp` does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

const SHELL: &str = "/bin/sh";

/// Starts the processes of one task. What is the same for all of them is made once.
pub(super) struct Launcher<'a> {
    line: &'a CommandLine,
    submission: &'a Submission,
    /// The address space that a process may use.
    memory: Option<ByteSize>,
    vars: Variables,
    path: OsString,
    is_constant: bool,
    /// `vars`, and `/dev/null`, as processes get them.
    shared: Option<(Environment, File)>,
    /// The program of the last process, where it is that of all.
    program: Option<Program>,
}

/// A program's file, the name it is called by, its arguments.
struct Words {
    file: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
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
        let path = path_of(&vars).unwrap_or(DEFAULT_PATH.as_ref()).to_owned();
        let is_constant = match line {
            CommandLine::Shell(string) => is_constant(string),
            CommandLine::Argv(arguments) => arguments.iter().all(is_constant),
        };
        Self {
            line,
            submission,
            memory: memory_limit(stage, memory_factor),
            vars,
            path,
            is_constant,
            shared: None,
            program: None,
        }
    }

    /// Starts a process for an item (or for several), with `item_vars` on top of the environment.
    pub(super) fn start(&mut self, key: Option<&Key>, item_vars: Variables, stdin: Stdin) -> Result<Running, Failure> {
        let path = path_of(&item_vars);
        let is_constant = self.is_constant && path.is_none();
        let program = match self.program.take().filter(|_| is_constant) {
            Some(program) => program,
            None => self.program(self.words(key, path)?)?,
        };
        let (environment, null) = match self.shared.take() {
            Some(shared) => shared,
            None => self.share()?,
        };
        let input = match stdin {
            Stdin::Null => Some(null.as_fd()),
            Stdin::Pipe => None,
        };
        let started = Running::start(input, |streams| program.start(&environment, item_vars, streams))
            .map_err(|error| refused(program.path(), &self.submission.workdir, &error))?;
        (self.shared, self.program) = (Some((environment, null)), Some(program));
        Ok(started)
    }

    /// The command of one process (of an item, or of several), with the streams and the group of this process.
    pub(super) fn command(&self, key: Option<&Key>, item_vars: Variables) -> Result<Command, Failure> {
        let Words { file, name, arguments } = self.words(key, path_of(&item_vars))?;
        let mut command = Command::new(file);
        command.arg0(name).args(arguments).current_dir(&self.submission.workdir).env_clear();
        command.envs(self.vars.iter().map(|(name, value)| (name, value))).envs(item_vars);
        Ok(command)
    }

    fn program(&self, words: Words) -> Result<Program, Failure> {
        let Words { file, name, arguments } = words;
        let arguments = arguments.iter().map(OsString::as_os_str);
        Program::new(&file, &name, arguments, Path::new(&self.submission.workdir)).map_err(|_: NulError| holds_nul())
    }

    fn share(&self) -> Result<(Environment, File), Failure> {
        let environment = Environment::new(self.vars.iter().cloned()).map_err(|_: NulError| holds_nul())?;
        let null = File::open("/dev/null").map_err(|error| fault::own("open /dev/null", &error))?;
        Ok((environment, null))
    }

    /// The words of a process's command line; a program without a slash is looked for along `path`.
    fn words(&self, key: Option<&Key>, path: Option<&OsStr>) -> Result<Words, Failure> {
        let values = TemplateValues { params: &self.submission.params, key };
        match self.line {
            CommandLine::Shell(string) => {
                let string = render(string, values, Quoting::Shell, "the command")?;
                let string = match self.memory {
                    Some(limit) => format!("{}; {string}", limit_memory(limit)),
                    None => string,
                };
                Ok(shell(["-ec".into(), string.into()], []))
            }
            CommandLine::Argv(arguments) => {
                let mut words = arguments.iter().map(|argument| render(argument, values, Quoting::None, "the command"));
                let Some(name) = words.next().transpose()? else {
                    return Err(Failure::new(Reason::Internal, "the stage's command is empty"));
                };
                let file = find(&name, path.unwrap_or(&self.path), Path::new(&self.submission.workdir))?;
                let arguments: Vec<OsString> = words.map(|word| word.map(OsString::from)).collect::<Result<_, _>>()?;
                Ok(match self.memory {
                    // A limit on a process can be set from outside only once it runs; a shell that sets its own and then
                    // becomes the program leaves no gap, and costs nothing where no limit is asked for.
                    Some(limit) => {
                        let script = format!("{} && exec \"$@\"", limit_memory(limit));
                        shell(["-c".into(), script.into(), "sh".into(), file.into()], arguments)
                    }
                    None => Words { file, name: name.into(), arguments },
                })
            }
        }
    }
}

/// A shell with its arguments.
fn shell<const N: usize>(first: [OsString; N], rest: impl IntoIterator<Item = OsString>) -> Words {
    let arguments = first.into_iter().chain(rest).collect();
    Words { file: SHELL.into(), name: SHELL.into(), arguments }
}

/// The PATH among some variables.
fn path_of(vars: &Variables) -> Option<&OsStr> {
    vars.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str())
}

/// The address space that a process of the stage may use in an attempt.
pub(super) fn memory_limit(stage: &Stage, factor: f64) -> Option<ByteSize> {
    stage.resources.memory.map(|size| ByteSize((size.0 as f64 * factor) as u64))
}

fn limit_memory(limit: ByteSize) -> String {
    format!("ulimit -v {}", limit.0.div_ceil(1_024))
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
fn refused(program: &Path, workdir: &str, error: &io::Error) -> Failure {
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
        io::ErrorKind::InvalidInput => holds_nul(),
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

fn holds_nul() -> Failure {
    let words = "a parameter or key holds a NUL byte, which neither arguments nor environment can carry";
    Failure::new(Reason::Input, words)
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
