//! What processes get that are started here: the same as those that the standard library starts.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read, pipe};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, waitpid};
use spawn::{Environment, Program, Streams};

const SHELL: &str = "/bin/sh";

fn shell(script: &str, folder: &Path) -> Program {
    Program::new(SHELL.as_ref(), "sh".as_ref(), ["-c", script].map(OsStr::new), folder).unwrap()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn start(
    program: &Program,
    shared: &[(&str, &str)],
    own: &[(&str, &str)],
) -> io::Result<(Pid, PipeReader, PipeReader)> {
    let null = File::open("/dev/null")?;
    let ((stdout, out), (stderr, err)) = (pipe()?, pipe()?);
    let streams = Streams { stdin: null.as_fd(), stdout: out.as_fd(), stderr: err.as_fd() };
    let process = program.start(&Environment::new(variables(shared))?, variables(own), streams)?;
    Ok((Pid::from_raw(process.pid.cast_signed()).expect("a process has an id"), stdout, stderr))
}

fn wait(pid: Pid) -> ExitStatus {
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().expect("it was waited for");
    ExitStatus::from_raw(status.as_raw())
}

fn said_by(program: &Program, shared: &[(&str, &str)], own: &[(&str, &str)]) -> String {
    let (pid, mut stdout, _) = start(program, shared, own).unwrap();
    let mut said = String::new();
    stdout.read_to_string(&mut said).unwrap();
    assert!(wait(pid).success());
    said
}

fn kind_of(error: Result<(Pid, PipeReader, PipeReader), io::Error>) -> ErrorKind {
    error.expect_err("it cannot be started").kind()
}

#[test]
fn a_process_sees_its_folder_its_arguments_and_no_variables_but_those_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(said_by(&shell("pwd -P", &folder), &[], &[]).trim_end(), folder.to_str().unwrap());
    let arguments = ["-c", "printf '%s|' \"$0\" \"$@\"", "zero", "", "a b", "ä"].map(OsStr::new);
    let program = Program::new(SHELL.as_ref(), "sh".as_ref(), arguments, &folder).unwrap();
    assert_eq!(said_by(&program, &[], &[]), "zero||a b|ä|");
    let env = Program::new("/usr/bin/env".as_ref(), "env".as_ref(), [], &folder).unwrap();
    assert_eq!(said_by(&env, &[], &[]), "");
    assert_eq!(said_by(&env, &[("A", "1"), ("B", "x=y"), ("A", "2")], &[]), "A=2\nB=x=y\n");
}

#[test]
fn a_variable_of_its_own_is_in_place_of_a_shared_one_of_that_name_alone() {
    let env = Program::new("/usr/bin/env".as_ref(), "env".as_ref(), [], "/".as_ref()).unwrap();
    let shared = [("A", "1"), ("AB", "2"), ("ABC", "3")];
    assert_eq!(said_by(&env, &shared, &[("AB", "own"), ("D", "")]), "A=1\nABC=3\nAB=own\nD=\n");
    assert_eq!(said_by(&env, &shared, &[]), "A=1\nAB=2\nABC=3\n", "the shared ones are as before");
}

#[test]
fn streams_end_with_the_process_and_nothing_of_ours_is_open_in_it() {
    let ((pid, mut stdout, mut stderr), mut said) =
        (start(&shell("echo out; echo err >&2; exit 7", "/".as_ref()), &[], &[]).unwrap(), String::new());
    stdout.read_to_string(&mut said).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "out\nerr\n");
    assert_eq!(wait(pid).code(), Some(7));
    let list =
        Program::new("/bin/ls".as_ref(), "ls".as_ref(), ["/proc/self/fd"].map(OsStr::new), "/".as_ref()).unwrap();
    let std = Command::new("/bin/ls").arg("/proc/self/fd").stdin(Stdio::null()).output().unwrap();
    assert_eq!(said_by(&list, &[], &[]), String::from_utf8(std.stdout).unwrap());
}

#[test]
fn groups_and_signals_are_what_the_standard_library_gives() {
    let script = "grep -E 'SigBlk|SigIgn|SigCgt' /proc/self/status; ps -o pgid= -p $$ | tr -d ' ' >&2; echo $$ >&2";
    let (pid, mut stdout, mut stderr) = start(&shell(script, "/".as_ref()), &[("PATH", "/bin:/usr/bin")], &[]).unwrap();
    let (mut signals, mut ids) = (String::new(), String::new());
    stdout.read_to_string(&mut signals).unwrap();
    stderr.read_to_string(&mut ids).unwrap();
    assert!(wait(pid).success());
    let own = pid.as_raw_nonzero().to_string();
    assert_eq!(ids.split_whitespace().collect::<Vec<_>>(), [&own, &own]);
    let std = Command::new(SHELL).args(["-c", script]).process_group(0).stdin(Stdio::null()).output().unwrap();
    let theirs = String::from_utf8(std.stdout).unwrap();
    assert_eq!(signals.lines().map(set).collect::<Vec<_>>(), theirs.lines().map(set).collect::<Vec<_>>());
}

/// A name and a set of signals, as `/proc/self/status` has them, but for 32 and 33: those are libc's own, which its
/// `posix_spawn` lets be ignored.
fn set(line: &str) -> (&str, u64) {
    let (name, signals) = line.split_once(":\t").unwrap();
    (name, u64::from_str_radix(signals, 16).unwrap() & !(0b11 << 31))
}

#[test]
fn what_a_process_was_started_to_ignore_it_hands_on_to_those_it_starts() {
    let test = "groups_and_signals_are_what_the_standard_library_gives";
    let script = "trap '' HUP; exec \"$0\" --exact \"$1\"";
    let this = std::env::current_exe().unwrap();
    let out = Command::new(SHELL).args(["-c", script]).args([this.as_os_str(), test.as_ref()]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn what_cannot_be_started_is_told_as_the_system_tells_it() {
    let at = |path: &str, folder: &str| {
        start(&Program::new(path.as_ref(), path.as_ref(), [], folder.as_ref()).unwrap(), &[], &[])
    };
    assert_eq!(kind_of(at("/no/such/program", "/")), ErrorKind::NotFound);
    assert_eq!(kind_of(at("/bin/true", "/no/such/folder")), ErrorKind::NotFound);
    assert_eq!(kind_of(at("/etc/passwd", "/")), ErrorKind::PermissionDenied);
    assert_eq!(kind_of(at("/etc/passwd/x", "/")), ErrorKind::NotADirectory);
    let long = "x".repeat(1 << 22);
    assert_eq!(kind_of(start(&shell("true", "/".as_ref()), &[("A", &long)], &[])), ErrorKind::ArgumentListTooLong);
}

#[test]
fn threads_start_side_by_side_and_are_as_before() {
    let say = || {
        let mask = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        for own in ["first", "second", "third"] {
            assert_eq!(said_by(&shell("printf %s \"$OWN\"", "/".as_ref()), &[("OWN", "shared")], &[("OWN", own)]), own);
            let missing = Program::new("/no/such/program".as_ref(), "x".as_ref(), [], "/".as_ref()).unwrap();
            assert_eq!(kind_of(start(&missing, &[], &[])), ErrorKind::NotFound);
        }
        let blocked = |status: &str| status.lines().find(|line| line.starts_with("SigBlk")).map(str::to_owned);
        assert_eq!(blocked(&std::fs::read_to_string("/proc/thread-self/status").unwrap()), blocked(&mask));
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(say);
        }
    });
}

#[test]
fn the_end_of_a_process_is_seen_by_its_pidfd() {
    let (stdin, hold) = pipe().unwrap();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let streams = Streams { stdin: stdin.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() };
    let process = shell("read line", "/".as_ref()).start(&Environment::default(), [], streams).unwrap();
    let ended = |wait: Option<&Timespec>| poll(&mut [PollFd::new(&process.exit, PollFlags::IN)], wait).unwrap() == 1;
    assert!(!ended(Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), "it reads");
    drop(hold);
    assert!(ended(None));
    assert_eq!(wait(Pid::from_raw(process.pid.cast_signed()).unwrap()).code(), Some(1));
}

#[test]
fn a_nul_byte_is_refused_wherever_it_stands() {
    let program = |path: &str, argument: &str| {
        Program::new(path.as_ref(), "x".as_ref(), [OsStr::new(argument)], "/".as_ref())
            .map_err(|error| io::Error::from(error).kind())
    };
    assert_eq!(program("a\0b", "").err(), Some(ErrorKind::InvalidInput));
    assert_eq!(program("a", "b\0").err(), Some(ErrorKind::InvalidInput));
    assert_eq!(kind_of(start(&shell("true", "/".as_ref()), &[("A", "\0")], &[])), ErrorKind::InvalidInput);
    assert_eq!(kind_of(start(&shell("true", "/".as_ref()), &[], &[("A\0", "")])), ErrorKind::InvalidInput);
}
