//! Finding files: paths, globs, folders, and the same in other stores.

use std::path::{Path, PathBuf};

use crate::grid::Sources;
use crate::inputs::InputError;
use crate::inputs::local;

/// Keys asked for in one list call.
const LIST_PAGE: usize = 1_000;

/// A file that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub uri: String,
    /// The path below the folder or the fixed part of the glob, else the file name.
    pub name: String,
}

/// The files that `spec` names, ascending by the bytes of their names; never none.
pub(super) async fn find(sources: &Sources, spec: &str, base_dir: &Path) -> Result<Vec<Found>, InputError> {
    let path = match spec.split_once("://") {
        None if spec.is_empty() => return Err(InputError::Invalid("an input has an empty path".into())),
        None => PathBuf::from(spec),
        Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
        Some(("file", _)) => {
            return Err(InputError::Invalid(format!("{spec} names another machine: write file:///path")));
        }
        Some(_) => return find_remote(sources, spec).await,
    };
    let base_dir = base_dir.to_owned();
    tokio::task::spawn_blocking(move || local::find(&path, &base_dir))
        .await
        .map_err(|error| InputError::Invalid(format!("the search for {spec} was broken off: {error}")))?
}

/// A key, a prefix (`s3://bucket/folder/`) or a glob.
async fn find_remote(sources: &Sources, spec: &str) -> Result<Vec<Found>, InputError> {
    let from_store = |error| InputError::from_store(error, spec);
    let (store, key) = sources.locate(spec).map_err(from_store)?;
    let root = &spec[..spec.len() - key.len()];
    if !key.is_empty() && !key.ends_with('/') && store.head(key).await.is_ok() {
        return Ok(vec![found(root, key, key.rfind('/').map_or(0, |slash| slash + 1))]);
    }
    let is_glob = key.contains(['*', '?', '[']);
    if is_glob && key.ends_with('/') {
        return Err(matches_folders(spec));
    }
    let no_glob = |error| InputError::Invalid(format!("{spec} is no glob: {error}"));
    // A slash ends a part of a path, also within brackets.
    key.split('/').try_for_each(|part| glob::Pattern::new(part).map(drop)).map_err(no_glob)?;
    let pattern = glob::Pattern::new(key).map_err(no_glob)?;
    let fixed = folder_part(key, is_glob);
    let mut files = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(&fixed, after.as_deref(), LIST_PAGE).await.map_err(from_store)?;
        let is_last = page.len() < LIST_PAGE;
        after = page.last().map(|meta| meta.key.clone());
        // A glob can ask for hidden ones.
        let is_meant = |key: &str| match is_glob {
            true => pattern.matches_with(key, local::GLOB_OPTIONS),
            false => !local::is_hidden(&key[fixed.len()..]),
        };
        let meant = page.iter().filter(|meta| is_meant(&meta.key) && !meta.key.ends_with('/'));
        files.extend(meant.map(|meta| found(root, &meta.key, fixed.len())));
        if is_last {
            break;
        }
    }
    if files.is_empty() {
        return Err(InputError::Missing(format!(
            "{spec} names no object: check the bucket, the prefix and the region"
        )));
    }
    Ok(files)
}

/// A glob that ends with a slash.
pub(super) fn matches_folders(glob: &str) -> InputError {
    InputError::Missing(format!("{glob} matches folders, and no files: write {glob}* or {glob}**"))
}

fn found(root: &str, key: &str, name_at: usize) -> Found {
    Found { uri: format!("{root}{key}"), name: key[name_at..].to_owned() }
}

/// The folder that the files of `key` lie in: what comes before the first wildcard, or the key as a folder.
fn folder_part(key: &str, is_glob: bool) -> String {
    if is_glob {
        let fixed = &key[..key.find(['*', '?', '[']).unwrap_or(key.len())];
        return fixed[..fixed.rfind('/').map_or(0, |slash| slash + 1)].to_owned();
    }
    if key.is_empty() || key.ends_with('/') { key.to_owned() } else { format!("{key}/") }
}
