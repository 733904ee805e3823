//! What a key may look like.

use crate::{Error, ErrorKind, Result};

/// Checks that a key is a relative path of plain parts: no empty part, no `.` or `..`, no NUL.
pub(super) fn check(key: &str) -> Result<()> {
    match key.split('/').find_map(fault) {
        None => Ok(()),
        Some(fault) => Err(Error::new(ErrorKind::Invalid, format!("object key `{}` {fault}", key.escape_debug()))),
    }
}

/// The folder part of a prefix, with its slash; `None` when no key can begin with that prefix.
pub(super) fn folder_of_prefix(prefix: &str) -> Option<&str> {
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| &prefix[..=folder.len()]);
    let parts = folder.strip_suffix('/').unwrap_or(folder);
    let can_match = folder.is_empty() || check(parts).is_ok();
    can_match.then_some(folder)
}

fn fault(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("has an empty part"),
        "." | ".." => Some("has a part `.` or `..`"),
        part if part.contains('\0') => Some("holds a NUL"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_leave_their_folder_are_refused() {
        for key in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b"] {
            assert_eq!(check(key).unwrap_err().kind, ErrorKind::Invalid, "{key:?}");
        }
        for key in ["a", "a/b", "...", "a/.b", "ü/ß", "a b", "a\\b", "a\nb", "-", "~"] {
            assert!(check(key).is_ok(), "{key:?}");
        }
    }

    #[test]
    fn a_prefix_names_the_folder_to_look_in() {
        assert_eq!(folder_of_prefix(""), Some(""));
        assert_eq!(folder_of_prefix("ab"), Some(""));
        assert_eq!(folder_of_prefix("a/b"), Some("a/"));
        assert_eq!(folder_of_prefix("a/b/"), Some("a/b/"));
        for nothing in ["/", "/a", "a//", "a//b", "../", "a/../b"] {
            assert_eq!(folder_of_prefix(nothing), None, "{nothing:?}");
        }
    }
}
