//! The folder of what may be lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::objects::{io_error, remove_all};
use crate::{ErrorKind, Result};

/// Makes an empty folder, whatever was there.
pub(super) fn empty(folder: &Path) -> Result<()> {
    match remove_all(folder) {
        Err(refused) if refused.kind == ErrorKind::Denied => {
            allow_removal(folder);
            remove_all(folder)?;
        }
        removed => removed?,
    }
    fs::create_dir_all(folder).map_err(|cause| io_error("create", folder, cause))
}

/// Commands leave folders that not even their owner may write to (module caches do). What cannot be helped here shows
/// at the next try to remove it.
fn allow_removal(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let _ = fs::set_permissions(&folder, Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        folders.extend(entries.filter(is_folder).map(|entry| entry.path()));
    }
}
