//! `posix_spawn` of libc, and what it is told.

use std::ffi::{CStr, c_char, c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::LazyLock;

use crate::Streams;

/// Starts a program in a folder, in a process group of its own, and answers its process id.
pub(crate) fn start(
    path: &CStr,
    arguments: &[&CStr],
    folder: &CStr,
    variables: &[&CStr],
    streams: Streams<'_>,
) -> io::Result<u32> {
    let (mut actions, mut attributes) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let mut actions = Actions::new(&mut actions)?;
    actions.stream(streams.stdin, libc::STDIN_FILENO)?;
    actions.stream(streams.stdout, libc::STDOUT_FILENO)?;
    actions.stream(streams.stderr, libc::STDERR_FILENO)?;
    actions.folder(folder)?;
    let attributes = Attributes::new(&mut attributes)?;
    let (arguments, variables) = (pointers(arguments), pointers(variables));
    let mut pid = 0;
    // SAFETY: `path` is a C string, `arguments` and `variables` are arrays of C strings with a null behind the last, and
    // all outlive the call, as do the initialised `actions` and `attributes`; the call writes none of them.
    let answer = unsafe {
        libc::posix_spawn(&mut pid, path.as_ptr(), &*actions.0, &*attributes.0, arguments.as_ptr(), variables.as_ptr())
    };
    check(answer)?;
    u32::try_from(pid).map_err(io::Error::other)
}

/// As `execve` takes them. It writes no string, whatever its type says.
fn pointers(strings: &[&CStr]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// What happens in the process before the program begins.
struct Actions<'a>(&'a mut libc::posix_spawn_file_actions_t);

impl<'a> Actions<'a> {
    fn new(place: &'a mut MaybeUninit<libc::posix_spawn_file_actions_t>) -> io::Result<Self> {
        // SAFETY: the place is large enough and writable.
        check(unsafe { libc::posix_spawn_file_actions_init(place.as_mut_ptr()) })?;
        // SAFETY: the call above has initialised it.
        Ok(Self(unsafe { place.assume_init_mut() }))
    }

    fn stream(&mut self, from: BorrowedFd<'_>, to: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised; a wrong descriptor is an error, not a fault.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(self.0, from.as_raw_fd(), to) })
    }

    fn folder(&mut self, folder: &CStr) -> io::Result<()> {
        // SAFETY: the actions are initialised, and the path is copied by the call.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(self.0, folder.as_ptr()) })
    }
}

impl Drop for Actions<'_> {
    fn drop(&mut self) {
        // SAFETY: they are initialised, and this is their end. There is no error that could be reported.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0) };
    }
}

/// Group and signals of the process.
struct Attributes<'a>(&'a mut libc::posix_spawnattr_t);

impl<'a> Attributes<'a> {
    fn new(place: &'a mut MaybeUninit<libc::posix_spawnattr_t>) -> io::Result<Self> {
        // SAFETY: the place is large enough and writable.
        check(unsafe { libc::posix_spawnattr_init(place.as_mut_ptr()) })?;
        // SAFETY: the call above has initialised it.
        let attributes = Self(unsafe { place.assume_init_mut() });
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let flags = c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: the attributes are initialised.
        check(unsafe { libc::posix_spawnattr_setflags(attributes.0, flags) })?;
        // SAFETY: the attributes are initialised. Group 0 is a new one with the id of the process.
        check(unsafe { libc::posix_spawnattr_setpgroup(attributes.0, 0) })?;
        // SAFETY: both are initialised; the set is copied.
        check(unsafe { libc::posix_spawnattr_setsigmask(attributes.0, &raw const SIGNALS.none) })?;
        // SAFETY: both are initialised; the set is copied.
        check(unsafe { libc::posix_spawnattr_setsigdefault(attributes.0, &raw const SIGNALS.by_default) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // SAFETY: they are initialised, and this is their end. There is no error that could be reported.
        unsafe { libc::posix_spawnattr_destroy(self.0) };
    }
}

/// Sets of signals, which are the same for all processes.
struct Signals {
    none: libc::sigset_t,
    /// What a process gets the default of: all but what this one was started to ignore, as `nohup` would have it.
    ///
    /// A handler is gone in another program anyway. But of a signal that is not in this set, libc asks the system what
    /// becomes of it before it sets its default: two calls instead of one, for each of some sixty.
    by_default: libc::sigset_t,
}

static SIGNALS: LazyLock<Signals> = LazyLock::new(|| {
    let (none, mut by_default) = (no_signals(), no_signals());
    for signal in (1..=libc::SIGRTMAX()).filter(|&signal| signal == libc::SIGPIPE || !is_ignored(signal)) {
        // SAFETY: the set is initialised. The answer is an error for what is no signal or one of libc's own.
        unsafe { libc::sigaddset(&raw mut by_default, signal) };
    }
    Signals { none, by_default }
});

fn no_signals() -> libc::sigset_t {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: the place is large enough and writable; the call has no error but that it is not.
    unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
    // SAFETY: the call above has initialised it.
    unsafe { signals.assume_init() }
}

/// SIGPIPE is ignored in every Rust program, and by default in every other one, so that it says nothing here.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and the place for what is set is large enough and writable.
    let answer = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call has initialised it when it answers 0; it is not looked at otherwise.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// The functions of `spawn.h` answer with the error.
fn check(answer: c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}
