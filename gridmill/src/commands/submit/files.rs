//! Which files of this machine an input means, and what they are called.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use infra::inputs::{InputError, locate};
use tempfile::NamedTempFile;

use crate::inputs::{STDIN, Wanted};
use crate::local;

/// What standard input is called as a file.
const STDIN_NAME: &str = "stdin";

/// A file of this machine that goes along.
#[derive(Debug)]
pub struct LocalFile {
    /// What items call it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub len: u64,
    /// Kept until it was sent, where it is a copy of what cannot be read twice.
    _copy: Option<NamedTempFile>,
}

/// What is given as an input, in order.
#[derive(Debug)]
pub enum Given {
    /// The manager finds it.
    Uri(String),
    /// It goes along.
    File(LocalFile),
}

/// Finds the files of an input. What lies elsewhere is left as it is.
pub async fn given(wanted: &Wanted) -> Result<Vec<Given>, InputError> {
    // Names are unique among files that are found together.
    if wanted.specs.iter().all(|spec| !is_elsewhere(spec) && spec != STDIN) {
        return found(wanted, &wanted.specs).await;
    }
    let mut all = Vec::new();
    for spec in &wanted.specs {
        if spec == STDIN {
            all.push(Given::File(copy_of_stdin().await?));
        } else if is_elsewhere(spec) {
            all.push(Given::Uri(spec.clone()));
        } else {
            all.extend(found(wanted, std::slice::from_ref(spec)).await?);
        }
    }
    Ok(all)
}

/// Whether a manager is told where it is, rather than given it.
fn is_elsewhere(spec: &str) -> bool {
    spec.split_once("://").is_some_and(|(scheme, _)| scheme != "file")
}

async fn found(wanted: &Wanted, specs: &[String]) -> Result<Vec<Given>, InputError> {
    let found = locate(&local::files(), specs, &wanted.base).await?;
    let file = |file: infra::inputs::Found| {
        let path = PathBuf::from(file.uri.strip_prefix("file://").unwrap_or(&file.uri));
        let meta = fs::metadata(&path).and_then(|meta| File::open(&path).map(|_| meta));
        let meta =
            meta.map_err(|error| InputError::Unreadable(format!("{} cannot be read: {error}", path.display())))?;
        Ok(Given::File(LocalFile::new(file.name, path, meta.len())))
    };
    found.into_iter().map(file).collect()
}

/// Standard input as a file: it may have to be sent twice.
async fn copy_of_stdin() -> Result<LocalFile, InputError> {
    let copied = tokio::task::spawn_blocking(|| {
        let mut copy = NamedTempFile::new()?;
        let len = io::copy(&mut io::stdin().lock(), copy.as_file_mut())?;
        Ok::<_, io::Error>((copy, len))
    });
    let unreadable = |error: io::Error| InputError::Unreadable(format!("standard input cannot be kept: {error}"));
    let (copy, len) = copied.await.map_err(|error| unreadable(io::Error::other(error)))?.map_err(unreadable)?;
    Ok(LocalFile { name: STDIN_NAME.to_owned(), path: copy.path().to_owned(), len, _copy: Some(copy) })
}

impl Given {
    /// The bytes that are to be sent.
    pub fn len(&self) -> u64 {
        match self {
            Self::Uri(_) => 0,
            Self::File(file) => file.len,
        }
    }
}

impl LocalFile {
    /// A file that is there.
    pub fn new(name: impl Into<String>, path: PathBuf, len: u64) -> Self {
        Self { name: name.into(), path, len, _copy: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_called_as_in_a_run_and_others_are_left_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/x.csv"), "12").unwrap();
        fs::write(dir.path().join("a/y.csv"), "345").unwrap();
        let specs = ["s3://bucket/k.csv", "a"].map(str::to_owned).to_vec();
        let shown: Vec<String> = given(&Wanted { specs, base: dir.path().to_owned() })
            .await
            .unwrap()
            .iter()
            .map(|given| match given {
                Given::Uri(uri) => uri.clone(),
                Given::File(file) => format!("{} {}", file.name, file.len),
            })
            .collect();
        assert_eq!(shown, ["s3://bucket/k.csv", "x.csv 2", "y.csv 3"]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Wanted { specs: vec!["nothing.csv".into()], base: dir.path().to_owned() };
        let error = given(&wanted).await.unwrap_err().to_string();
        assert!(error.contains("nothing.csv"), "{error}");
    }
}
