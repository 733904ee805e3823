//! Where the outputs of one manifest's items lie.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::ids::ItemIndex;
use grid_core::limits::WIRE_VERSION;
use grid_core::wire::{Manifest, OutputFile, Pack};

use crate::{Error, ErrorKind, Result};

/// A manifest that was read and holds together.
#[derive(Debug)]
pub struct Committed {
    /// What was written.
    pub manifest: Manifest,
    items: Vec<(ItemIndex, u32)>,
    home: Home,
    stdout_starts: Vec<u64>,
    file_starts: Vec<u64>,
}

/// Bytes that one item wrote: its standard output, or a file.
#[derive(Clone, Debug)]
pub struct Piece {
    pub(super) home: Home,
    pub(super) start: u64,
    /// How many.
    pub len: u64,
    /// Their CRC-32.
    pub crc32: u32,
}

/// Where packed bytes are.
#[derive(Clone, Debug)]
pub(super) enum Home {
    Inline { manifest: Arc<str>, bytes: Bytes },
    Object(Arc<str>),
}

/// Pieces that lie one after the other, as `(length, CRC-32)`.
#[derive(Debug)]
pub(super) struct Run {
    pub home: Home,
    pub start: u64,
    pub end: u64,
    pub pieces: Vec<(u64, u32)>,
}

impl Committed {
    /// Reads the manifest that lies under `key`.
    pub fn parse(key: &str, body: &[u8]) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Invalid, format!("manifest {key} cannot be used: {what}"));
        let manifest: Manifest = serde_json::from_slice(body).map_err(|error| {
            Error::caused(ErrorKind::Invalid, format!("manifest {key} cannot be used: it is no manifest"), error)
        })?;
        if manifest.v > WIRE_VERSION {
            return Err(wrong(format!("it has version {}, this program reads up to {WIRE_VERSION}", manifest.v)));
        }
        let (home, len) = home(key, &manifest).map_err(wrong)?;
        let (stdout_starts, file_starts, end) = lay_out(&manifest).map_err(wrong)?;
        if end != len {
            return Err(wrong(format!("its outputs are {end} bytes and its pack has {len}")));
        }
        Ok(Self { items: manifest.committed(), manifest, home, stdout_starts, file_starts })
    }

    /// The runs of items that it commits, `(first, count)` ascending.
    pub fn items(&self) -> &[(ItemIndex, u32)] {
        &self.items
    }

    /// Whether it commits that item.
    pub fn holds(&self, item: ItemIndex) -> bool {
        self.items.iter().any(|&(first, count)| item >= first && item - first < count)
    }

    /// What the item wrote to standard output; `None` when nothing, or when it is not committed here.
    pub fn stdout(&self, item: ItemIndex) -> Option<Piece> {
        let place = item.checked_sub(self.manifest.first)? as usize;
        let &(len, crc32) = self.manifest.outputs.stdout.get(place)?;
        let start = *self.stdout_starts.get(place)?;
        (len > 0).then(|| Piece { home: self.home.clone(), start, len, crc32 })
    }

    /// The files that the item left, ascending by name.
    pub fn files(&self, item: ItemIndex) -> impl Iterator<Item = (&str, Piece)> {
        let files = &self.manifest.outputs.files;
        let from = files.partition_point(|file| file.item < item);
        let to = files.partition_point(|file| file.item <= item);
        files[from..to].iter().zip(&self.file_starts[from..to]).map(|(file, &start)| {
            (file.name.as_str(), Piece { home: self.home.clone(), start, len: file.len, crc32: file.crc32 })
        })
    }
}

fn home(key: &str, manifest: &Manifest) -> std::result::Result<(Home, u64), String> {
    if let Pack::Object { key, len, .. } = &manifest.outputs.pack {
        return Ok((Home::Object(key.as_str().into()), *len));
    }
    let inline = manifest.outputs.pack.inline_bytes().map_err(|error| format!("its outputs are no base64: {error}"))?;
    let bytes = inline.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(&bytes));
    let len = bytes.len() as u64;
    Ok((Home::Inline { manifest: key.into(), bytes }, len))
}

/// Where each standard output and each file begins, and how long they are together.
type Starts = (Vec<u64>, Vec<u64>, u64);

fn lay_out(manifest: &Manifest) -> std::result::Result<Starts, String> {
    let outputs = &manifest.outputs;
    check_files(manifest)?;
    if outputs.bundled && outputs.stdout.len() > 1 {
        return Err(format!("it has {} standard outputs for one process", outputs.stdout.len()));
    }
    // Fewer where the items at the end were not run.
    if outputs.stdout.len() > manifest.count as usize {
        return Err(format!("it has {} standard outputs for {} items", outputs.stdout.len(), manifest.count));
    }
    let (mut stdout_starts, mut file_starts) = (Vec::new(), Vec::new());
    let begin = if let Pack::Object { start, .. } = outputs.pack { start } else { 0 };
    let mut end = begin;
    let mut place = |len: u64| {
        let start = end;
        end = end.checked_add(len).ok_or("its outputs are impossibly long")?;
        Ok::<u64, String>(start)
    };
    let mut files = outputs.files.iter().peekable();
    for (item, &(len, _)) in (manifest.first..).zip(&outputs.stdout) {
        stdout_starts.push(place(len)?);
        while let Some(file) = files.next_if(|file| file.item <= item) {
            file_starts.push(place(file.len)?);
        }
    }
    for file in files {
        file_starts.push(place(file.len)?);
    }
    Ok((stdout_starts, file_starts, end - begin))
}

fn check_files(manifest: &Manifest) -> std::result::Result<(), String> {
    let files = &manifest.outputs.files;
    let order = |file: &OutputFile| (file.item, file.name.clone());
    if !files.is_sorted_by(|a, b| order(a) < order(b)) {
        return Err("its files are not in order".into());
    }
    for file in files {
        let is_plain = file.name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !file.name.contains('\0');
        if !is_plain {
            return Err(format!("the file name {:?} leads out of its folder", file.name));
        }
    }
    Ok(())
}

impl Piece {
    /// The key of the object that holds the bytes: of packed data, or of the manifest itself.
    pub fn object(&self) -> &str {
        match &self.home {
            Home::Inline { manifest, .. } => manifest,
            Home::Object(key) => key,
        }
    }

    /// Where in that object they begin; `None` in a manifest, which holds them as text or in base64.
    pub fn offset(&self) -> Option<u64> {
        match &self.home {
            Home::Inline { .. } => None,
            Home::Object(_) => Some(self.start),
        }
    }
}

/// Joins pieces that lie one after the other, in the order given.
pub(super) fn runs(pieces: &[Piece]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some(run) if run.home.is(&piece.home) && run.end == piece.start => {
                run.end += piece.len;
                run.pieces.push((piece.len, piece.crc32));
            }
            _ => {
                let (start, end) = (piece.start, piece.start + piece.len);
                runs.push(Run { home: piece.home.clone(), start, end, pieces: vec![(piece.len, piece.crc32)] });
            }
        }
    }
    runs
}

impl Home {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline { manifest: a, .. }, Self::Inline { manifest: b, .. })
            | (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Inline { .. }, Self::Object(_)) | (Self::Object(_), Self::Inline { .. }) => false,
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline { manifest, .. } => f.write_str(manifest),
            Self::Object(key) => f.write_str(key),
        }
    }
}
