//! What becomes of bytes that strangers wrote: a body for each door through which they come, each with an oracle, an
//! independent opinion of what the result must be. A body panics where they differ.
//!
//! `tests/tests/corpora.rs` replays what lies in `fuzz/corpus`, `tests/fuzz` mutates it on a stable compiler, and `fuzz/` hands the
//! same bodies to libFuzzer.

#![allow(clippy::panic, reason = "it is how a target says that something is wrong")]

mod checkpoints;
mod compressed;
mod forms;
mod http;
mod mutate;
mod names;
mod pipelines;
mod records;
mod shell;
mod site;
mod slices;
mod templates;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

pub use self::mutate::{Found, Mutator};

/// A body, and what may stand in its inputs.
#[derive(Debug)]
pub struct Target {
    /// What it is called, as is its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
    /// Words that matter to whoever reads the bytes.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "checkpoints", run: checkpoints::run, words: &checkpoints::WORDS },
    Target { name: "records", run: records::run, words: &["\n", "\r\n", "\"", "\"\"", ",", "\",\"", "\u{feff}", "\0"] },
    Target { name: "slices", run: slices::run, words: &["\n", "\r\n", "\"", "\"\"", ",", "\",\"", "\u{feff}", "\0"] },
    Target { name: "compressed", run: compressed::run, words: &["\u{1f}", "BZh9", "(\u{b5}/"] },
    Target { name: "wire", run: wire::run, words: &wire::WORDS },
    Target { name: "http", run: http::run, words: &http::WORDS },
    Target { name: "pipelines", run: pipelines::run, words: &pipelines::WORDS },
    Target { name: "templates", run: templates::run, words: &templates::WORDS },
    Target {
        name: "names",
        run: names::run,
        words: &["..", "/", "%2F", ",", "~", "=", "\0", "\u{202e}", "KiB", "1h30m", " and ", "reason="],
    },
    Target {
        name: "forms",
        run: forms::run,
        words: &["\r\n", "--b", "--b--", "\r\n--b\r\n", "name=\"", "filename=\"", "Content-Disposition: form-data; "],
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Gives bytes to the target of that name.
pub fn run(name: &str, bytes: &[u8]) {
    (target(name).expect("fuzz/Cargo.toml names the same targets").run)(bytes);
}

/// Where the inputs of a target lie.
pub fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "fuzz", "corpus", name].iter().collect()
}

/// The inputs of a target, by the names of their files.
pub fn inputs(name: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let folder = corpus(name);
    let mut inputs = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry?;
        inputs.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    Ok(inputs)
}

/// Bytes that decide how the others are read.
pub(crate) struct Choices<'a> {
    /// What is left.
    pub rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// A number below `end`, which is at most 256, by the next byte.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        usize::from(*first) % end
    }

    /// Pieces of what is left, by lengths that are drawn from it; together they are all of it.
    pub(crate) fn pieces(&self, seed: u64) -> Vec<&'a [u8]> {
        let mut random = grid_core::random::Random::from_seed(seed);
        let (mut rest, mut pieces) = (self.rest, Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(40) as usize));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Runs a future to its end, on a runtime of this thread.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime"));
    RUNTIME.with(|runtime| runtime.block_on(future))
}
