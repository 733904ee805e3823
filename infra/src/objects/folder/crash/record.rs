//! What the folder did to a disk, and what the disk may have kept of it when the power went.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use grid_core::random::Random;

/// A change, after it was made.
#[derive(Clone, Debug)]
pub(in crate::objects::folder) enum Step {
    /// The file has this content.
    Written(PathBuf, Vec<u8>),
    /// The file's content is durable.
    Synced(PathBuf),
    /// The folder's names are durable.
    SyncedFolder(PathBuf),
    MadeFolder(PathBuf),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
    /// The store told its caller so much about an object: `Some` content is there.
    Told(String, Option<Vec<u8>>),
    /// The caller asked for this content, and was told nothing yet.
    Asked(String, Option<Vec<u8>>),
}

static STEPS: Mutex<Vec<Step>> = Mutex::new(Vec::new());

impl Step {
    pub(in crate::objects::folder) fn written(path: &Path) -> Self {
        Self::Written(path.to_owned(), fs::read(path).unwrap_or_default())
    }

    fn is_below(&self, root: &Path) -> bool {
        match self {
            Self::Written(path, _)
            | Self::Synced(path)
            | Self::SyncedFolder(path)
            | Self::MadeFolder(path)
            | Self::Renamed(_, path)
            | Self::Removed(path) => path.starts_with(root),
            Self::Told(..) | Self::Asked(..) => true,
        }
    }
}

/// Keeps a step. All tests of this process write to one record: their roots tell them apart.
pub(in crate::objects::folder) fn note(step: Step) {
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).push(step);
}

/// Whether the names in a folder were made durable.
pub(crate) fn has_synced(folder: &Path) -> bool {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    steps.iter().any(|step| matches!(step, Step::SyncedFolder(synced) if synced == folder))
}

/// The steps below a root.
pub(super) fn steps(root: &Path) -> Vec<Step> {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    steps.iter().filter(|step| step.is_below(root)).cloned().collect()
}

/// A file or a folder.
#[derive(Clone, Debug)]
enum Node {
    File(usize),
    Folder(PathBuf),
}

/// A disk and what of it is durable.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// By folder, then by name: as programs see them, and as they were at the last sync.
    names: BTreeMap<PathBuf, BTreeMap<String, Node>>,
    durable_names: BTreeMap<PathBuf, BTreeMap<String, Node>>,
    /// Contents: as programs see them, and as they were at the last sync.
    files: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What else than what it had to a disk has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing.
    Least,
    /// Every name, and half of each content.
    Names,
    /// The names of some folders, and contents up to somewhere.
    Some(u64),
}

impl Disk {
    /// An empty root with its folder for temporary files, all durable.
    pub(super) fn new(root: &Path) -> Self {
        let temporary = root.join(super::super::write::TEMPORARY);
        let in_root = BTreeMap::from([(name(&temporary), Node::Folder(temporary.clone()))]);
        let names = BTreeMap::from([(root.to_owned(), in_root), (temporary, BTreeMap::new())]);
        Self { root: root.to_owned(), durable_names: names.clone(), names, files: Vec::new() }
    }

    /// Does a step.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Written(path, content) => match self.find(path) {
                Some(file) => self.files[file].0.clone_from(content),
                None => {
                    self.files.push((content.clone(), None));
                    self.put(path, Node::File(self.files.len() - 1));
                }
            },
            Step::Synced(path) => {
                if let Some(file) = self.find(path) {
                    self.files[file].1 = Some(self.files[file].0.clone());
                }
            }
            Step::SyncedFolder(folder) => {
                if let Some(names) = self.names.get(folder) {
                    self.durable_names.insert(folder.clone(), names.clone());
                }
            }
            Step::MadeFolder(folder) => {
                self.put(folder, Node::Folder(folder.clone()));
                self.names.entry(folder.clone()).or_default();
            }
            Step::Renamed(from, to) => {
                // What came from elsewhere was written there.
                let node = self.take(from);
                if let Some(node) = node {
                    self.put(to, node);
                }
            }
            Step::Removed(path) => drop(self.take(path)),
            Step::Told(..) | Step::Asked(..) => {}
        }
    }

    /// Writes what is left after a power loss to an empty folder.
    pub(super) fn lose_power(&self, kept: Kept, to: &Path) {
        let mut random = Random::from_seed(if let Kept::Some(seed) = kept { seed } else { 0 });
        self.write_folder(&self.root, to, kept, &mut random);
    }

    fn write_folder(&self, folder: &Path, to: &Path, kept: Kept, random: &mut Random) {
        fs::create_dir_all(to).expect("a folder");
        let keeps_names = match kept {
            Kept::Least => false,
            Kept::Names => true,
            Kept::Some(_) => random.chance(0.5),
        };
        let names = if keeps_names { self.names.get(folder) } else { self.durable_names.get(folder) };
        for (name, node) in names.into_iter().flatten() {
            match node {
                Node::Folder(inner) => self.write_folder(inner, &to.join(name), kept, random),
                Node::File(file) => fs::write(to.join(name), self.content(*file, kept, random)).expect("a file"),
            }
        }
    }

    fn content(&self, file: usize, kept: Kept, random: &mut Random) -> Vec<u8> {
        let (seen, durable) = &self.files[file];
        match (durable, kept) {
            (Some(durable), _) if durable == seen => durable.clone(),
            (_, Kept::Least) => durable.clone().unwrap_or_default(),
            (_, Kept::Names) => seen[..seen.len() / 2].to_vec(),
            (_, Kept::Some(_)) => seen[..random.below(seen.len() as u64 + 1) as usize].to_vec(),
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        match self.names.get(path.parent()?)?.get(&name(path))? {
            Node::File(file) => Some(*file),
            Node::Folder(_) => None,
        }
    }

    fn put(&mut self, path: &Path, node: Node) {
        let parent = path.parent().expect("it lies below the root").to_owned();
        self.names.entry(parent).or_default().insert(name(path), node);
    }

    fn take(&mut self, path: &Path) -> Option<Node> {
        self.names.get_mut(path.parent()?)?.remove(&name(path))
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
