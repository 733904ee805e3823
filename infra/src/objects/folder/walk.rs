//! Listing a folder in the order of its objects' keys, reading no more folders than needed. Blocking.

use std::fs::{self, DirEntry};
use std::io::ErrorKind as IoKind;
use std::path::Path;

use super::error::io_error;
use super::read;
use crate::objects::{ObjectMeta, key};
use crate::{Error, ErrorKind, Result};

/// What to list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) prefix: &'a str,
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
    /// A folder of the root that holds no objects.
    pub(super) hidden: Option<&'a str>,
}

/// Lists the files below `root`. Links to files are followed, links to folders are not, since they may run in circles.
pub(super) fn list(root: &Path, query: Query<'_>) -> Result<Vec<ObjectMeta>> {
    let Some(start) = key::folder_of_prefix(query.prefix) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut levels = vec![query.entries(root, start)?.into_iter()];
    while found.len() < query.limit {
        let Some(level) = levels.last_mut() else {
            break;
        };
        match level.next() {
            None => drop(levels.pop()),
            Some(key) if key.ends_with('/') => levels.push(query.entries(root, &key)?.into_iter()),
            Some(key) => found.extend(describe(root, key)?),
        }
    }
    Ok(found)
}

impl Query<'_> {
    /// The keys of what lies directly in a folder and is wanted, in order; those of folders end in `/`, which is what
    /// puts `a/b` behind `a-b`, as the bytes of the keys demand.
    fn entries(&self, root: &Path, folder: &str) -> Result<Vec<String>> {
        let path = root.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(cause) if matches!(cause.kind(), IoKind::NotFound | IoKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(cause) => return Err(io_error("list", &path, cause)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| io_error("list", &path, cause))?;
            let key = key_of(folder, &entry)?;
            if self.wants(&key) {
                keys.push(key);
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn wants(&self, key: &str) -> bool {
        let is_hidden = self.hidden.is_some() && key.strip_suffix('/') == self.hidden;
        let is_after = self.after.is_none_or(|after| key > after || (key.ends_with('/') && after.starts_with(key)));
        let has_prefix = key.starts_with(self.prefix) || (key.ends_with('/') && self.prefix.starts_with(key));
        !is_hidden && is_after && has_prefix
    }
}

fn key_of(folder: &str, entry: &DirEntry) -> Result<String> {
    let path = entry.path();
    let is_folder = entry.file_type().map_err(|cause| io_error("examine", &path, cause))?.is_dir();
    let name = entry.file_name();
    let name = name.to_str().ok_or_else(|| {
        let context = format!("{} has a name that is not UTF-8: rename it", path.display());
        Error::new(ErrorKind::Invalid, context)
    })?;
    Ok(format!("{folder}{name}{}", if is_folder { "/" } else { "" }))
}

/// A regular file, unless it has gone since, or is something else.
fn describe(root: &Path, key: String) -> Result<Option<ObjectMeta>> {
    let path = root.join(&key);
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| read::meta(key, &metadata))),
        Err(cause) if cause.kind() == IoKind::NotFound => Ok(None),
        Err(cause) => Err(io_error("examine", &path, cause)),
    }
}
