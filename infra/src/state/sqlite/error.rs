//! Database errors, by what the caller does next.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::{Error, ErrorKind};

/// "failed to `verb` `path`", with the kind that the cause calls for.
pub(super) fn sql_error(verb: &str, path: &Path, cause: &rusqlite::Error) -> Error {
    Error::new(kind(cause), format!("failed to {verb} {}: {cause}", path.display()))
}

fn kind(cause: &rusqlite::Error) -> ErrorKind {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => ErrorKind::Denied,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory) => ErrorKind::Throttled,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    }
}
