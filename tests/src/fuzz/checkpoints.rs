//! Checkpoints: what makes a folder of one, against a reading of the same bytes into a tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use grid_core::ids::{JobId, StageName};
use grid_core::limits::WIRE_VERSION;
use grid_core::wire::{CheckpointEnd, CheckpointEntry, CheckpointHead};
use grid_worker::{BrokenCheckpoint, unpack_checkpoint};

use super::{Choices, now};

pub(super) const WORDS: [&str; 12] = [
    "{\"folder\":{\"path\":\"a\"}}\n",
    "{\"folder\":{\"path\":\"a/b\"}}\n",
    "{\"file\":{\"path\":\"a/f\",\"len\":3}}\nabc",
    "{\"file\":{\"path\":\"f\",\"len\":0,\"executable\":true}}\n",
    "{\"link\":{\"path\":\"a/l\",\"target\":\"../..\"}}\n",
    "{\"link\":{\"path\":\"a/l/x\",\"target\":\"f\"}}\n",
    "{\"link\":{\"path\":\"l\",\"target\":\"/\"}}\n",
    "{\"end\":{\"entries\":0,\"crc32\":0}}\n",
    "..",
    "/",
    "\\u0000",
    "\n",
];

/// Something in a folder.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File { bytes: Vec<u8>, executable: bool },
    Link(String),
}

type Tree = BTreeMap<String, Node>;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (ends_well, seed) = (choices.below(2) == 1, choices.below(256) as u64);
    let mut stored = serde_json::to_vec(&head()).expect("it is a line");
    stored.push(b'\n');
    stored.extend(choices.rest);
    if ends_well {
        // No mutation finds a checksum.
        stored.extend(end_of(choices.rest));
    }
    let around = tempfile::tempdir().expect("a folder");
    let folder = around.path().join("folder");
    fs::create_dir(&folder).expect("a folder");
    let pieces: Vec<_> = Choices::new(&stored).pieces(seed).into_iter().map(Bytes::copy_from_slice).map(Ok).collect();
    let unpacked = now(unpack_checkpoint(stream::iter(pieces).boxed(), &head(), &folder));
    let expected = read(&stored[stored.iter().position(|byte| *byte == b'\n').expect("the head ends") + 1..]);
    match (unpacked, expected) {
        (Ok(()), Some(expected)) => assert_eq!(found(&folder), expected),
        (Ok(()), None) => panic!("damage was unpacked: {:?}", found(&folder)),
        (Err(BrokenCheckpoint::Damaged(why)), Some(expected)) => panic!("{why}: {expected:?}"),
        (Err(BrokenCheckpoint::Damaged(_)), None) => {}
        (Err(other), _) => panic!("damage was taken for {other:?}"),
    }
    let around: Vec<_> = fs::read_dir(around.path()).expect("it is there").collect();
    assert_eq!(around.len(), 1, "something was written outside of the folder: {around:?}");
}

fn head() -> CheckpointHead {
    let (job, stage) = (JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"), StageName::new("s"));
    CheckpointHead { v: WIRE_VERSION, job, stage, item: 7, attempt: 1 }
}

/// The entries up to the end or the first thing that is none, each file with its bytes, and what is left.
fn entries(mut rest: &[u8]) -> (Vec<(CheckpointEntry, &[u8])>, &[u8]) {
    let mut entries = Vec::new();
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return (entries, rest) };
        let Ok(entry) = serde_json::from_slice(&rest[..end]) else { return (entries, rest) };
        let len = match &entry {
            CheckpointEntry::File { len, .. } => usize::try_from(*len).unwrap_or(usize::MAX),
            CheckpointEntry::End(_) => return (entries, rest),
            CheckpointEntry::Folder { .. } | CheckpointEntry::Link { .. } => 0,
        };
        let after = &rest[end + 1..];
        if len > after.len() {
            return (entries, rest);
        }
        entries.push((entry, &after[..len]));
        rest = &after[len..];
    }
}

fn proof(entries: &[(CheckpointEntry, &[u8])]) -> CheckpointEnd {
    let bytes: Vec<u8> = entries.iter().flat_map(|(_, bytes)| *bytes).copied().collect();
    CheckpointEnd { entries: u32::try_from(entries.len()).expect("few"), crc32: crc32fast::hash(&bytes) }
}

fn end_of(rest: &[u8]) -> Vec<u8> {
    let end = CheckpointEntry::End(proof(&entries(rest).0));
    serde_json::to_vec(&end).expect("it is a line").into_iter().chain(*b"\n").collect()
}

/// What the bytes after the head say, unless they are damaged.
fn read(rest: &[u8]) -> Option<Tree> {
    let (entries, rest) = entries(rest);
    let end = rest.split(|byte| *byte == b'\n').next()?;
    if end.len() == rest.len() || serde_json::from_slice(end).ok() != Some(CheckpointEntry::End(proof(&entries))) {
        return None;
    }
    let mut tree = Tree::new();
    for (entry, bytes) in entries {
        let (path, node) = match entry {
            CheckpointEntry::Folder { path } => (path, Node::Folder),
            CheckpointEntry::File { path, executable, .. } => (path, Node::File { bytes: bytes.to_vec(), executable }),
            CheckpointEntry::Link { path, target } if can_be_linked_to(&target) => (path, Node::Link(target)),
            CheckpointEntry::Link { .. } | CheckpointEntry::End(_) => return None,
        };
        let names: Vec<&str> = path.split('/').collect();
        let is_name = |name: &&str| !matches!(*name, "" | "." | "..") && name.len() <= 255 && !name.contains('\0');
        let parent = names[..names.len() - 1].join("/");
        let is_in_folder = names.len() == 1 || tree.get(&parent) == Some(&Node::Folder);
        if !names.iter().all(is_name) || !is_in_folder || tree.insert(path, node).is_some() {
            return None;
        }
    }
    Some(tree)
}

/// Longer ones are taken by no file system.
fn can_be_linked_to(target: &str) -> bool {
    (1..4_096).contains(&target.len()) && !target.contains('\0')
}

fn found(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    add(folder, "", &mut tree);
    tree
}

fn add(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let entry = entry.expect("it is there");
        let path = format!("{prefix}{}", entry.file_name().to_str().expect("it was made of text"));
        let kind = entry.file_type().expect("it has one");
        let node = if kind.is_dir() {
            add(&entry.path(), &format!("{path}/"), tree);
            Node::Folder
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("it is a link");
            Node::Link(target.to_str().expect("it was made of text").to_owned())
        } else {
            let executable = entry.metadata().expect("it is there").permissions().mode() & 0o100 != 0;
            Node::File { bytes: fs::read(entry.path()).expect("it can be read"), executable }
        };
        tree.insert(path, node);
    }
}
