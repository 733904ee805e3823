//! Uploads past us: a client that has no rights of its own writes to the store by URLs that we signed.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::ObjectMeta;
use crate::Result;

/// An upload that was begun and is neither complete nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The object that it becomes.
    pub key: String,
    /// The store's name for it.
    pub id: String,
}

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UploadedPart {
    /// From 1 on; parts follow each other by number.
    pub number: u32,
    /// What the store answered to it.
    pub etag: String,
}

/// Writing an object in parts, each `PUT` to a URL by somebody else.
///
/// Every part but the last has at least 5 MiB, none more than 5 GiB, and there are at most 10,000.
#[async_trait]
pub trait Uploads: Debug + Send + Sync {
    /// Begins an upload; nothing can be read under its key before it is complete.
    async fn begin(&self, key: &str) -> Result<Upload>;

    /// A URL to `PUT` part `number` to, valid for `expires`; a part that is put twice counts as put last.
    async fn presign_part(&self, upload: &Upload, number: u32, expires: Duration) -> Result<String>;

    /// Makes the object out of its parts, replacing any. `NotFound` when the upload was completed or aborted before:
    /// look at the object. `Invalid` when a part is missing, too small, or not what was put.
    async fn complete(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<ObjectMeta>;

    /// Gives an upload up, and its parts back; it is no error when there is none.
    async fn abort(&self, upload: &Upload) -> Result<()>;
}
