//! Large files: several parts at a time go to presigned addresses, each tried again by itself.

use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use grid_api::{CompleteUpload, CreateUpload, PartUrl, Upload, UploadedPart};
use hyper::Method;
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue};
use serde::de::IgnoredAny;

use super::pieces::{self, OnBytes, Piece};
use super::{Ask, Client, ClientError, Repeat, Route, strange};

/// Parts on their way at the same time: enough to fill a line, few enough to be kind.
const PARTS_AT_ONCE: usize = 4;

impl Client {
    /// Uploads a file of `len` bytes under a name. Answers the URI by which a submission names it.
    pub async fn upload(&self, name: &str, path: &Path, len: u64, on_bytes: &OnBytes) -> Result<String, ClientError> {
        let wish = CreateUpload { name: name.to_owned(), bytes: len, tenant: None };
        // One that nobody completes is nothing.
        let upload: Upload = self.post(&Route::v1(["uploads"]), &wish, Repeat::Harmless).await?;
        let parts: Vec<_> = upload.parts.iter().map(|part| self.part(part, &upload, path, len, on_bytes)).collect();
        let mut parts: Vec<UploadedPart> = stream::iter(parts).buffer_unordered(PARTS_AT_ONCE).try_collect().await?;
        parts.sort_by_key(|part| part.number);
        let route = Route::v1(["uploads", &upload.id, "complete"]);
        let _: IgnoredAny = self.post(&route, &CompleteUpload { parts }, Repeat::Harmless).await?;
        Ok(upload.uri)
    }

    async fn part(
        &self,
        part: &PartUrl,
        upload: &Upload,
        path: &Path,
        len: u64,
        on_bytes: &OnBytes,
    ) -> Result<UploadedPart, ClientError> {
        let start = u64::from(part.number.saturating_sub(1)).saturating_mul(upload.part_bytes).min(len);
        let len = upload.part_bytes.min(len - start);
        let pieces = [Piece::File { path: path.to_owned(), start, len }];
        let body = || pieces::sending(&pieces, on_bytes);
        let route = Route::given(&part.url);
        let headers = vec![(CONTENT_LENGTH, HeaderValue::from(len))];
        let ask = Ask { method: Method::PUT, route: &route, headers, body: &body };
        self.patiently(Repeat::Harmless, async || {
            let answer = self.follow(&ask).await?;
            let etag = answer.head.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            let etag = etag.ok_or_else(|| strange(&self.address, format!("part {} got no ETag", part.number)))?;
            Ok(UploadedPart { number: part.number, etag })
        })
        .await
    }
}
