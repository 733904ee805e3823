//! Pipelines that are kept by name, version by version, for a tenant.

use std::collections::BTreeMap;

use grid_core::layout;
use grid_core::rows::{PipelineRow, pipeline_place, pipelines_partition};
use infra::state::{Expect, Row, RowKey};
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::submit::write;
use crate::table::all_rows;

/// Versions that are tried, where others put the same pipeline at the same moment.
const TRIES: u32 = 16;

/// A version of a pipeline that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its number, from 1.
    pub version: u32,
    /// What is known of it.
    pub row: PipelineRow,
}

/// Keeps a pipeline as a new version, unless it is the newest one already; the second value says whether it is new.
pub async fn put(
    grid: &Grid,
    tenant: &str,
    name: &str,
    text: &str,
    on_events: Vec<String>,
) -> Result<(Kept, bool), ManagerError> {
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let newest = newest(grid, tenant, name).await?;
    if let Some(kept) = &newest
        && kept.row.digest == digest
        && kept.row.on_events == on_events
    {
        return Ok((kept.clone(), false));
    }
    let row = PipelineRow { digest, on_events, created_ms: grid.clock.now_ms() };
    let mut version = newest.map_or(1, |kept| kept.version.saturating_add(1));
    for _ in 0..TRIES {
        // The text before the row: who finds the row finds the text.
        match grid.objects.create(&layout::pipeline(tenant, name, version), text.to_owned().into()).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Conflict => {
                version = version.saturating_add(1);
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let place = pipeline_place(name, version);
        grid.state.transact(vec![write(&pipelines_partition(tenant), &place, Expect::Absent, &row)]).await?;
        return Ok((Kept { name: name.to_owned(), version, row }, true));
    }
    let context = format!("pipeline {name} is put by too many at the same moment");
    Err(infra::Error::new(ErrorKind::Throttled, context).into())
}

/// The newest version.
pub async fn newest(grid: &Grid, tenant: &str, name: &str) -> Result<Option<Kept>, ManagerError> {
    // `:` comes after all digits.
    let rows = grid.state.query_back(&pipelines_partition(tenant), Some(&format!("{name}#:")), 1).await?;
    let found = rows.into_iter().next().map(read).transpose()?;
    Ok(found.filter(|kept| kept.name == name))
}

/// One version.
pub async fn version(grid: &Grid, tenant: &str, name: &str, version: u32) -> Result<Option<Kept>, ManagerError> {
    let key = RowKey { partition: pipelines_partition(tenant), sort: pipeline_place(name, version) };
    grid.state.get(&key).await?.map(read).transpose()
}

/// The text of a version.
pub async fn text(grid: &Grid, tenant: &str, kept: &Kept) -> Result<String, ManagerError> {
    let key = layout::pipeline(tenant, &kept.name, kept.version);
    let body = grid.objects.get(&key, None).await?;
    String::from_utf8(body.to_vec()).map_err(|error| ManagerError::damaged(key, error))
}

/// The pipelines whose newest version is bound to an event, by name.
pub async fn bound_to(grid: &Grid, tenant: &str, event: &str) -> Result<Vec<Kept>, ManagerError> {
    let mut newest: BTreeMap<String, Kept> = BTreeMap::new();
    for row in all_rows(grid.state.as_ref(), &pipelines_partition(tenant)).await? {
        let kept = read(row)?;
        // Versions of one name come in their order.
        newest.insert(kept.name.clone(), kept);
    }
    Ok(newest.into_values().filter(|kept| kept.row.on_events.iter().any(|it| it == event)).collect())
}

fn read(row: Row) -> Result<Kept, ManagerError> {
    let RowKey { partition, sort } = row.key;
    let place = sort.rsplit_once('#').and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    let wrong = || infra::Error::new(ErrorKind::Invalid, format!("row {partition}/{sort} is no version of a pipeline"));
    let (name, version) = place.ok_or_else(wrong)?;
    let row = serde_json::from_slice(&row.body)
        .map_err(|error| ManagerError::damaged(format!("row {partition}/{sort}"), error))?;
    Ok(Kept { name, version, row })
}
