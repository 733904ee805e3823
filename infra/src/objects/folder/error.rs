//! File errors, by what the caller does next.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::{Error, ErrorKind};

/// "failed to `verb` `path`", with the kind that the cause calls for.
pub(crate) fn io_error(verb: &str, path: &Path, cause: io::Error) -> Error {
    Error::caused(kind(&cause), format!("failed to {verb} {}", path.display()), cause)
}

fn kind(cause: &io::Error) -> ErrorKind {
    let Some(errno) = Errno::from_io_error(cause) else {
        return ErrorKind::Unavailable;
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::Conflict,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => ErrorKind::Full,
        Errno::NAMETOOLONG | Errno::INVAL | Errno::LOOP | Errno::ISDIR => ErrorKind::Invalid,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => ErrorKind::Throttled,
        _ => ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_says_what_to_do_next() {
        let kinds = [
            (Errno::NOENT, ErrorKind::NotFound),
            (Errno::ACCESS, ErrorKind::Denied),
            (Errno::ROFS, ErrorKind::Denied),
            (Errno::NOSPC, ErrorKind::Full),
            (Errno::DQUOT, ErrorKind::Full),
            (Errno::FBIG, ErrorKind::Full),
            (Errno::NAMETOOLONG, ErrorKind::Invalid),
            (Errno::MFILE, ErrorKind::Throttled),
            (Errno::IO, ErrorKind::Unavailable),
        ];
        for (errno, kind) in kinds {
            let error = io_error("write", Path::new("/data/x"), errno.into());
            assert_eq!((error.kind, error.to_string()), (kind, "failed to write /data/x".to_owned()));
        }
    }
}
