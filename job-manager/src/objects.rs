//! Objects that are written once, by whoever comes first, and read by all.

use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::layout;
use grid_core::wire::Manifest;
use infra::{ErrorKind, Grid};

use crate::ManagerError;

/// Writes an object unless there is one: whoever wrote that, it says the same, or it came first and stands.
pub(crate) async fn create_once(grid: &Grid, key: &str, body: Vec<u8>) -> Result<(), ManagerError> {
    match grid.objects.create(key, body.into()).await {
        Err(error) if error.kind != ErrorKind::Conflict => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads the manifest of an attempt, if there is one.
pub(crate) async fn read_manifest(
    grid: &Grid,
    job: &JobId,
    stage: &StageName,
    key: AttemptKey,
) -> Result<Option<Manifest>, ManagerError> {
    let object = layout::manifest(job, stage, key);
    match grid.objects.get(&object, None).await {
        Ok(body) => serde_json::from_slice(&body).map(Some).map_err(|error| ManagerError::damaged(object, error)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
