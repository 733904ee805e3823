//! What a request asks for, in the service's own words.

use hyper::{Method, Request};
use infra::requests::Operation;

use super::exchange::TARGET;

/// The service and operation of a request. What is none of S3, SQS and DynamoDB is named by its method and path.
pub fn name<B>(request: &Request<B>) -> Operation {
    let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok());
    let (service, name) = match target.and_then(|target| target.split_once('.')) {
        Some(("AmazonSQS", name)) => ("SQS", name),
        Some((service, name)) if service.starts_with("DynamoDB_") => ("DynamoDB", name),
        Some(other) => other,
        None => ("S3", object_operation(request)),
    };
    Operation { service: service.to_owned(), name: name.to_owned() }
}

/// S3 tells its operations apart by the method, the parts of the path and the query.
fn object_operation<B>(request: &Request<B>) -> &str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let path = request.uri().path().trim_start_matches('/');
    let is_object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    match (request.method().clone(), is_object) {
        (Method::PUT, true) if has("uploadId") => "UploadPart",
        (Method::PUT, true) => "PutObject",
        (Method::GET, true) => "GetObject",
        (Method::HEAD, true) => "HeadObject",
        (Method::DELETE, true) if has("uploadId") => "AbortMultipartUpload",
        (Method::DELETE, true) => "DeleteObject",
        (Method::POST, true) if has("uploads") => "CreateMultipartUpload",
        (Method::POST, true) if has("uploadId") => "CompleteMultipartUpload",
        (Method::GET, false) if has("list-type") => "ListObjectsV2",
        (Method::GET, false) if has("lifecycle") => "GetBucketLifecycleConfiguration",
        (Method::POST, false) if has("delete") => "DeleteObjects",
        (Method::HEAD, false) => "HeadBucket",
        (Method::PUT, false) if query.is_empty() => "CreateBucket",
        _ => request.uri().path(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(method: &str, target: &str, header: Option<&str>) -> String {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(header) = header {
            request = request.header("x-amz-target", header);
        }
        let operation = name(&request.body(()).unwrap());
        format!("{} {}", operation.service, operation.name)
    }

    #[test]
    fn requests_are_called_what_the_service_calls_them() {
        let requests = [
            (named("POST", "/", Some("AmazonSQS.SendMessageBatch")), "SQS SendMessageBatch"),
            (named("POST", "/", Some("DynamoDB_20120810.TransactWriteItems")), "DynamoDB TransactWriteItems"),
            (named("PUT", "/bucket/a/b?x-id=PutObject", None), "S3 PutObject"),
            (named("PUT", "/bucket/a?partNumber=1&uploadId=u&x-id=UploadPart", None), "S3 UploadPart"),
            (named("POST", "/bucket/a?uploads", None), "S3 CreateMultipartUpload"),
            (named("POST", "/bucket/a?uploadId=u", None), "S3 CompleteMultipartUpload"),
            (named("GET", "/bucket/a", None), "S3 GetObject"),
            (named("GET", "/bucket?list-type=2&prefix=uploads", None), "S3 ListObjectsV2"),
            (named("GET", "/bucket/?list-type=2", None), "S3 ListObjectsV2"),
            (named("HEAD", "/bucket", None), "S3 HeadBucket"),
            (named("HEAD", "/bucket/a", None), "S3 HeadObject"),
            (named("DELETE", "/bucket/a?uploadId=u", None), "S3 AbortMultipartUpload"),
            (named("GET", "/bucket?versioning", None), "S3 /bucket"),
        ];
        for (name, expected) in requests {
            assert_eq!(name, expected);
        }
    }
}
