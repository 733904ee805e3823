//! The files that come with a submission: streamed to the store while they arrive, known by their content when they have.

use std::collections::BTreeMap;

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use bytes::Bytes;
use futures::{StreamExt, stream};
use grid_api::SubmitJob;
use grid_core::blocks::BlockHasher;
use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::submission::{Compression, PinnedFile, ProgramFile};
use infra::{ErrorKind, Grid};
use tokio::sync::mpsc;

use super::MAX_JSON_BYTES;
use super::access::shortened;
use super::body;
use super::multipart::{Multipart, MultipartError, PartHead};
use super::problem::{Refusal, fault};

/// Files of one submission; more lie under a prefix.
const MAX_FILES: usize = 10_000;

/// Bytes of a file's name, and of a program's path: object keys have 1,024 on S3, and begin with where they lie.
const MAX_NAME_BYTES: usize = 512;

/// Programs of one job: every worker copies them.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// Pieces between the client and the store.
const PIECES_AHEAD: usize = 2;

/// First bytes that tell how a file is compressed.
const SNIFF_BYTES: usize = 6;

/// What came with a submission, and lies in the job's folder.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// The files of every input that has some.
    pub inputs: BTreeMap<String, Vec<PinnedFile>>,
    /// The list file of every stage that has one.
    pub lists: BTreeMap<String, PinnedFile>,
    /// By their paths.
    pub programs: BTreeMap<String, ProgramFile>,
    keys: Vec<String>,
}

/// A body of JSON and files.
pub(super) type Form = Multipart<BodyDataStream>;

/// What a part of a submission is.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Job,
    Input { name: String, file: String },
    List { stage: String, file: String },
    Program { path: String },
}

impl Received {
    /// Takes in all parts for the folder of `job`. What is left of them when something is wrong, is removed.
    pub async fn take(grid: &Grid, job: &JobId, form: &mut Form) -> Result<(SubmitJob, Self), Refusal> {
        let mut received = Self::default();
        match received.fill(grid, job, form).await {
            Ok(body) => Ok((body, received)),
            Err(refusal) => {
                received.discard(grid).await;
                Err(refusal)
            }
        }
    }

    async fn fill(&mut self, grid: &Grid, job: &JobId, form: &mut Form) -> Result<SubmitJob, Refusal> {
        let mut body = None;
        while let Some(head) = form.next_part().await.map_err(broken)? {
            let place = format!("part:{}", head.name);
            let part = Part::of(head).map_err(|words| Refusal::invalid(vec![fault(&place, words)]))?;
            let again = |words: &str| Refusal::invalid(vec![fault(&place, words)]);
            if self.keys.len() == MAX_FILES {
                return Err(again("no more than 10000 files come with a submission: put them under a prefix on S3"));
            }
            match part {
                Part::Job if body.is_some() => return Err(again("the part came twice")),
                Part::Job => {
                    let read: SubmitJob = body::parse(&small(form).await?)?;
                    // Nobody should send gigabytes for a pipeline with a typing mistake.
                    read.pipeline.as_ref().map(super::submission::parse).transpose()?;
                    body = Some(read);
                }
                Part::Input { name, file } => {
                    let files = self.inputs.entry(name.clone()).or_default();
                    if files.iter().any(|known| known.name == file) {
                        return Err(again("two files of this input have the same name"));
                    }
                    let stored = store(grid, &mut self.keys, layout::upload(job, &name, &file), form).await?;
                    files.push(stored.pinned(file));
                }
                Part::List { stage, .. } if self.lists.contains_key(&stage) => {
                    return Err(again("the part came twice"));
                }
                Part::List { stage, file } => {
                    let key = layout::upload(job, &format!("list.{stage}"), &file);
                    let stored = store(grid, &mut self.keys, key, form).await?;
                    self.lists.insert(stage, stored.pinned(file));
                }
                Part::Program { path } if self.programs.contains_key(&path) => {
                    return Err(again("the part came twice"));
                }
                Part::Program { path } => {
                    let stored = store(grid, &mut self.keys, layout::program(job, &path), form).await?;
                    let program = stored.program(path.clone());
                    self.programs.insert(path, program);
                    if self.programs.values().map(|it| it.size).sum::<u64>() > MAX_PROGRAM_BYTES {
                        return Err(again("the programs have more than 1 GiB together, which every worker would copy"));
                    }
                }
            }
        }
        body.ok_or_else(|| Refusal::invalid(vec![fault("part:job", "the part `job` is missing: it says what is run")]))
    }

    /// What tells these files from others: where they came, what they are called, and what they are.
    pub fn fingerprint(&self) -> String {
        let pinned = |file: &PinnedFile| format!("{}\n{}\n", file.name.escape_debug(), file.digest);
        let inputs = self.inputs.iter().flat_map(|(name, files)| files.iter().map(move |it| (name, it)));
        let inputs = inputs.map(|(name, file)| format!("input.{name}\n{}", pinned(file)));
        let lists = self.lists.iter().map(|(stage, file)| format!("list.{stage}\n{}", pinned(file)));
        let programs = self.programs.values().map(|it| format!("program.{}\n{}\n", it.path, it.digest));
        inputs.chain(lists).chain(programs).collect()
    }

    /// Removes the files. What cannot be removed lies in the folder of a job that does not exist.
    pub async fn discard(self, grid: &Grid) {
        for key in self.keys {
            if let Err(error) = grid.objects.delete(&key).await {
                tracing::warn!(%error, key, "an upload that nobody wants is left");
            }
        }
    }
}

impl Part {
    fn of(head: PartHead) -> Result<Self, String> {
        let PartHead { name, file } = head;
        if name == "job" {
            return Ok(Self::Job);
        }
        let file_or = |default: &str| plain_path(file.as_deref().filter(|file| !file.is_empty()).unwrap_or(default));
        match name.split_once('.') {
            Some(("input", input)) => {
                plain_name(input)?;
                Ok(Self::Input { name: input.to_owned(), file: file_or(input)? })
            }
            Some(("list", stage)) => {
                plain_name(stage)?;
                Ok(Self::List { stage: stage.to_owned(), file: file_or(stage)? })
            }
            Some(("program", path)) => Ok(Self::Program { path: plain_path(path)? }),
            _ => Err("parts are called `job`, `input.NAME`, `list.STAGE` and `program.PATH`".to_owned()),
        }
    }
}

/// The name of an input or a stage; whether there is one is for the pipeline to say.
fn plain_name(name: &str) -> Result<(), String> {
    let is_plain = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it));
    if is_plain { Ok(()) } else { Err(format!("{} is the name of no input and no stage", shortened(name))) }
}

/// A relative path that stays where it is put.
pub(super) fn plain_path(path: &str) -> Result<String, String> {
    let is_plain =
        |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains(char::is_control);
    if path.len() <= MAX_NAME_BYTES && path.split('/').all(is_plain) {
        return Ok(path.to_owned());
    }
    Err(format!(
        "{} is no name for a file: a relative path of at most {MAX_NAME_BYTES} bytes, 255 between slashes, without `..` and \
         without control characters, which stores cannot list",
        shortened(path)
    ))
}

/// A file in the store.
struct Stored {
    key: String,
    size: u64,
    version: String,
    /// Hex digits of its BLAKE3.
    digest: String,
    compression: Compression,
}

impl Stored {
    fn pinned(self, name: String) -> PinnedFile {
        let Self { key, size, version, digest, compression } = self;
        PinnedFile {
            uri: format!("grid://{key}"),
            name,
            size,
            version,
            digest: format!("blake3:{digest}"),
            compression,
        }
    }

    fn program(self, path: String) -> ProgramFile {
        ProgramFile { path, size: self.size, digest: format!("blake3:{}", self.digest), executable: true }
    }
}

/// Streams the rest of a part to the store. The store paces the client: no more than a few pieces are in memory.
async fn store(grid: &Grid, keys: &mut Vec<String>, key: String, form: &mut Form) -> Result<Stored, Refusal> {
    keys.push(key.clone());
    let (give, take) = mpsc::channel::<infra::Result<Bytes>>(PIECES_AHEAD);
    let body = stream::unfold(take, |mut take| async { take.recv().await.map(|piece| (piece, take)) }).boxed();
    let (mut hasher, mut first_bytes) = (BlockHasher::new(), Vec::new());
    let pump = async {
        loop {
            match form.chunk().await {
                Ok(Some(piece)) => {
                    let missing = SNIFF_BYTES.saturating_sub(first_bytes.len());
                    first_bytes.extend_from_slice(&piece[..missing.min(piece.len())]);
                    hasher.update(&piece);
                    if give.send(Ok(piece)).await.is_err() {
                        // The store has failed, and says so itself.
                        return Ok(());
                    }
                }
                Ok(None) => {
                    drop(give);
                    return Ok(());
                }
                Err(error) => {
                    let ended = infra::Error::new(ErrorKind::Invalid, "the upload broke off");
                    // A store that has failed by itself needs no reason.
                    let _ = give.send(Err(ended)).await;
                    return Err(error);
                }
            }
        }
    };
    let (stored, pumped) = tokio::join!(grid.objects.put_stream(&key, body), pump);
    pumped.map_err(broken)?;
    let meta = stored?;
    let (digest, blocks) = hasher.finish();
    let compression = Compression::sniff(&first_bytes);
    let file = Stored { key, size: meta.size, version: meta.version, digest, compression };
    infra::inputs::keep_blocks(&*grid.objects, &file.digest, blocks).await?;
    Ok(file)
}

/// Reads the rest of a part that must be small.
async fn small(form: &mut Form) -> Result<Vec<u8>, Refusal> {
    let mut read = Vec::new();
    while let Some(piece) = form.chunk().await.map_err(broken)? {
        if read.len() + piece.len() > MAX_JSON_BYTES {
            return Err(Refusal::plain(StatusCode::PAYLOAD_TOO_LARGE, "the part `job` is longer than 4 MiB"));
        }
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

fn broken(error: MultipartError) -> Refusal {
    match &error {
        MultipartError::Malformed(words) => {
            Refusal::malformed("#", format!("the body is no multipart/form-data: {words}"))
        }
        MultipartError::Broken(_) => body::unread(StatusCode::BAD_REQUEST, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, file: Option<&str>) -> Result<Part, String> {
        Part::of(PartHead { name: name.into(), file: file.map(Into::into) })
    }

    #[test]
    fn parts_are_told_apart_by_their_names() {
        assert_eq!(part("job", Some("x.json")), Ok(Part::Job));
        let input = |file: &str| Ok(Part::Input { name: "claims".into(), file: file.into() });
        assert_eq!(part("input.claims", Some("2025/a b.csv")), input("2025/a b.csv"));
        assert_eq!(part("input.claims", None), input("claims"));
        assert_eq!(part("input.claims", Some("")), input("claims"));
        assert_eq!(part("list.work", Some("n.txt")), Ok(Part::List { stage: "work".into(), file: "n.txt".into() }));
        assert_eq!(part("program.lib/a.py", Some("x")), Ok(Part::Program { path: "lib/a.py".into() }));
        for wrong in
            ["", "jobs", "input", "input.", "input.a/b", "input...", "program.", "program./x", "program.a/../b"]
        {
            assert!(part(wrong, Some("x")).is_err(), "{wrong}");
        }
        for wrong in ["/etc/passwd", "../x", "a//b", "a/", "..", "a\nb", "a\0b", &"x".repeat(256), &"x/".repeat(300)] {
            assert!(part("input.claims", Some(wrong)).is_err(), "{wrong}");
        }
    }
}
