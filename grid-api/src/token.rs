//! Tokens: who may do what.

pub use grid_core::rows::Scope;
use serde::{Deserialize, Serialize};

use crate::whole;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// Names it; no secret.
    pub id: String,
    /// What it may do: `read`, `submit` or `admin`, each including those before it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub scope: Scope,
    /// The tenant that it acts for; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub tenant: Option<String>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; without it, it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub expires: Option<String>,
}

/// The body of `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it may do: `read`, `submit` or `admin`, each including those before it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^(read|submit|admin)$"))]
    pub scope: Scope,
    /// The tenant that it acts for; the caller's without it, which may be all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    )]
    pub tenant: Option<String>,
    /// What its owner calls it, at most 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_length = 200))]
    pub note: String,
    /// Seconds until it expires; without it, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole::maybe")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3_153_600_000u64))]
    pub expires_secs: Option<u64>,
}

/// A token that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewToken {
    /// The secret, shown this once: `grd_{id}_{64 hex digits}`, to be sent as `Authorization: Bearer ..`.
    pub secret: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub token: Token,
}
