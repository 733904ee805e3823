//! The output folder: found out to be writable before any work begins, and changed only by renames.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use job_manager::view::outputs::PARTIAL;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::partial::Partial;
use crate::exit::{Fault, Outcome};

/// The folder that outputs are delivered to.
#[derive(Clone, Debug)]
pub struct OutFolder {
    root: PathBuf,
}

/// What may stand in the way of a delivery.
#[derive(Debug)]
pub struct InTheWay<'a> {
    /// Paths below the output folder that an earlier delivery of this state made.
    pub ours: &'a BTreeSet<PathBuf>,
    /// Files that the job has read; never replaced.
    pub inputs: &'a BTreeSet<PathBuf>,
}

impl OutFolder {
    /// Makes the folder unless there is one, proves that it can be written to, and sweeps away what killed processes
    /// left there.
    pub fn open(path: &Path) -> Outcome<Self> {
        Self::open_for(path, None)
    }

    /// As [`open`](Self::open), but leaves what [`resumed`](Self::resumed) goes on with.
    pub fn open_for(path: &Path, resumable: Option<&str>) -> Outcome<Self> {
        let unusable = |error: io::Error| {
            Fault::usage(error)
                .while_doing(format!("the output folder {} cannot be used", path.display()))
                .help("choose a folder that you may write to with --out DIR")
        };
        fs::create_dir_all(path).map_err(unusable)?;
        let folder = Self { root: fs::canonicalize(path).map_err(unusable)? };
        folder.sweep(resumable).map_err(unusable)?;
        folder.partial().map_err(unusable)?;
        Ok(folder)
    }

    /// Its absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A new folder to build outputs in.
    pub fn partial(&self) -> io::Result<Partial> {
        Partial::new(&self.root)
    }

    /// The folder of that name to build outputs in, with whatever an earlier process has built there; kept until it
    /// [is done](Partial::is_done). `WouldBlock` when another process is at it.
    pub fn resumed(&self, name: &str) -> io::Result<Partial> {
        Partial::resumed(&self.root, name)
    }

    fn sweep(&self, resumable: Option<&str>) -> io::Result<()> {
        let spared = resumable.map(|name| format!("{PARTIAL}{name}"));
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(PARTIAL) || spared.as_ref() == Some(&name) {
                continue;
            }
            let is_abandoned = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            if is_abandoned {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Moves `target` (a path below both folders) from `partial` into its place, in one step for whoever looks on.
    /// What is there is destroyed: [`check`](Self::check) first.
    pub fn place(&self, partial: &Partial, target: &Path) -> Outcome<()> {
        let (built, place) = (partial.built(target), self.root.join(target));
        let placed = place.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let (from, to) = (is_folder(&built), is_folder(&place));
            match (from, to) {
                (Some(true), Some(true)) => exchange(&built, &place, &partial.grave()),
                (Some(false), Some(false)) | (Some(_), None) => fs::rename(&built, &place),
                (Some(_), Some(_)) => fs::rename(&place, partial.grave()).and_then(|()| fs::rename(&built, &place)),
                (None, _) => Ok(()),
            }
        });
        placed.map_err(|error| Fault::back_end(error).while_doing(format!("failed to deliver {}", place.display())))
    }

    /// Removes what an earlier delivery made and this one no longer has.
    pub fn remove(&self, partial: &Partial, target: &Path) -> io::Result<()> {
        match fs::rename(self.root.join(target), partial.grave()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Refuses to destroy what is not ours.
    pub fn check(&self, partial: &Partial, target: &Path, way: &InTheWay<'_>) -> Outcome<()> {
        let (built, place) = (partial.built(target), self.root.join(target));
        if let Some(input) = way.inputs.iter().find(|input| input.starts_with(&place)) {
            let words = format!("delivering {} would destroy the input {}", place.display(), input.display());
            return Err(Fault::usage(words).help("choose another folder with --out DIR"));
        }
        let foreign = match (is_folder(&built), is_folder(&place)) {
            (Some(true), Some(true)) if !way.ours.contains(target) => foreign_entry(&place, &built),
            (Some(false), Some(true)) | (Some(true), Some(false)) if !way.ours.contains(target) => {
                Ok(Some(place.clone()))
            }
            (_, _) => Ok(None),
        };
        match foreign {
            Ok(None) => Ok(()),
            Ok(Some(foreign)) => Err(Fault::usage(format!(
                "{} stands where outputs go, and was not delivered from this state folder",
                foreign.display()
            ))
            .help(format!("move {} away, or choose another folder with --out DIR", place.display()))),
            Err(error) => Err(Fault::back_end(error).while_doing(format!("failed to read {}", place.display()))),
        }
    }
}

/// Whether something is a folder; `None` when there is nothing.
fn is_folder(path: &Path) -> Option<bool> {
    fs::symlink_metadata(path).ok().map(|meta| meta.is_dir())
}

/// Puts the folder `new` in the place of `old`; what was there ends up in the partial folder.
fn exchange(new: &Path, old: &Path, grave: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // File systems without an exchange: for a moment there is no folder.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::rename(old, grave)?;
            fs::rename(new, old)
        }
        Err(error) => Err(error.into()),
    }
}

/// Something in `old` that is not in `new`, and so would be lost.
fn foreign_entry(old: &Path, new: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(old)? {
        let entry = entry?;
        let (path, twin) = (entry.path(), new.join(entry.file_name()));
        let found = match (entry.file_type()?.is_dir(), is_folder(&twin)) {
            (true, Some(true)) => foreign_entry(&path, &twin)?,
            (is_dir, twin) if twin == Some(is_dir) => None,
            (_, _) => Some(path),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: InTheWay<'static> = InTheWay { ours: &BTreeSet::new(), inputs: &BTreeSet::new() };

    fn build(partial: &Partial, path: &str, content: &str) {
        let path = partial.built(Path::new(path));
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn tree(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it is read").path();
            match path.is_dir() {
                true => found.extend(tree(&path)),
                false => found.push(format!("{}={}", path.display(), fs::read_to_string(&path).expect("it is text"))),
            }
        }
        found.sort();
        found
    }

    fn relative(folder: &OutFolder) -> Vec<String> {
        let root = format!("{}/", folder.root().display());
        tree(folder.root()).into_iter().map(|line| line.replace(&root, "")).collect()
    }

    #[test]
    fn files_and_folders_take_the_place_of_an_earlier_delivery() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(&dir.path().join("a/out")).expect("it can be made");
        for version in ["1", "2"] {
            let partial = out.partial().expect("it can be made");
            build(&partial, "clean/a.txt", version);
            build(&partial, "report.txt", version);
            for target in ["clean", "report.txt"] {
                out.check(&partial, Path::new(target), &NOTHING).expect("nothing is in the way");
                out.place(&partial, Path::new(target)).expect("it can be placed");
            }
            drop(partial);
            assert_eq!(relative(&out), [format!("clean/a.txt={version}"), format!("report.txt={version}")]);
        }
    }

    #[test]
    fn a_folder_with_files_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(dir.path()).expect("it is there");
        fs::create_dir_all(dir.path().join("src/deep")).expect("made");
        fs::write(dir.path().join("src/deep/main.rs"), "precious").expect("written");
        let partial = out.partial().expect("it can be made");
        build(&partial, "src/a.txt", "new");
        let fault = out.check(&partial, Path::new("src"), &NOTHING).expect_err("it is not ours");
        assert!(fault.to_string().contains("src/deep"), "{fault}");
        drop(partial);
        assert_eq!(relative(&out), ["src/deep/main.rs=precious"]);
    }

    #[test]
    fn stale_files_of_our_own_are_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(dir.path()).expect("it is there");
        fs::create_dir(dir.path().join("clean")).expect("made");
        fs::write(dir.path().join("clean/stale.txt"), "old").expect("written");
        let partial = out.partial().expect("it can be made");
        build(&partial, "clean/a.txt", "new");
        let ours = BTreeSet::from([PathBuf::from("clean")]);
        let way = InTheWay { ours: &ours, inputs: &BTreeSet::new() };
        out.check(&partial, Path::new("clean"), &way).expect("it is ours");
        out.place(&partial, Path::new("clean")).expect("it can be placed");
        drop(partial);
        assert_eq!(relative(&out), ["clean/a.txt=new"]);
    }

    #[test]
    fn an_input_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(dir.path()).expect("it is there");
        let input = out.root().join("claims.csv");
        fs::write(&input, "precious").expect("written");
        let partial = out.partial().expect("it can be made");
        build(&partial, "claims.csv", "new");
        let inputs = BTreeSet::from([input]);
        let way = InTheWay { ours: &BTreeSet::new(), inputs: &inputs };
        assert!(out.check(&partial, Path::new("claims.csv"), &way).is_err());
        drop(partial);
        assert_eq!(relative(&out), ["claims.csv=precious"]);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_away_and_a_living_one_is_not_disturbed() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(dir.path()).expect("it is there");
        let dead = dir.path().join(format!("{PARTIAL}dead"));
        fs::create_dir_all(dead.join("new/clean")).expect("made");
        let living = out.partial().expect("it can be made");
        OutFolder::open(dir.path()).expect("it is there");
        assert!(!dead.exists() && living.built(Path::new("")).exists());
    }

    #[test]
    fn what_is_kept_is_gone_on_with_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = OutFolder::open(dir.path()).expect("it is there");
        let partial = out.resumed("job").expect("it can be made");
        build(&partial, "a.txt", "half");
        assert!(out.resumed("job").is_err(), "another process is at it");
        drop(partial);
        let out = OutFolder::open_for(dir.path(), Some("job")).expect("it is there");
        let partial = out.resumed("job").expect("it is there");
        assert_eq!(fs::read_to_string(partial.built(Path::new("a.txt"))).expect("it is there"), "half");
        partial.is_done();
        drop(partial);
        assert_eq!(relative(&out), Vec::<String>::new());
        drop(out.resumed("other").expect("it can be made"));
        OutFolder::open(dir.path()).expect("it is there");
        assert_eq!(fs::read_dir(dir.path()).expect("it is read").count(), 0, "nobody goes on with it");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_a_usage_error_at_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let fault = OutFolder::open(&file).expect_err("it is a file");
        assert_eq!(fault.exit, crate::exit::Exit::Usage);
        assert!(fault.to_string().contains("cannot be used"), "{fault}");
    }
}
