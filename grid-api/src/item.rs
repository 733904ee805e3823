//! Items.

use std::collections::BTreeMap;

use grid_core::ids::StageName;
use grid_core::reason::Failure;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schema::FailureSchema;

/// An item of a stage, as `GET /v1/jobs/{id}/items` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stage: StageName,
    /// Its place in the stage, from 0.
    pub index: u32,
    /// Its name.
    pub item: String,
    /// Its dimensions.
    pub key: BTreeMap<String, String>,
    /// What became of it.
    pub state: ItemState,
    /// Of a dead item: the attempt that was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub attempt: Option<u32>,
    /// Of a dead item: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = FailureSchema, required = false))]
    pub failure: Option<Failure>,
    /// Of a dead item: where its input lies, such as `s3://bucket/claims.csv` with byte range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub input: Option<String>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// It succeeded.
    Committed,
    /// It was given up on.
    Dead,
    /// It was left out.
    Skipped,
    /// A task with it is out, or waits to be tried again.
    Out,
    /// Its turn has not come.
    Waiting,
}
