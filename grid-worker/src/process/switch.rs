//! What interrupts the wait for a command: a stop, or a fault of its input. One file descriptor a task, so that a thread
//! that sits in `poll` is woken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use grid_core::reason::Failure;
use rustix::event::{EventfdFlags, eventfd};

/// Wakes the thread that waits for a command.
#[derive(Debug)]
pub(super) struct Switch {
    event: OwnedFd,
    stopped: AtomicBool,
    fault: Mutex<Option<Failure>>,
}

impl Switch {
    /// A switch that nobody has touched.
    pub(super) fn new() -> rustix::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event, stopped: AtomicBool::new(false), fault: Mutex::new(None) })
    }

    /// Says that the command in hand must end, and that no other may begin.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether [`stop`](Self::stop) was said.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Says that the input of the command in hand could not be had.
    pub(super) fn fail(&self, fault: Failure) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.wake();
    }

    /// What [`fail`](Self::fail) said, once.
    pub(super) fn take_fault(&self) -> Option<Failure> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Forgets the wake-ups so far; call before looking at what was said.
    pub(super) fn acknowledge(&self) {
        let mut count = [0; 8];
        // Nothing to read is the only way for this to fail.
        let _ = rustix::io::read(&self.event, &mut count);
    }

    fn wake(&self) {
        // Fails only when the counter is at its limit, and then the thread is awake already.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Switch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
