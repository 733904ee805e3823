//! Writes what a commit consists of.

use std::path::Path;

use bytes::Bytes;
use grid_core::layout;
use grid_core::limits::MAX_INLINE_OUTPUT_BYTES;
use grid_core::wire::{Manifest, Pack};
use infra::objects::ObjectStore;
use infra::{Error, ErrorKind};

use super::End;
use crate::context::{Context, Hindrance};
use crate::error::WorkerError;
use crate::runner::Spool;

/// Stores the outputs: inside the manifest when they are small, else as the object `key`.
pub(super) async fn pack(context: &Context, key: String, spool: &Spool) -> Result<Pack, Hindrance> {
    let len = spool.len();
    let stored = match spool {
        Spool::Memory(bytes) if bytes.len() <= MAX_INLINE_OUTPUT_BYTES => return Ok(Pack::inline(bytes.clone())),
        Spool::Memory(bytes) => put(context, &key, Bytes::copy_from_slice(bytes)).await,
        Spool::File { path, len } => {
            let until = &context.stop.kill;
            context.persist(until, || put_file(&*context.grid.objects, &key, path, *len)).await
        }
    };
    match stored {
        Ok(()) => Ok(Pack::Object { key, start: 0, len }),
        Err(error) => Err(hindrance("store the outputs of a task", error)),
    }
}

/// Stores standard error; none when there was none.
pub(super) async fn log(context: &Context, key: String, log: &[u8]) -> Result<Option<String>, Hindrance> {
    if log.is_empty() {
        return Ok(None);
    }
    match put(context, &key, Bytes::copy_from_slice(log)).await {
        Ok(()) => Ok(Some(key)),
        Err(error) => Err(hindrance("store the log of a task", error)),
    }
}

async fn put(context: &Context, key: &str, bytes: Bytes) -> infra::Result<()> {
    context.persist(&context.stop.kill, || context.grid.objects.put(key, bytes.clone())).await
}

/// Stores a file of that length. An earlier try of which no answer came may have moved the file away: then the object is looked at instead.
pub(crate) async fn put_file(objects: &dyn ObjectStore, key: &str, path: &Path, len: u64) -> infra::Result<()> {
    if path.exists() {
        return objects.put_file(key, path).await;
    }
    let stored = objects.head(key).await?;
    match stored.size == len {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Invalid, format!("object {key} is cut short"))),
    }
}

/// Creates the manifest. Where the attempt has one already, of another execution or of an earlier try of this very
/// call, that one stands, and outputs of ours that it does not name are removed.
pub(super) async fn manifest(context: &Context, manifest: &Manifest) -> Result<End, Hindrance> {
    let key = layout::manifest(&manifest.job, &manifest.stage, manifest.key());
    let body = serde_json::to_vec(manifest)
        .map_err(|source| Hindrance::Fatal(WorkerError::Json { what: format!("manifest {key}"), source }))?;
    let body = Bytes::from(body);
    let until = &context.stop.kill;
    match context.persist(until, || context.grid.objects.create(&key, body.clone())).await {
        Ok(()) => Ok(End::Committed),
        Err(error) if error.kind == ErrorKind::Conflict => {
            discard_unless_named(context, &key, manifest).await;
            Ok(End::WasCommitted)
        }
        // After an error without an answer the manifest may still come to be: what it names has to stay.
        Err(error) => Err(hindrance("commit a task", error)),
    }
}

/// Best effort: whatever stays is named by no manifest, and never read.
async fn discard_unless_named(context: &Context, key: &str, ours: &Manifest) {
    let winner = match context.persist(&context.stop.kill, || context.grid.objects.get(key, None)).await {
        Ok(body) => body,
        Err(error) => return tracing::debug!(key, %error, "cannot see whose manifest was first"),
    };
    let Ok(winner) = serde_json::from_slice::<Manifest>(&winner) else {
        return tracing::warn!(key, "another execution was first, with a manifest that this worker cannot read");
    };
    let objects = |manifest: &Manifest| -> Vec<String> {
        let data = match &manifest.outputs.pack {
            Pack::Object { key, .. } => Some(key.clone()),
            Pack::Empty | Pack::Text(_) | Pack::Base64(_) => None,
        };
        data.into_iter().chain(manifest.log.clone()).collect()
    };
    let named = objects(&winner);
    for orphan in objects(ours).into_iter().filter(|object| !named.contains(object)) {
        if let Err(error) = context.grid.objects.delete(&orphan).await {
            tracing::debug!(orphan, %error, "an object that no manifest names stays");
        }
    }
}

fn hindrance(what: &str, error: Error) -> Hindrance {
    match error.kind {
        ErrorKind::Full | ErrorKind::Denied | ErrorKind::Invalid => Hindrance::Fatal(WorkerError::lasting(what, error)),
        ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Unavailable => {
            Hindrance::GiveBack(format!("failed to {what}: {error}"))
        }
    }
}
