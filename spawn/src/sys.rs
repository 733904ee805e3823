//! `clone` and `execve` of libc: a process that shares our memory until its program begins, as `posix_spawn` and `vfork`
//! have it, on a stack that is kept from start to start.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::LazyLock;

use crate::stack::Stack;
use crate::{Process, Streams};

thread_local! {
    /// Making one for each start would cost more than all else here: memory that goes away must be forgotten by every
    /// core.
    static STACK: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

/// Starts a program in a folder, in a process group of its own.
pub(crate) fn start(
    path: &CStr,
    arguments: &[&CStr],
    folder: &CStr,
    variables: &[&CStr],
    streams: Streams<'_>,
) -> io::Result<Process> {
    let (arguments, variables) = (pointers(arguments), pointers(variables));
    let streams = [streams.stdin, streams.stdout, streams.stderr].map(|stream| stream.as_raw_fd());
    let signals = &*SIGNALS;
    let mut order = Order { path, arguments: &arguments, variables: &variables, folder, streams, signals, error: 0 };
    let process = STACK.with_borrow_mut(|kept| {
        let stack = kept.take().map_or_else(Stack::new, Ok)?;
        let process = order.give(&stack);
        *kept = Some(stack);
        process
    })?;
    if order.error == 0 {
        return Ok(process);
    }
    // SAFETY: there is a process of this id that nobody has waited for; a null status is not written.
    unsafe { libc::waitpid(process.pid.cast_signed(), ptr::null_mut(), 0) };
    Err(io::Error::from_raw_os_error(order.error))
}

/// As `execve` takes them.
fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What a new process is to do.
struct Order<'a> {
    path: &'a CStr,
    /// Each ends with a null.
    arguments: &'a [*const c_char],
    variables: &'a [*const c_char],
    folder: &'a CStr,
    /// What become its descriptors 0, 1 and 2.
    streams: [c_int; 3],
    signals: &'a Signals,
    /// What the process writes when its program could not begin: the system's word for it.
    error: c_int,
}

impl Order<'_> {
    /// Makes a process that carries this out, and waits until its program has begun or it has ended.
    fn give(&mut self, stack: &Stack) -> io::Result<Process> {
        // No handler of ours may run in the process while it shares our memory.
        let mask = set_mask(&self.signals.all);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut exit: c_int = -1;
        // SAFETY: `begin` takes an `Order`, and this one, all that it refers to, the stack and `exit` outlive the call,
        // which does not come back (CLONE_VFORK) before the process has memory of its own or is gone. Nobody else uses
        // the stack: it is this thread's, which waits.
        let pid = unsafe { libc::clone(begin, stack.top(), flags, ptr::from_mut(self).cast(), &raw mut exit) };
        let failed = io::Error::last_os_error();
        set_mask(&mask);
        if pid == -1 {
            return Err(failed);
        }
        // SAFETY: the call above has opened it, for us alone.
        let exit = unsafe { OwnedFd::from_raw_fd(exit) };
        Ok(Process { pid: pid.cast_unsigned(), exit })
    }

    /// In the new process: comes back only with what the system says of it. Nothing here may allocate, panic or unwind, since
    /// other threads of ours go on in the same memory.
    fn carry_out(&self) -> c_int {
        match self.prepare() {
            // SAFETY: the path is a C string, the arrays hold C strings with a null behind the last.
            Ok(()) => unsafe { libc::execve(self.path.as_ptr(), self.arguments.as_ptr(), self.variables.as_ptr()) },
            Err(error) => return error,
        };
        errno()
    }

    fn prepare(&self) -> Result<(), c_int> {
        for &signal in &self.signals.by_default {
            set_default(signal);
        }
        // SAFETY: no memory is touched. Group 0 is a new one with the id of the process.
        check(unsafe { libc::setpgid(0, 0) })?;
        for (stream, descriptor) in self.streams.into_iter().zip(0..) {
            // SAFETY: descriptors of the process are its own; a wrong one is an error, not a fault.
            check(unsafe { libc::dup2(stream, descriptor) })?;
        }
        // SAFETY: it is a C string.
        check(unsafe { libc::chdir(self.folder.as_ptr()) })?;
        // Now that nothing is handled, nothing need wait.
        set_mask(&self.signals.none);
        Ok(())
    }
}

/// Where a new process begins.
extern "C" fn begin(order: *mut c_void) -> c_int {
    // SAFETY: it is the order that `give` has handed over, which nobody else looks at now.
    let order = unsafe { &mut *order.cast::<Order<'_>>() };
    order.error = order.carry_out();
    127
}

/// Signals, which are the same for all processes.
struct Signals {
    none: libc::sigset_t,
    all: libc::sigset_t,
    /// What a process gets the default of: all but what this one was started to ignore, as `nohup` would have it.
    ///
    /// Handlers are gone in another program anyway, but must be gone before signals are let through to it. Asking which
    /// have one is a call as well.
    by_default: Vec<c_int>,
}

static SIGNALS: LazyLock<Signals> = LazyLock::new(|| {
    // What kills and what stops cannot have a handler, and those between 31 and SIGRTMIN are libc's own.
    let fixed = |signal| matches!(signal, libc::SIGKILL | libc::SIGSTOP) || (32..libc::SIGRTMIN()).contains(&signal);
    let by_default = (1..=libc::SIGRTMAX())
        .filter(|&signal| !fixed(signal) && (signal == libc::SIGPIPE || !is_ignored(signal)))
        .collect();
    // SAFETY: the place is large enough and writable.
    let none = set_of(|place| unsafe { libc::sigemptyset(place) });
    // SAFETY: as above.
    let all = set_of(|place| unsafe { libc::sigfillset(place) });
    Signals { none, all, by_default }
});

fn set_of(make: impl FnOnce(*mut libc::sigset_t) -> c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    make(set.as_mut_ptr());
    // SAFETY: the calls that make a set initialise it, and have no error but a place that is not writable.
    unsafe { set.assume_init() }
}

/// SIGPIPE is ignored in every Rust program, and by default in every other one, so that it says nothing here.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and the place for what is set is large enough and writable.
    let answer = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call has initialised it when it answers 0; it is not looked at otherwise.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn set_default(signal: c_int) {
    // SAFETY: all of a `sigaction` may be zero, which is the default action, no flags and nothing blocked.
    let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    // SAFETY: the action is read and nothing is written. It has no error but that of a signal that is none.
    unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
}

/// Blocks these signals and no others in this thread; answers which were.
fn set_mask(signals: &libc::sigset_t) -> libc::sigset_t {
    set_of(|before| {
        // SAFETY: the set is initialised, and the place is large enough and writable.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, signals, before) }
    })
}

fn check(answer: c_int) -> Result<(), c_int> {
    if answer == -1 { Err(errno()) } else { Ok(()) }
}

/// The system's word for what went wrong in the last call.
fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
