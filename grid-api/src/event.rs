//! Events that start jobs.

use std::collections::BTreeMap;

use grid_core::ids::JobId;
use serde::{Deserialize, Serialize};

use crate::{InputUris, ParamValue};

/// The body of `POST /v1/events/{type}`: what the pipelines that are bound to the event are started with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Values of parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamValue>,
    /// The files of each input.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputUris>,
}

/// The jobs that an event started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartedJobs {
    /// One for every pipeline that is bound to the event.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub jobs: Vec<JobId>,
}
