//! What is submitted.

use std::collections::BTreeMap;

use grid_core::terms::OnExceed;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schema::OnExceedSchema;
use crate::whole;

/// The body of `POST /v1/jobs`, or its part `job` when files come along.
///
/// Exactly one of `pipeline` and `registered` says what is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// The pipeline file: its text, or the same as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineSource>,
    /// A pipeline that was put to the manager before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
    /// Values of parameters; those that the pipeline gives a default may be left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamValue>,
    /// The files of each input by URI: an object, a glob, or a prefix that ends in `/`. What the pipeline gives a
    /// default may be left out, and so may inputs whose files are uploaded with the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputUris>,
    /// The list file of each stage with `list: FILE`, by URI, in place of the pipeline's own word for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, String>,
    /// On whose behalf; the token's tenant without it. Only a token that is not bound to a tenant may choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    )]
    pub tenant: Option<String>,
    /// When the job shall be done, in seconds after it was accepted, in place of what the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(exclusive_minimum = 0, maximum = 1e8))]
    pub deadline_secs: Option<f64>,
    /// What it may cost, in place of what the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<SubmitBudget>,
    /// Against other jobs of the tenant, in place of what the pipeline says: each step has twice the share of the one
    /// below.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::maybe")]
    #[cfg_attr(feature = "openapi", schema(minimum = -5, maximum = 5))]
    pub priority: Option<i64>,
}

/// What a job may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitBudget {
    /// Dollars.
    #[cfg_attr(feature = "openapi", schema(minimum = 0.01, maximum = 1e9))]
    pub usd: f64,
    /// What becomes of the job when they are spent. Default: `finish`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = OnExceedSchema, required = false))]
    pub on_exceed: OnExceed,
}

/// A pipeline, as text or as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum PipelineSource {
    /// The text of a pipeline file, YAML or JSON.
    Text(String),
    /// The pipeline as a JSON object.
    Json(serde_json::Map<String, serde_json::Value>),
}

/// Names a version of a pipeline that was put to the manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// Its version; the newest without it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::maybe")]
    pub version: Option<u32>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ParamValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    Number(serde_json::Number),
    /// A text; also the text of a number or of a truth value.
    Text(String),
}

impl ParamValue {
    /// The text that commands see.
    pub fn into_text(self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value,
        }
    }
}

/// One URI or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum InputUris {
    /// One.
    One(String),
    /// Several, in reading order.
    Several(Vec<String>),
}

impl InputUris {
    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(uri) => vec![uri],
            Self::Several(uris) => uris,
        }
    }
}
