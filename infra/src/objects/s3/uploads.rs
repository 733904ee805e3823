//! Uploads by others, past us, through URLs that we sign.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::S3Objects;
use super::bucket::{assembling, validity};
use crate::aws::error::required;
use crate::objects::{ObjectMeta, Upload, UploadedPart, Uploads};
use crate::{Error, ErrorKind, Result};

/// The most parts of an upload (S3).
const MAX_PARTS: u32 = 10_000;

#[async_trait]
impl Uploads for S3Objects {
    async fn begin(&self, key: &str) -> Result<Upload> {
        let full = self.full(key)?;
        let request = self.bucket.client.create_multipart_upload().bucket(&self.bucket.name).key(&full);
        let begun = request.send().await.map_err(|error| self.bucket.failed("begin an upload of", &full, error))?;
        let id = required(begun.upload_id, || format!("id of the upload of s3://{}/{full}", self.bucket.name))?;
        Ok(Upload { key: key.to_owned(), id })
    }

    async fn presign_part(&self, upload: &Upload, number: u32, expires: Duration) -> Result<String> {
        let full = self.full(&upload.key)?;
        let number = part_number(number)?;
        // A checksum would be that of the body that we do not have.
        let no_checksum = Builder::new().request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let request = self.bucket.client.upload_part().bucket(&self.bucket.name).key(&full);
        let request = request.upload_id(&upload.id).part_number(number).customize().config_override(no_checksum);
        let signed = request.presigned(validity(expires)?).await;
        let signed = signed.map_err(|error| self.bucket.failed("sign a URL for a part of", &full, error))?;
        Ok(signed.uri().to_owned())
    }

    async fn complete(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<ObjectMeta> {
        let full = self.full(&upload.key)?;
        let mut parts = parts.to_vec();
        parts.sort_unstable();
        let parts = parts.into_iter().map(|part| {
            let number = part_number(part.number)?;
            Ok(CompletedPart::builder().part_number(number).e_tag(part.etag).build())
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect::<Result<_>>()?)).build();
        let request = self.bucket.client.complete_multipart_upload().bucket(&self.bucket.name).key(&full);
        let request = request.upload_id(&upload.id).multipart_upload(parts).customize();
        let done = request.config_override(assembling()).send().await;
        done.map_err(|error| self.bucket.failed("complete the upload of", &full, error))?;
        self.bucket.head(&full).await.map(|meta| self.known_as(meta))
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let full = self.full(&upload.key)?;
        let request = self.bucket.client.abort_multipart_upload().bucket(&self.bucket.name).key(&full);
        let aborted = request.upload_id(&upload.id).send().await;
        match aborted.map_err(|error| self.bucket.failed("abort the upload of", &full, error)) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn part_number(number: u32) -> Result<i32> {
    if (1..=MAX_PARTS).contains(&number) {
        return Ok(number.cast_signed());
    }
    Err(Error::new(ErrorKind::Invalid, format!("parts of an upload are numbered from 1 to {MAX_PARTS}, not {number}")))
}
