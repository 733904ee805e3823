//! Uploads of files that are too large, or too many, to come with the submission.

use serde::{Deserialize, Serialize};

use crate::whole;

/// The body of `POST /v1/uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUpload {
    /// The file's name, a relative path: at most 512 bytes, 255 between slashes. Items see it in their dimension `file`.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 512,
            pattern = r"^(?!\.{1,2}(/|$))[^/\u0000-\u001f\u007f-\u009f]{1,255}(/(?!\.{1,2}(/|$))[^/\u0000-\u001f\u007f-\u009f]{1,255})*$"
        )
    )]
    pub name: String,
    /// Its size, at most 5 TiB.
    #[serde(deserialize_with = "whole::number")]
    #[cfg_attr(feature = "openapi", schema(maximum = 5_497_558_138_880u64))]
    pub bytes: u64,
    /// On whose behalf; the token's tenant without it. Only a token that is not bound to a tenant may choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    )]
    pub tenant: Option<String>,
}

/// An upload that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upload {
    /// Names it.
    pub id: String,
    /// What to give as an input once it is complete.
    pub uri: String,
    /// Send the bytes in parts of this size, the last one shorter.
    pub part_bytes: u64,
    /// Where to `PUT` each part; the answer's `ETag` is asked for at the end.
    pub parts: Vec<PartUrl>,
    /// RFC 3339: until when the addresses may be used.
    pub expires: String,
}

/// Where one part goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartUrl {
    /// The part, from 1.
    pub number: u32,
    /// Its address: absolute, or a path of this manager.
    pub url: String,
}

/// The body of `POST /v1/uploads/{id}/complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteUpload {
    /// Every part, with what its `PUT` answered.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 10_000))]
    pub parts: Vec<UploadedPart>,
}

/// A part that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UploadedPart {
    /// The part, from 1.
    #[serde(deserialize_with = "whole::number")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 10_000))]
    pub number: u32,
    /// The `ETag` of the answer.
    pub etag: String,
}

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadedFile {
    /// What to give as an input.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}
