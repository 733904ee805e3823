//! What a pipeline is run on: which files every input means, and what they are at this moment.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use grid_core::items::missing_dimensions;
use grid_core::pipeline::{ItemSource, List, Pipeline};
use grid_core::submission::PinnedFile;
use infra::grid::Sources;
use infra::inputs::{InputError, PinOptions, pin_object, resolve};
use infra::objects::ObjectStore;

use crate::exit::{Fault, Outcome};
use crate::load::Loaded;

/// Names standard input on the command line.
pub const STDIN: &str = "-";

/// Read from standard input in one go.
const CHUNK_BYTES: usize = 1 << 20;

/// Where the files of one input are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Paths, globs, folders, URIs, or `-`.
    pub specs: Vec<String>,
    /// What relative paths are relative to.
    pub base: PathBuf,
}

/// Everything that a job reads, pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// The files of every input.
    pub inputs: BTreeMap<String, Vec<PinnedFile>>,
    /// The list file of every stage that has one.
    pub lists: BTreeMap<String, PinnedFile>,
}

/// Where each input is looked for: as given, relative to the working folder, else as the pipeline says, relative to its
/// file. All that is wrong comes at once.
pub fn wanted(
    pipeline: &Pipeline,
    given: &[(String, String)],
    file_folder: &Path,
) -> Result<BTreeMap<String, Wanted>, Vec<String>> {
    let mut found: BTreeMap<String, Wanted> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, spec) in given {
        if pipeline.inputs.contains_key(name) {
            let fresh = || Wanted { specs: Vec::new(), base: PathBuf::from(".") };
            found.entry(name.clone()).or_insert_with(fresh).specs.push(spec.clone());
        } else {
            faults.push(format!("the pipeline has no input `{name}`: {}", known_inputs(pipeline)));
        }
    }
    for (name, input) in pipeline.inputs.iter().filter(|(name, _)| !given.iter().any(|(given, _)| given == *name)) {
        if input.default.is_empty() {
            faults.push(format!("input `{name}` is missing: give it with --input {name}=PATH"));
        }
        found.insert(name.clone(), Wanted { specs: input.default.clone(), base: file_folder.to_owned() });
    }
    let from_stdin: Vec<&String> = found
        .iter()
        .flat_map(|(name, wanted)| wanted.specs.iter().filter(|spec| *spec == STDIN).map(move |_| name))
        .collect();
    if from_stdin.len() > 1 {
        faults.push(format!("standard input can be read once, but is given to {}", words(from_stdin)));
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn known_inputs(pipeline: &Pipeline) -> String {
    match pipeline.inputs.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", words(pipeline.inputs.keys())),
    }
}

fn words<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<String>>().join(", ")
}

/// Where standard input is kept, so that a resumed job can read it again.
#[derive(Clone, Copy, Debug)]
pub struct Keeper<'a> {
    /// The grid's own objects.
    pub objects: &'a dyn ObjectStore,
    /// A folder for what is on its way there.
    pub scratch: &'a Path,
}

/// Finds and pins all files.
pub async fn pin(
    sources: &Sources,
    loaded: &Loaded,
    keeper: Option<Keeper<'_>>,
    options: PinOptions<'_>,
) -> Outcome<Pinned> {
    let mut pinned = Pinned::default();
    let mut faults = Vec::new();
    for (name, wanted) in &loaded.wanted {
        match pin_input(sources, wanted, keeper, options).await {
            Ok(files) => drop(pinned.inputs.insert(name.clone(), files)),
            Err(InputError::Store(error)) => return Err(error.into()),
            Err(fault) => faults.push(format!("input `{name}`: {fault}")),
        }
    }
    for (stage, path) in list_files(&loaded.pipeline) {
        match pin_list(sources, path, &loaded.folder, options).await {
            Ok(file) => drop(pinned.lists.insert(stage.to_owned(), file)),
            Err(InputError::Store(error)) => return Err(error.into()),
            Err(fault) => faults.push(format!("list of stage `{stage}`: {fault}")),
        }
    }
    if faults.is_empty() {
        faults = missing_dimensions(&loaded.pipeline, &pinned.inputs);
    }
    report("the inputs cannot be used", faults).map(|()| pinned)
}

/// One report of all faults.
pub fn report(what: &str, faults: Vec<String>) -> Outcome<()> {
    match faults.as_slice() {
        [] => Ok(()),
        [one] => Err(Fault::usage(one)),
        all => Err(Fault::usage(format!("error: {what}:\n  - {}", all.join("\n  - ")))),
    }
}

async fn pin_input(
    sources: &Sources,
    wanted: &Wanted,
    keeper: Option<Keeper<'_>>,
    options: PinOptions<'_>,
) -> Result<Vec<PinnedFile>, InputError> {
    let mut specs = Vec::new();
    for spec in &wanted.specs {
        match spec.as_str() {
            STDIN => specs.push(keep_stdin(keeper).await?),
            _ => specs.push(spec.clone()),
        }
    }
    if let [kept] = specs.as_slice()
        && wanted.specs == [STDIN]
    {
        return Ok(vec![pin_object(sources, kept, "stdin", options).await?]);
    }
    resolve(sources, &specs, &wanted.base, options).await
}

async fn pin_list(
    sources: &Sources,
    path: &str,
    file_folder: &Path,
    options: PinOptions<'_>,
) -> Result<PinnedFile, InputError> {
    // Its items are told apart by their values.
    let options = PinOptions { blocks: None, ..options };
    let mut files = resolve(sources, &[path.to_owned()], file_folder, options).await?;
    match (files.len(), files.pop()) {
        (1, Some(file)) => Ok(file),
        (count, _) => Err(InputError::Invalid(format!("{path} names {count} files, where a list is one file"))),
    }
}

/// The stages that have a list file, and what they call it.
pub fn list_files(pipeline: &Pipeline) -> impl Iterator<Item = (&str, &str)> {
    pipeline.stages.iter().filter_map(|stage| match &stage.items {
        ItemSource::List(List::File(path)) => Some((stage.name.as_str(), path.as_str())),
        ItemSource::List(List::Inline(_))
        | ItemSource::Split(_)
        | ItemSource::Matrix(_)
        | ItemSource::Range(_)
        | ItemSource::Each(_)
        | ItemSource::Group { .. }
        | ItemSource::All { .. } => None,
    })
}

/// Keeps standard input as an object that is named by its content, so that the same bytes are the same input again.
async fn keep_stdin(keeper: Option<Keeper<'_>>) -> Result<String, InputError> {
    let Some(Keeper { objects, scratch }) = keeper else {
        let words = "standard input can be read only once, and so not be planned: give a file";
        return Err(InputError::Invalid(words.into()));
    };
    let file = scratch.join(format!("stdin-{}", uuid::Uuid::now_v7().simple()));
    let path = file.clone();
    let copied = tokio::task::spawn_blocking(move || copy_stdin(&path)).await;
    let digest = copied
        .map_err(io::Error::other)
        .and_then(|copied| copied)
        .map_err(|error| InputError::Unreadable(format!("standard input cannot be kept: {error}")))?;
    let key = format!("uploads/{digest}");
    if objects.head(&key).await.is_err() {
        objects.put_file(&key, &file).await.map_err(InputError::Store)?;
    }
    Ok(format!("grid://{key}"))
}

fn copy_stdin(path: &Path) -> io::Result<String> {
    let (mut stdin, mut file) = (io::stdin().lock(), std::fs::File::create(path)?);
    let (mut hasher, mut chunk) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES]);
    loop {
        match stdin.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => {
                hasher.update(&chunk[..len]);
                file.write_all(&chunk[..len])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pipeline(text: &str) -> Pipeline {
        grid_core::pipeline::parse(text, "p.yaml").expect("it is sound")
    }

    fn two_inputs() -> Pipeline {
        pipeline(
            "name: t\ninputs:\n  a: {format: text}\n  b: {format: text, default: [b.txt]}\nstages:\n  s:\n    split: \
             {input: a, by: lines, count: 1}\n    run: cat\n  t:\n    split: {input: b, by: lines, count: 1}\n    run: cat\n",
        )
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()
    }

    #[test]
    fn an_input_that_is_given_replaces_what_the_pipeline_says() {
        let found = wanted(&two_inputs(), &pairs(&[("a", "x"), ("a", "y"), ("b", "-")]), Path::new("/p"));
        let of = |specs: &[&str]| Wanted {
            specs: specs.iter().map(|spec| (*spec).to_owned()).collect(),
            base: PathBuf::from("."),
        };
        assert_eq!(found, Ok(BTreeMap::from([("a".into(), of(&["x", "y"])), ("b".into(), of(&["-"]))])));
    }

    #[test]
    fn standard_input_is_for_one_input_only() {
        let found = wanted(&two_inputs(), &pairs(&[("a", "-"), ("b", "-")]), Path::new("/p"));
        assert_eq!(found, Err(vec!["standard input can be read once, but is given to `a`, `b`".to_owned()]));
    }

    #[tokio::test]
    async fn every_input_that_cannot_be_read_is_in_the_report() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("b.txt"), "1\n").expect("written");
        let given = pairs(&[("a", "/nowhere/a"), ("b", "/nowhere/b")]);
        let wanted = wanted(&two_inputs(), &given, dir.path()).expect("both are given");
        let (pipeline, folder) = (two_inputs(), dir.path().to_owned());
        let loaded = Loaded { text: String::new(), pipeline, params: BTreeMap::new(), wanted, folder };
        let pinned = pin(&crate::local::files(), &loaded, None, PinOptions::default()).await;
        let report = pinned.expect_err("there are none").to_string();
        assert!(report.contains("/nowhere/a") && report.contains("/nowhere/b"), "{report}");
    }
}
