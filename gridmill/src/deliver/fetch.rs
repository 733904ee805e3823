//! Brings the outputs of a job at a manager here: the files that `run --out` would have delivered, built aside in the same
//! way. What an interrupted fetch has brought, and what lies there already word for word, is not brought again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use futures::{StreamExt, TryStreamExt, stream};
use grid_api::OutputFile;
use grid_core::ids::{JobId, StageName};

use super::StageDelivery;
use super::folder::{InTheWay, OutFolder};
use super::partial::Partial;
use crate::client::{Client, Route};
use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::progress::ByteCounter;

/// Files on their way at the same time: most are small, and cost a round trip.
const AT_ONCE: usize = 8;

/// Read from a file in one go, when it is compared.
const CHUNK_BYTES: usize = 256 << 10;

/// What a stage has, as far as it is known.
type Stages = Vec<StageDelivery>;

struct Fetch<'a> {
    client: &'a Client,
    out: &'a OutFolder,
    partial: Partial,
    counter: ByteCounter,
}

/// Fetches all outputs of a job. Files of `inputs` are never replaced.
pub async fn fetch(
    client: &Client,
    job: &JobId,
    out: &OutFolder,
    inputs: &BTreeSet<PathBuf>,
    console: Console,
) -> Outcome<Vec<StageDelivery>> {
    let partial = out
        .resumed(job.as_str())
        .map_err(|error| Fault::back_end(error).while_doing(format!("failed to write to {}", out.root().display())))?;
    let counter = ByteCounter::new(console, "fetching the outputs");
    let fetch = Fetch { client, out, partial, counter };
    let list = fetch.list(job).await?;
    let all = stream::iter(entries(&list)?).map(|file| async { fetch.one(file?).await }).buffered(AT_ONCE);
    let (mut stages, mut targets) = (Stages::new(), BTreeMap::new());
    let mut all = std::pin::pin!(all);
    while let Some(file) = all.try_next().await? {
        add(&mut stages, &mut targets, out, file)?;
    }
    fetch.publish(targets.into_keys().collect(), inputs)?;
    Ok(stages)
}

/// Counts a file among those of its stage; refused where two stages want the same place.
fn add(
    stages: &mut Stages,
    targets: &mut BTreeMap<PathBuf, StageName>,
    out: &OutFolder,
    file: OutputFile,
) -> Outcome<()> {
    let target = target_of(&file);
    let owner = targets.entry(target.clone()).or_insert_with(|| file.stage.clone());
    if *owner != file.stage {
        let words = format!("stages {owner} and {} both deliver to {}", file.stage, target.display());
        return Err(Fault::usage(words).help("give one of them another output.name"));
    }
    let place = out.root().join(target);
    if stages.last().is_none_or(|last| last.stage != file.stage) {
        stages.push(StageDelivery { stage: file.stage, paths: Vec::new(), files: 0, bytes: 0 });
    }
    if let Some(stage) = stages.last_mut() {
        stage.files += 1;
        stage.bytes += file.bytes;
        if stage.paths.last() != Some(&place) {
            stage.paths.push(place);
        }
    }
    Ok(())
}

impl Fetch<'_> {
    /// The list of all files, kept on disk: there may be millions.
    async fn list(&self, job: &JobId) -> Outcome<PathBuf> {
        let path = self.partial.list();
        let failed = |error: io::Error| failed(&path, error);
        let mut to = BufWriter::new(File::create(&path).map_err(failed)?);
        let mut lines = self.client.lines::<OutputFile>(&Route::v1(["jobs", job.as_str(), "outputs"])).await?;
        while let Some(file) = lines.next().await? {
            serde_json::to_writer(&mut to, &file).map_err(Fault::failed)?;
            to.write_all(b"\n").map_err(failed)?;
        }
        to.flush().map_err(failed)?;
        Ok(path)
    }

    /// Has one file in the partial folder, wherever it comes from.
    async fn one(&self, file: OutputFile) -> Outcome<OutputFile> {
        let place = below(&file.path)
            .ok_or_else(|| Fault::failed(anyhow::anyhow!("the manager names an output {:?}", file.path)))?;
        let (built, there) = (self.partial.built(place), self.out.root().join(place));
        if let Some(folder) = built.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let (bytes, crc32) = (file.bytes, file.crc32);
        let local = tokio::task::spawn_blocking({
            let built = built.clone();
            move || is_it(&built, bytes, crc32) || (is_it(&there, bytes, crc32) && take_over(&there, &built))
        });
        if !local.await.map_err(Fault::failed)? {
            self.client.download(&file, &built, &|bytes| self.counter.add(bytes)).await?;
        }
        Ok(file)
    }

    fn publish(&self, targets: BTreeSet<PathBuf>, inputs: &BTreeSet<PathBuf>) -> Outcome<()> {
        let way = InTheWay { ours: &BTreeSet::new(), inputs };
        for target in &targets {
            self.out.check(&self.partial, target, &way)?;
        }
        for target in &targets {
            self.out.place(&self.partial, target)?;
        }
        self.partial.is_done();
        Ok(())
    }
}

/// The files of a list, one after the other.
fn entries(list: &Path) -> Outcome<impl Iterator<Item = Outcome<OutputFile>>> {
    let file = File::open(list).map_err(|error| failed(list, error))?;
    let parse = |line: io::Result<String>| serde_json::from_str(&line.map_err(Fault::back_end)?).map_err(Fault::failed);
    Ok(BufReader::new(file).lines().map(parse))
}

/// A path below a folder; `None` for all others. Nothing is trusted that another machine says.
fn below(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.components().next().is_some()).then_some(path)
}

/// The path below the output folder that is put in place as a whole for this file: the stage's folder, or the file.
fn target_of(file: &OutputFile) -> PathBuf {
    let path = Path::new(&file.path);
    match path.starts_with(file.stage.as_str()) && path.components().count() > 1 {
        true => PathBuf::from(file.stage.as_str()),
        false => path.to_owned(),
    }
}

/// Whether a file is there with that size and that CRC-32.
fn is_it(path: &Path, bytes: u64, crc32: u32) -> bool {
    let is_candidate = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == bytes);
    is_candidate && crc_of(path).is_ok_and(|found| found == crc32)
}

fn crc_of(path: &Path) -> io::Result<u32> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, crc32fast::Hasher::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&chunk[..read]),
        }
    }
}

/// Makes a file that lies in the output folder a part of the new version too; `false` where it has to be fetched.
fn take_over(there: &Path, built: &Path) -> bool {
    // What an interrupted fetch has left of it.
    let _ = fs::remove_file(built);
    fs::hard_link(there, built).is_ok()
}

fn failed(path: &Path, error: io::Error) -> Fault {
    Fault::back_end(error).while_doing(format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(stage: &str, path: &str) -> OutputFile {
        OutputFile { path: path.into(), bytes: 1, crc32: 0, stage: StageName::new(stage), item: 0, href: String::new() }
    }

    #[test]
    fn outputs_cannot_leave_the_folder() {
        assert_eq!(below("a/b.txt"), Some(Path::new("a/b.txt")));
        for path in ["", "/etc/passwd", "../x", "a/../../x", "./a"] {
            assert_eq!(below(path), None, "{path}");
        }
    }

    #[test]
    fn files_are_counted_by_stage_and_two_stages_do_not_share_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutFolder::open(dir.path()).unwrap();
        let (mut stages, mut targets) = (Stages::new(), BTreeMap::new());
        for one in
            [file("a", "a/1.txt"), file("a", "a/2.txt"), file("b", "b.txt"), file("c", "named/x"), file("c", "named/y")]
        {
            add(&mut stages, &mut targets, &out, one).unwrap();
        }
        let shown: Vec<(String, u64, usize)> =
            stages.iter().map(|it| (it.stage.to_string(), it.files, it.paths.len())).collect();
        assert_eq!(shown, [("a".into(), 2, 1), ("b".into(), 1, 1), ("c".into(), 2, 2)]);
        let fault = add(&mut stages, &mut targets, &out, file("d", "b.txt")).unwrap_err();
        assert!(fault.to_string().contains("stages b and d"), "{fault}");
    }

    #[test]
    fn a_file_is_known_by_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "words").unwrap();
        let crc32 = crc32fast::hash(b"words");
        assert!(is_it(&path, 5, crc32) && !is_it(&path, 5, crc32 + 1) && !is_it(&path, 4, crc32));
        assert!(!is_it(dir.path(), 0, 0) && !is_it(&dir.path().join("none"), 0, 0));
    }
}
