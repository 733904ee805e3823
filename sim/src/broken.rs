//! Rules that are broken on purpose: a copy of the sources in which every rule of `sim/broken/` can be broken, one at a time.
//!
//! What is wrong deep inside a rule cannot be made between the code and its back ends, as a [`mutant`](crate::mutant) is. So the
//! code itself is changed, but never here: in a copy, which is built and run by `tests/simulate`. A change whose place is not found
//! is an error, so that no rule is thought to be tested when the code has moved on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::weather::Climate;

/// A rule that is broken.
#[derive(Debug, PartialEq)]
struct Break {
    name: String,
    what: String,
    within: u64,
    /// The climate in which it is looked for; empty for any weather.
    climate: String,
    changes: Vec<Change>,
}

/// A piece of a file, and what stands there instead.
#[derive(Debug, PartialEq)]
struct Change {
    file: String,
    old: String,
    new: String,
}

const OLD: &str = "<<<<\n";
const BETWEEN: &str = "====\n";
const END: &str = ">>>>\n";

/// Folders that are no sources.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// Copies the sources in `from` to `to`, with every rule broken that `from/sim/broken/` says. Files that are the same already
/// are left alone, so that they are not built again.
pub fn copy(from: &Path, to: &Path) -> Result<usize> {
    let breaks = read_all(&from.join("sim/broken"))?;
    let mut files = BTreeMap::new();
    read_tree(from, Path::new(""), to, &mut files)?;
    for rule in &breaks {
        apply(rule, &mut files)?;
    }
    add_switch(&breaks, &mut files)?;
    set_version(&mut files)?;
    for (path, bytes) in &files {
        let place = to.join(path);
        if fs::read(&place).ok().as_ref() == Some(bytes) {
            continue;
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&place, bytes).with_context(|| format!("failed to write {}", place.display()))?;
    }
    remove_others(to, &files)?;
    Ok(breaks.len())
}

/// Removes what an earlier copy has left of files that are there no more.
fn remove_others(to: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let mut there = BTreeMap::new();
    read_tree(to, Path::new(""), Path::new(""), &mut there)?;
    for path in there.keys().filter(|path| !files.contains_key(*path)) {
        fs::remove_file(to.join(path)).with_context(|| format!("failed to remove {}", path.display()))?;
    }
    Ok(())
}

fn read_all(folder: &Path) -> Result<Vec<Break>> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path)?;
        parse(name, &text).with_context(|| format!("failed to read {}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// A line that says what is wrong, `within SEEDS` or `within SEEDS of CLIMATE`, and for each change its file, what stands there, and
/// what is to.
fn parse(name: String, text: &str) -> Result<Break> {
    let (head, rest) = text.split_once("\n\n").context("there is no empty line after the head")?;
    let (what, within) = head.rsplit_once('\n').context("the head has two lines")?;
    let within = within.strip_prefix("within ").context("the last line of the head is `within SEEDS`")?;
    let (within, climate) = within.split_once(" of ").unwrap_or((within, ""));
    let is_known = climate.is_empty() || Climate::from_str(climate, false).is_ok();
    ensure!(is_known, "there is no climate {climate}");
    let mut changes = Vec::new();
    for block in rest.split_inclusive(END) {
        let (file, block) = block.trim_start().split_once('\n').context("a change begins with its file")?;
        let block = block.strip_prefix(OLD).and_then(|block| block.strip_suffix(END));
        let (old, new) =
            block.and_then(|block| block.split_once(BETWEEN)).context("a change has an old and a new text")?;
        changes.push(Change { file: file.to_owned(), old: old.to_owned(), new: new.to_owned() });
    }
    ensure!(!changes.is_empty(), "it changes nothing");
    Ok(Break { name, what: what.to_owned(), within: within.parse()?, climate: climate.to_owned(), changes })
}

fn read_tree(root: &Path, below: &Path, leave: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        let is_left_out = LEFT_OUT.iter().any(|name| entry.file_name() == *name) || root.join(&path) == leave;
        if kind.is_dir() && !is_left_out {
            read_tree(root, &path, leave, files)?;
        } else if kind.is_file() && !is_left_out {
            files.insert(path.clone(), fs::read(root.join(&path))?);
        }
    }
    Ok(())
}

fn apply(rule: &Break, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for Change { file, old, new } in &rule.changes {
        let bytes = files.get_mut(Path::new(file)).with_context(|| format!("{}: there is no {file}", rule.name))?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        match text.matches(old.as_str()).count() {
            1 => *bytes = text.replacen(old.as_str(), new, 1).into_bytes(),
            count => bail!("{}: {file} has this {count} times, not once:\n{old}", rule.name),
        }
    }
    Ok(())
}

/// Adds what says which rule is broken, and the program that breaks one after the other.
fn add_switch(breaks: &[Break], files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let mut list = String::new();
    for Break { name, within, climate, what, .. } in breaks {
        _ = writeln!(list, "    ({name:?}, {within}, {climate:?}, {what:?}),");
    }
    let lib = files.get_mut(Path::new("grid-core/src/lib.rs")).context("there is no grid-core")?;
    lib.extend_from_slice(b"\npub mod broken;\n");
    let take = |files: &BTreeMap<PathBuf, Vec<u8>>, name: &str| {
        let found = files.get(&Path::new("sim/broken").join(name)).cloned();
        found.with_context(|| format!("there is no sim/broken/{name}"))
    };
    let mut switch = String::from_utf8(take(files, "switch.rs")?)?;
    let place = "    // (name, seeds, climate, what)\n";
    ensure!(switch.matches(place).count() == 1, "sim/broken/switch.rs has no place for the list of rules");
    switch = switch.replace(place, &list);
    let program = take(files, "program.rs")?;
    files.insert("grid-core/src/broken.rs".into(), switch.into_bytes());
    files.insert("sim/src/bin/broken.rs".into(), program);
    Ok(())
}

/// Gives the copy a version of its own: where both are built in one folder, cargo would take what it built of the copy for what
/// it is to build of the sources.
fn set_version(files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let text = |files: &BTreeMap<PathBuf, Vec<u8>>, name: &str| {
        let bytes = files.get(Path::new(name)).with_context(|| format!("there is no {name}"))?;
        Ok::<_, anyhow::Error>(String::from_utf8(bytes.clone())?)
    };
    let (manifest, lock) = (text(files, "Cargo.toml")?, text(files, "Cargo.lock")?);
    let place = "[workspace.package]\nversion = \"";
    let (_, rest) = manifest.split_once(place).context("Cargo.toml has no version")?;
    let (version, _) = rest.split_once('"').context("the version has no end")?;
    let (old, new) = (format!("version = \"{version}\"\n"), format!("version = \"{version}-broken\"\n"));
    let changed = manifest.replacen(&format!("{place}{version}"), &format!("{place}{version}-broken"), 1);
    // Packages of others say where they come from.
    let is_ours = |package: &str| !package.contains("\nsource = ");
    let packages = lock.split("[[package]]\n");
    let packages: Vec<String> = packages
        .map(|package| if is_ours(package) { package.replacen(&old, &new, 1) } else { package.to_owned() })
        .collect();
    files.insert("Cargo.toml".into(), changed.into_bytes());
    files.insert("Cargo.lock".into(), packages.join("[[package]]\n").into_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "One is two.\nwithin 7 of torn-rows\n\na/b.rs\n<<<<\n    one\n====\n    two\n>>>>\n\nc.rs\n<<<<\nx\n====\n>>>>\n";

    fn files(b: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        [("a/b.rs", b), ("c.rs", "x\ny\n")].map(|(path, text)| (path.into(), text.as_bytes().to_vec())).into()
    }

    #[test]
    fn a_rule_is_broken_at_its_places() {
        let rule = parse("two".into(), TEXT).expect("it is written well");
        assert_eq!((rule.what.as_str(), rule.within, rule.climate.as_str()), ("One is two.", 7, "torn-rows"));
        assert_eq!(rule.changes.len(), 2);
        let mut tree = files("zero\n    one\n");
        apply(&rule, &mut tree).expect("the places are there");
        let mut expected = files("zero\n    two\n");
        expected.insert("c.rs".into(), b"y\n".to_vec());
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_place_that_is_gone_or_there_twice_is_an_error() {
        let rule = parse("two".into(), TEXT).expect("it is written well");
        for text in ["zero\n", "    one\n    one\n"] {
            assert!(apply(&rule, &mut files(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn every_rule_finds_its_places_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the workspace");
        let mut files = BTreeMap::new();
        for part in ["grid-core", "grid-worker", "infra", "job-manager"] {
            read_tree(root, &Path::new(part).join("src"), Path::new(""), &mut files).expect("the sources are there");
        }
        for rule in read_all(&root.join("sim/broken")).expect("the rules can be read") {
            apply(&rule, &mut files).expect("every place is there once");
        }
    }
}
