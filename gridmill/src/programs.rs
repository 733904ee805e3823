//! The user's own programs: files of the pipeline's folder that its commands name. A changed program makes other results,
//! so that what they were is a part of what a job is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use grid_core::identity::command_words;
use grid_core::pipeline::Pipeline;

/// Larger files are data that a command happens to name; reading them would delay every start.
const MAX_PROGRAM_BYTES: u64 = 64 << 20;

/// The digest of every file in `folder` that a command of the pipeline names, by the word that names it.
pub fn digests(folder: &Path, pipeline: &Pipeline) -> std::io::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for word in pipeline.stages.iter().flat_map(command_words) {
        let path = folder.join(word);
        let is_program = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_PROGRAM_BYTES);
        if is_program && !digests.contains_key(word) {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(&path)?)?;
            digests.insert(word.to_owned(), hasher.finalize().to_hex()[..32].to_owned());
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_commands_name_are_known_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("clean"), "a").unwrap();
        fs::write(folder.path().join("lib/add.py"), "b").unwrap();
        fs::write(folder.path().join("unused"), "c").unwrap();
        let text = "name: n\nstages:\n  a:\n    range: 1..2\n    run: ./clean --x|python3 lib/add.py >\"$OUT/unused.txt\"; ls lib\n";
        let pipeline = grid_core::pipeline::parse(text, "n.yaml").unwrap();
        let before = digests(folder.path(), &pipeline).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["./clean", "lib/add.py"]);
        fs::write(folder.path().join("clean"), "changed").unwrap();
        let after = digests(folder.path(), &pipeline).unwrap();
        assert!(before["./clean"] != after["./clean"] && before["lib/add.py"] == after["lib/add.py"]);
    }
}
