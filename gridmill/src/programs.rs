//! The user's own programs: files of the pipeline's folder that its commands name. A changed program makes other results,
//! so that what they were is a part of what a job is. Other files that a command names may be what it writes: a log, say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use grid_core::identity::command_words;
use grid_core::pipeline::Pipeline;

/// Larger files are data that a command happens to name; reading them would delay every start.
const MAX_PROGRAM_BYTES: u64 = 64 << 20;

/// What scripts that need not be executable end with, since an interpreter reads them.
const SCRIPT_ENDINGS: [&str; 17] =
    ["R", "awk", "bash", "jar", "jl", "js", "lua", "mjs", "php", "pl", "py", "r", "rb", "sed", "sh", "sql", "ts"];

/// A program that goes along with a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its path below the folder in which commands run.
    pub place: String,
    /// Where it lies here.
    pub path: PathBuf,
    /// Its size.
    pub len: u64,
}

/// The digest of every program in `folder` that a command of the pipeline names, by the word that names it.
pub fn digests(folder: &Path, pipeline: &Pipeline) -> std::io::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for word in words(folder, pipeline) {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(folder.join(word))?)?;
        digests.insert(word.to_owned(), hasher.finalize().to_hex()[..32].to_owned());
    }
    Ok(digests)
}

/// Every program below `folder` that a command of the pipeline names, by its place there. Those outside of it are the
/// machine's.
pub fn along(folder: &Path, pipeline: &Pipeline) -> std::io::Result<Vec<Program>> {
    let mut programs = BTreeMap::new();
    for word in words(folder, pipeline) {
        let Some(place) = place_of(word) else { continue };
        let path = folder.join(word);
        let len = File::open(&path)?.metadata()?.len();
        programs.insert(place.clone(), Program { place, path, len });
    }
    Ok(programs.into_values().collect())
}

/// The words of a pipeline's commands that name programs in `folder`.
fn words<'a>(folder: &Path, pipeline: &'a Pipeline) -> BTreeSet<&'a str> {
    let words = pipeline.stages.iter().flat_map(command_words);
    words.filter(|word| is_program(&folder.join(word))).collect()
}

/// `./lib/../clean` is `clean`; what leads out of the folder has no place in it.
fn place_of(word: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in word.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn is_program(path: &Path) -> bool {
    let Ok(found) = fs::metadata(path) else { return false };
    let is_script = path.extension().is_some_and(|ending| SCRIPT_ENDINGS.iter().any(|script| ending == *script));
    let is_executable = found.permissions().mode() & 0o111 != 0;
    found.is_file() && found.len() <= MAX_PROGRAM_BYTES && (is_script || is_executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_that_commands_name_are_known_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("clean"), "a").unwrap();
        fs::set_permissions(folder.path().join("clean"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("log"), "what a command writes").unwrap();
        fs::write(folder.path().join("lib/add.py"), "b").unwrap();
        fs::write(folder.path().join("unused"), "c").unwrap();
        let text = "name: n\nstages:\n  a:\n    range: 1..2\n    run: ./clean --x|python3 lib/add.py >\"$OUT/unused.txt\"; ls lib >> log\n";
        let pipeline = grid_core::pipeline::parse(text, "n.yaml").unwrap();
        let places: Vec<String> =
            along(folder.path(), &pipeline).unwrap().into_iter().map(|it| format!("{} {}", it.place, it.len)).collect();
        assert_eq!(places, ["clean 1", "lib/add.py 1"]);
        let before = digests(folder.path(), &pipeline).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["./clean", "lib/add.py"]);
        fs::write(folder.path().join("clean"), "changed").unwrap();
        let after = digests(folder.path(), &pipeline).unwrap();
        assert!(before["./clean"] != after["./clean"] && before["lib/add.py"] == after["lib/add.py"]);
    }

    #[test]
    fn a_program_has_a_place_below_the_folder_or_none() {
        let places = ["./clean", "lib//add.py", "a/./../b", "..", "../x", "a/../../x", "./"].map(place_of);
        let place = |place: &str| Some(place.to_owned());
        assert_eq!(places, [place("clean"), place("lib/add.py"), place("b"), None, None, None, None]);
    }
}
