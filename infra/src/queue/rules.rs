//! What every queue checks before it does anything, so that they cannot differ.

use std::time::Duration;

use grid_core::limits::{MAX_LEASE, MAX_MESSAGE_BYTES, QUEUE_BATCH};

use crate::{Error, ErrorKind, Result};

pub(super) fn check_receive(max: usize, lease: Duration) -> Result<()> {
    check_lease(lease)?;
    if max == 0 {
        return Err(Error::new(ErrorKind::Invalid, "a receive of no message at all was asked for"));
    }
    check_batch(max)
}

pub(crate) fn check_batch(entries: usize) -> Result<()> {
    if entries > QUEUE_BATCH {
        let context = format!("a queue takes at most {QUEUE_BATCH} messages a call, not {entries}");
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(())
}

pub(super) fn check_lease(lease: Duration) -> Result<()> {
    if lease > MAX_LEASE {
        let context = format!("a lease lasts at most {} s, not {} s", MAX_LEASE.as_secs(), lease.as_secs());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(())
}

pub(crate) fn check_body(body: &str) -> Result<()> {
    let fault = if body.is_empty() {
        "is empty".to_owned()
    } else if body.len() > MAX_MESSAGE_BYTES {
        format!("has {} bytes, more than {MAX_MESSAGE_BYTES}", body.len())
    } else if let Some(at) = body.bytes().position(|byte| !matches!(byte, b' '..=b'~')) {
        format!("has a byte at {at} that is not printable ASCII")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, format!("a message body {fault}")))
}
