//! The stack of a process that shares our memory.

use std::ffi::c_void;
use std::{io, ptr};

/// What a process that only prepares itself needs, many times over.
const BYTES: usize = 64 << 10;

/// Below it: memory that may not be touched, so that a stack that grows too large is a fault of its process. No page is larger.
const GUARD_BYTES: usize = 64 << 10;

/// Memory for a stack, with a guard below.
#[derive(Debug)]
pub(crate) struct Stack {
    base: *mut c_void,
}

impl Stack {
    pub(crate) fn new() -> io::Result<Self> {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
        // SAFETY: new memory is asked for, wherever there is room.
        let base = unsafe { libc::mmap(ptr::null_mut(), GUARD_BYTES + BYTES, access, kind, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base };
        // SAFETY: it is the lower part of what was just given to us.
        if unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// Its end, from which it grows downwards.
    pub(crate) fn top(&self) -> *mut c_void {
        // SAFETY: that is one behind the last byte of the same memory.
        unsafe { self.base.byte_add(GUARD_BYTES + BYTES) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the memory is ours, and no process uses it: who started one on it has waited until it did not.
        unsafe { libc::munmap(self.base, GUARD_BYTES + BYTES) };
    }
}
