//! Files that clients send in parts, before the jobs that read them: past us, where the store signs addresses for that,
//! else through us.

use std::time::Duration;

use futures::{StreamExt, stream};
use grid_core::layout;
use grid_core::limits::{IDEMPOTENCY_KEPT, UPLOAD_KEPT};
use grid_core::rows::{UPLOAD, UploadRow, upload_partition};
use infra::objects::{ByteStream, Upload, UploadedPart};
use infra::state::{Expect, RowKey, Write};
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::submit::{encode, read_row, write};

/// Largest file: that of S3.
pub const MAX_BYTES: u64 = 5 << 40;

/// Parts of a file, so that all their addresses fit into one answer.
const MAX_PARTS: u64 = 1_024;

/// Smallest part but the last; S3 wants at least 5 MiB.
const MIN_PART_BYTES: u64 = 16 << 20;

/// How long addresses of parts may be used.
pub const URL_LIFE: Duration = Duration::from_secs(6 * 3_600);

/// An upload that somebody has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Names it.
    pub id: String,
    /// What is known of it.
    pub row: UploadRow,
    version: u64,
}

/// Why an upload cannot be completed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The parts are not those that were sent.
    #[error("{0}")]
    Parts(String),
    /// It was given up before.
    #[error("the upload was aborted")]
    Aborted,
    /// A back end failed.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

impl From<infra::Error> for UploadError {
    fn from(error: infra::Error) -> Self {
        Self::Manager(error.into())
    }
}

/// Begins an upload of a file of so many bytes, at most [`MAX_BYTES`].
pub async fn begin(grid: &Grid, tenant: String, name: String, bytes: u64) -> Result<Begun, ManagerError> {
    let id = crate::accept::new_job_id(&*grid.clock).to_string();
    let key = layout::early_upload(&tenant, &id, &name);
    let store_id = match grid.objects.uploads() {
        Some(uploads) => Some(uploads.begin(&key).await?.id),
        None => None,
    };
    let part_bytes = MIN_PART_BYTES.max(bytes.div_ceil(MAX_PARTS));
    let created_ms = grid.clock.now_ms();
    let row = UploadRow { tenant, name, bytes, part_bytes, store_id, done: false, created_ms };
    let entry = write(&upload_partition(&id), UPLOAD, Expect::Absent, &row);
    grid.state.transact(vec![Write { expires_ms: Some(over_ms(&row)), ..entry }]).await?;
    Ok(Begun { id, row, version: 1 })
}

/// An upload that was begun, not aborted, and whose time is not over: the table may be late to forget it. One that nobody
/// has completed in time is given up here.
pub async fn find(grid: &Grid, id: &str) -> Result<Option<Begun>, ManagerError> {
    let found = read_row::<UploadRow>(grid, &upload_partition(id), UPLOAD).await?;
    let Some((version, row)) = found else { return Ok(None) };
    let begun = Begun { id: id.to_owned(), row, version };
    if grid.clock.now_ms() < over_ms(&begun.row) {
        return Ok(Some(begun));
    }
    if !begun.row.done {
        begun.abort(grid).await?;
    }
    Ok(None)
}

/// When the row of an upload means nothing any more, Unix milliseconds: parts that were not put together are gone by then, and
/// a file that was needs no row.
fn over_ms(row: &UploadRow) -> u64 {
    let kept = if row.done { IDEMPOTENCY_KEPT } else { UPLOAD_KEPT };
    row.created_ms.saturating_add(kept.as_millis() as u64)
}

impl Begun {
    /// What to give as an input once it is complete.
    pub fn uri(&self) -> String {
        format!("grid://{}", self.key())
    }

    /// How many parts it has; at least one.
    pub fn parts(&self) -> u32 {
        // `begin` makes no more than MAX_PARTS.
        self.row.bytes.div_ceil(self.row.part_bytes).max(1) as u32
    }

    /// The size of a part.
    pub fn part_len(&self, number: u32) -> u64 {
        let before = u64::from(number - 1) * self.row.part_bytes;
        self.row.bytes.saturating_sub(before).min(self.row.part_bytes)
    }

    /// Where a part is to be sent; `None` where it is sent to us.
    pub async fn part_url(&self, grid: &Grid, number: u32) -> infra::Result<Option<String>> {
        match (grid.objects.uploads(), self.in_store()) {
            (Some(uploads), Some(upload)) => uploads.presign_part(&upload, number, URL_LIFE).await.map(Some),
            (_, None) | (None, _) => Ok(None),
        }
    }

    /// Takes a part that is sent to us. Answers what tells it from others.
    pub async fn put_part(&self, grid: &Grid, number: u32, body: ByteStream) -> infra::Result<String> {
        Ok(grid.objects.put_stream(&layout::upload_part(&self.id, number), body).await?.version)
    }

    /// Makes the file out of its parts. A repeat finds it made.
    pub async fn complete(self, grid: &Grid, parts: &[UploadedPart]) -> Result<(), UploadError> {
        if self.row.done {
            return Ok(());
        }
        let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
        if numbers != (1..=self.parts()).collect::<Vec<_>>() {
            return Err(UploadError::Parts(format!("the parts must be 1 to {}, in order, once each", self.parts())));
        }
        let size = match (grid.objects.uploads(), self.in_store()) {
            (Some(uploads), Some(upload)) => match uploads.complete(&upload, parts).await {
                Ok(meta) => meta.size,
                // An earlier try of this call may have been applied.
                Err(error) if error.kind == ErrorKind::NotFound => self.size_there(grid).await?,
                Err(error) if error.kind == ErrorKind::Invalid => {
                    return Err(UploadError::Parts("a part is missing, or is not what was sent".to_owned()));
                }
                Err(error) => return Err(error.into()),
            },
            (_, None) | (None, _) => self.join(grid, parts).await?,
        };
        if size != self.row.bytes {
            grid.objects.delete(&self.key()).await?;
            let words = format!("the parts have {size} bytes together, and {} were announced", self.row.bytes);
            return Err(UploadError::Parts(words));
        }
        self.mark_done(grid).await?;
        Ok(())
    }

    /// Gives the upload up.
    pub async fn abort(self, grid: &Grid) -> Result<(), ManagerError> {
        match (grid.objects.uploads(), self.in_store()) {
            (Some(uploads), Some(upload)) => uploads.abort(&upload).await?,
            (_, None) | (None, _) => self.remove_parts(grid).await?,
        }
        let key = RowKey { partition: upload_partition(&self.id), sort: UPLOAD.to_owned() };
        let removal = Write { key, expect: Expect::Version(self.version), epoch: 0, body: None, expires_ms: None };
        apply(grid, removal).await
    }

    async fn mark_done(&self, grid: &Grid) -> Result<(), ManagerError> {
        let key = RowKey { partition: upload_partition(&self.id), sort: UPLOAD.to_owned() };
        let row = UploadRow { done: true, ..self.row.clone() };
        let (expires_ms, body) = (Some(over_ms(&row)), Some(encode(&row)));
        apply(grid, Write { key, expect: Expect::Version(self.version), epoch: 0, body, expires_ms }).await
    }

    /// Writes the parts one after the other into the file.
    async fn join(&self, grid: &Grid, parts: &[UploadedPart]) -> Result<u64, UploadError> {
        let mut sizes = Vec::new();
        for part in parts {
            let meta = match grid.objects.head(&layout::upload_part(&self.id, part.number)).await {
                Ok(meta) => meta,
                Err(error) if error.kind == ErrorKind::NotFound => {
                    return Err(UploadError::Parts(format!("part {} was not sent", part.number)));
                }
                Err(error) => return Err(error.into()),
            };
            if meta.version != part.etag {
                return Err(UploadError::Parts(format!(
                    "part {} was sent again: its ETag is another one",
                    part.number
                )));
            }
            sizes.push((part.number, meta.size));
        }
        let (objects, id) = (grid.objects.clone(), self.id.clone());
        let opened = stream::iter(sizes).then(move |(number, size)| {
            let (objects, key) = (objects.clone(), layout::upload_part(&id, number));
            async move { objects.stream(&key, Some(0..size)).await }
        });
        let body = futures::TryStreamExt::try_flatten(opened).boxed();
        let size = grid.objects.put_stream(&self.key(), body).await?.size;
        self.remove_parts(grid).await?;
        Ok(size)
    }

    async fn remove_parts(&self, grid: &Grid) -> infra::Result<()> {
        for number in 1..=self.parts() {
            grid.objects.delete(&layout::upload_part(&self.id, number)).await?;
        }
        Ok(())
    }

    async fn size_there(&self, grid: &Grid) -> Result<u64, UploadError> {
        match grid.objects.head(&self.key()).await {
            Ok(meta) => Ok(meta.size),
            Err(error) if error.kind == ErrorKind::NotFound => Err(UploadError::Aborted),
            Err(error) => Err(error.into()),
        }
    }

    fn key(&self) -> String {
        layout::early_upload(&self.row.tenant, &self.id, &self.row.name)
    }

    fn in_store(&self) -> Option<Upload> {
        self.row.store_id.clone().map(|id| Upload { key: self.key(), id })
    }
}

/// Applies a write, unless somebody has done the same at this moment.
async fn apply(grid: &Grid, write: Write) -> Result<(), ManagerError> {
    match grid.state.transact(vec![write]).await {
        Err(error) if error.kind != ErrorKind::Conflict => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
