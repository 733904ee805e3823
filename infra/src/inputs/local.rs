//! Finding files on this machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::inputs::InputError;
use crate::inputs::find::{Found, matches_folders};

/// As in a shell: `*` matches neither a slash nor a leading dot.
pub(super) const GLOB_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files that `path` (a file, a folder or a glob, relative to `base_dir`) names; never none.
pub(super) fn find(path: &Path, base_dir: &Path) -> Result<Vec<Found>, InputError> {
    let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let path = without_dots(&base_dir.join(path)).map_err(|error| unreadable(path, &error))?;
    let mut found = match fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => walk(&path)?,
        Ok(_) if is_folder => {
            return Err(InputError::Missing(format!("{} is a file: write it without the slash", path.display())));
        }
        Err(_) if is_folder && glob_parts(&path, base_dir).is_some() => {
            return Err(matches_folders(&format!("{}/", path.display())));
        }
        Ok(meta) => vec![found(&path, path.parent().unwrap_or(Path::new("/")), &meta)?],
        Err(error) => match glob_parts(&path, base_dir) {
            Some((fixed, pattern)) => matches(&fixed, &pattern)?,
            None => return Err(unreadable(&path, &error)),
        },
    };
    found.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Ok(found)
}

/// Whether a part of a relative path begins with a dot.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// An absolute path without `.` and `..`; symbolic links are only followed where `..` makes it necessary.
fn without_dots(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let parts: Vec<Component> = path.components().collect();
    match parts.iter().rposition(|part| *part == Component::ParentDir) {
        None => Ok(parts.iter().collect()),
        Some(last) => {
            let above: PathBuf = parts[..=last].iter().collect();
            Ok(parts[last + 1..].iter().fold(above.canonicalize()?, |path, part| path.join(part)))
        }
    }
}

/// All files below a folder, hidden ones left out, symbolic links followed.
fn walk(root: &Path) -> Result<Vec<Found>, InputError> {
    let mut files = Vec::new();
    // Each folder with the identities of those above it: a link to one of them would never end.
    let mut folders: Vec<(PathBuf, Vec<(u64, u64)>)> = vec![(root.to_owned(), Vec::new())];
    while let Some((folder, mut above)) = folders.pop() {
        let meta = fs::metadata(&folder).map_err(|error| unreadable(&folder, &error))?;
        if above.contains(&(meta.dev(), meta.ino())) {
            return Err(InputError::Invalid(format!("{} is a link to a folder above it", folder.display())));
        }
        above.push((meta.dev(), meta.ino()));
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let meta = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if meta.is_dir() { folders.push((path, above.clone())) } else { files.push(found(&path, root, &meta)?) }
        }
    }
    if files.is_empty() {
        let message = format!("the folder {} holds no files (hidden ones are left out)", root.display());
        return Err(InputError::Missing(message));
    }
    Ok(files)
}

/// The folder before the first part with a wildcard, and the parts from there on. Wildcards in `base_dir` are none.
fn glob_parts(path: &Path, base_dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let base_dir = std::path::absolute(base_dir).ok()?;
    let literal = if path.starts_with(&base_dir) { base_dir.components().count() } else { 0 };
    let parts: Vec<Component> = path.components().collect();
    let is_wild = |part: &Component| part.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte));
    let first = literal + parts[literal..].iter().position(is_wild)?;
    Some((parts[..first].iter().collect(), parts[first..].iter().collect()))
}

/// The files that a glob matches below `fixed`.
fn matches(fixed: &Path, pattern: &Path) -> Result<Vec<Found>, InputError> {
    let whole = fixed.join(pattern);
    let parts = pattern.to_str().ok_or_else(|| not_utf8(&whole))?.split('/');
    let mut parts = parts
        .map(|part| if part == "**" { Ok(Part::AnyFolders) } else { Pattern::new(part).map(Part::Name) })
        .collect::<Result<Vec<Part>, _>>()
        .map_err(|error| InputError::Invalid(format!("{} is no glob: {error}", whole.display())))?;
    parts.dedup_by(|a, b| matches!((a, b), (Part::AnyFolders, Part::AnyFolders)));
    if let Some(Part::AnyFolders) = parts.last() {
        let any = Pattern::new("*").map_err(|error| InputError::Invalid(error.to_string()))?;
        parts.push(Part::Name(any));
    }
    let mut paths = Vec::new();
    expand(fixed, &parts, &mut paths)?;
    if paths.is_empty() {
        let message = format!("no file matches {}: check it with `ls`, or quote it against the shell", whole.display());
        return Err(InputError::Missing(message));
    }
    let examined = |path: &PathBuf| {
        let meta = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        found(path, fixed, &meta)
    };
    paths.iter().map(examined).collect()
}

/// A part of a glob.
enum Part {
    /// `**`: the folder, and all folders below it that are neither hidden nor symbolic links.
    AnyFolders,
    Name(Pattern),
}

/// Adds the files below `folder` that match. (The glob crate's own search panics at names that are not UTF-8.)
fn expand(folder: &Path, parts: &[Part], paths: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(());
    };
    if let Part::AnyFolders = part {
        expand(folder, rest, paths)?;
    }
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        match part {
            Part::AnyFolders => {
                if !name.starts_with('.') && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    expand(&path, parts, paths)?;
                }
            }
            Part::Name(pattern) if !pattern.matches_with(&name, GLOB_OPTIONS) => {}
            Part::Name(_) if path.is_dir() => expand(&path, rest, paths)?,
            Part::Name(_) if rest.is_empty() => paths.push(path),
            Part::Name(_) => {}
        }
    }
    Ok(())
}

/// A file with its name relative to `root`.
fn found(path: &Path, root: &Path, meta: &fs::Metadata) -> Result<Found, InputError> {
    if !meta.is_file() {
        let message = format!("{} is no regular file: pipe its content to the input `-`", path.display());
        return Err(InputError::Invalid(message));
    }
    let name = path.strip_prefix(root).unwrap_or(path);
    match (path.to_str(), name.to_str()) {
        (Some(path), Some(name)) => Ok(Found { uri: format!("file://{path}"), name: name.to_owned() }),
        _ => Err(not_utf8(path)),
    }
}

fn not_utf8(path: &Path) -> InputError {
    InputError::Invalid(format!("the name of {} is not UTF-8: rename it", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> InputError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            InputError::Missing(format!("{path} does not exist: check the path"))
        }
        io::ErrorKind::PermissionDenied => {
            InputError::Unreadable(format!("{path} may not be read: check its permissions and those of its folders"))
        }
        _ => InputError::Invalid(format!("{path} cannot be read: {error}")),
    }
}
