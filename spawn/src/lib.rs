//! Starts the same program again and again at less than the cost of `posix_spawn`.
//!
//! The standard library copies the whole environment into a tree and then into C strings for each start, and libc makes a
//! stack for each. Here what is the same for all starts is made once: the program with its arguments ([`Program`]), the
//! [`Environment`] and, for each thread, the stack; a start adds its own few variables. What a process gets is otherwise what `std::process::Command` gives it: no signal is
//! blocked, SIGPIPE is as by default, and nothing is open but its three streams and what was opened without
//! `O_CLOEXEC`.
//!
//! The only crate of the workspace with unsafe code: the calls of libc, in `sys` and `stack`.

use std::ffi::{CString, NulError, OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

#[expect(unsafe_code, reason = "calls of libc, for which there is no safe crate")]
mod stack;
#[expect(unsafe_code, reason = "calls of libc, for which there is no safe crate")]
mod sys;

/// A program with its arguments, and the folder in which it runs.
#[derive(Clone, Debug)]
pub struct Program {
    path: CString,
    /// From the name it is called by.
    arguments: Vec<CString>,
    folder: CString,
}

/// Variables that many processes see.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `NAME=value`, each name once.
    variables: Vec<CString>,
}

/// The standard streams of a process. They must not be descriptors 0 to 2, which would be overwritten one after the
/// other; in a Rust program no other file has these, since its start opens them when they are closed.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// What it reads.
    pub stdin: BorrowedFd<'a>,
    /// What it writes.
    pub stdout: BorrowedFd<'a>,
    /// What it complains to.
    pub stderr: BorrowedFd<'a>,
}

/// A process that was started. It must be waited for by its id.
#[derive(Debug)]
pub struct Process {
    /// Its id, which is also that of its process group.
    pub pid: u32,
    /// Its pidfd: readable once it has ended.
    pub exit: OwnedFd,
}

impl Program {
    /// A program that is a file, called by a name and with arguments, in a folder.
    ///
    /// # Errors
    ///
    /// When any of them holds a NUL byte.
    pub fn new<'a>(
        path: &Path,
        name: &'a OsStr,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        folder: &Path,
    ) -> Result<Self, NulError> {
        let arguments = std::iter::once(name).chain(arguments);
        Ok(Self {
            path: CString::new(path.as_os_str().as_bytes())?,
            arguments: arguments.map(|argument| CString::new(argument.as_bytes())).collect::<Result<_, _>>()?,
            folder: CString::new(folder.as_os_str().as_bytes())?,
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
    }

    /// Starts it as the leader of a process group of its own, with `own` in place of variables of the same name.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when a variable holds a NUL byte; otherwise what the system says of the folder or of the program,
    /// as `execve` would.
    pub fn start(
        &self,
        environment: &Environment,
        own: impl IntoIterator<Item = (OsString, OsString)>,
        streams: Streams<'_>,
    ) -> io::Result<Process> {
        let own = Environment::new(own)?;
        let shared = environment.variables.iter().filter(|shared| !own.has(name_of(shared)));
        let variables: Vec<_> = shared.chain(&own.variables).map(CString::as_c_str).collect();
        let arguments: Vec<_> = self.arguments.iter().map(CString::as_c_str).collect();
        sys::start(&self.path, &arguments, &self.folder, &variables, streams)
    }
}

impl Environment {
    /// These variables, a later one in place of an earlier one of the same name.
    ///
    /// # Errors
    ///
    /// When a variable holds a NUL byte.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, NulError> {
        let mut all = Self::default();
        for (name, value) in variables {
            let variable = variable(name, &value)?;
            match all.variables.iter_mut().find(|old| name_of(old) == name_of(&variable)) {
                Some(old) => *old = variable,
                None => all.variables.push(variable),
            }
        }
        Ok(all)
    }

    fn has(&self, name: &[u8]) -> bool {
        self.variables.iter().any(|variable| name_of(variable) == name)
    }
}

fn variable(name: OsString, value: &OsStr) -> Result<CString, NulError> {
    let mut bytes = name.into_vec();
    bytes.reserve_exact(value.len() + 2);
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes)
}

/// What comes before the first `=`, but for one that the name begins with.
fn name_of(variable: &CString) -> &[u8] {
    let bytes = variable.to_bytes();
    let end = bytes.iter().skip(1).position(|byte| *byte == b'=');
    &bytes[..end.map_or(bytes.len(), |end| end + 1)]
}
