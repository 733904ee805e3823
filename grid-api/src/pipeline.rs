//! Pipelines that are kept by name.

use serde::{Deserialize, Serialize};

use crate::PipelineSource;

/// The body of `PUT /v1/pipelines/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutPipeline {
    /// The pipeline file: its text, or the same as JSON.
    pub pipeline: PipelineSource,
    /// Events that start a job of it, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 32))]
    pub on_events: Vec<String>,
}

/// A version of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PipelineVersion {
    /// Its name.
    pub name: String,
    /// From 1; putting the same text again makes no new one.
    pub version: u32,
    /// The digest of its text.
    pub digest: String,
    /// RFC 3339.
    pub created: String,
    /// Events that start a job of it; those of the newest version count.
    #[serde(default)]
    pub on_events: Vec<String>,
    /// The pipeline file.
    pub pipeline: String,
}
