//! The requests that S3 answers for one object or a page of them, by full keys.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{ChecksumAlgorithm, EncodingType, Object};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use crate::aws::client::{ASSEMBLY, patience, time_to_send};
use crate::aws::error::failed;
use crate::objects::ObjectMeta;
use crate::{Error, ErrorKind, Result};

/// Objects in one page of a listing (S3).
const PAGE: usize = 1_000;

/// A bucket, and how to talk to it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
}

/// What must hold for an object to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Any,
    Absent,
}

impl Bucket {
    pub(super) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    pub(super) async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ObjectMeta> {
        let size = body.len();
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .set_if_none_match((condition == Condition::Absent).then(|| "*".to_owned()))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body.into());
        let put = request.customize().config_override(sending(size)).send().await;
        let put = put.map_err(|error| self.failed("write", key, error))?;
        Ok(ObjectMeta { key: key.to_owned(), size: size as u64, version: version(put.e_tag()) })
    }

    pub(super) async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let head = self.client.head_object().bucket(&self.name).key(key).send().await;
        let head = head.map_err(|error| self.failed("examine", key, error))?;
        Ok(ObjectMeta { key: key.to_owned(), size: size(head.content_length()), version: version(head.e_tag()) })
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        let deleted = self.client.delete_object().bucket(&self.name).key(key).send().await;
        deleted.map(drop).map_err(|error| self.failed("delete", key, error))
    }

    /// Objects whose keys begin with `prefix` and come after `after`.
    pub(super) async fn list(&self, prefix: &str, after: Option<String>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        let mut after = after.filter(|after| after.as_str() >= prefix);
        while found.len() < limit {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_start_after(after.clone())
                .max_keys((limit - found.len()).min(PAGE) as i32)
                // XML has no way to write control characters.
                .encoding_type(EncodingType::Url);
            let page = request.send().await.map_err(|error| self.failed("list", prefix, error))?;
            for object in page.contents() {
                found.push(described(object)?);
            }
            after = found.last().map(|last: &ObjectMeta| last.key.clone());
            if page.is_truncated() != Some(true) || page.contents().is_empty() {
                break;
            }
        }
        Ok(found)
    }

    pub(super) async fn presign_get(&self, key: &str, expires: Duration) -> Result<String> {
        let request = self.client.get_object().bucket(&self.name).key(key);
        let signed = request.presigned(validity(expires)?).await;
        signed.map(|signed| signed.uri().to_owned()).map_err(|error| self.failed("sign a URL of", key, error))
    }

    /// The error of a request about `key`.
    pub(super) fn failed<E>(&self, verb: &str, key: &str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        failed(format!("{verb} s3://{}/{}", self.name, key.escape_debug()), error)
    }
}

/// Settings of a request that sends `bytes`.
pub(super) fn sending(bytes: usize) -> Builder {
    Builder::new().timeout_config(patience(time_to_send(bytes)))
}

/// Settings of a request that puts parts together.
pub(super) fn assembling() -> Builder {
    Builder::new().timeout_config(patience(ASSEMBLY))
}

pub(super) fn validity(expires: Duration) -> Result<PresigningConfig> {
    PresigningConfig::expires_in(expires).map_err(|cause| {
        let context = format!("a URL cannot be valid for {} s", expires.as_secs());
        Error::caused(ErrorKind::Invalid, context, cause)
    })
}

pub(super) fn size(bytes: Option<i64>) -> u64 {
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
}

/// An ETag as a version: without its quotes.
pub(super) fn version(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn described(object: &Object) -> Result<ObjectMeta> {
    let encoded = object.key().unwrap_or_default().replace('+', " ");
    let key = percent_decode_str(&encoded).decode_utf8().map_err(|cause| {
        let context = format!("the name of object {encoded} is not UTF-8");
        Error::caused(ErrorKind::Invalid, context, cause)
    })?;
    Ok(ObjectMeta { key: key.into_owned(), size: size(object.size()), version: version(object.e_tag()) })
}
