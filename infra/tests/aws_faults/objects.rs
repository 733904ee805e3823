//! Writing objects, and finding them.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use infra::objects::{ObjectStore, S3Objects, UploadedPart, Uploads};
use infra::{ErrorKind, Result};
use tokio::time::Instant;

use crate::service::{Answer, Service, refuses, says, status};

const PART: usize = 8 << 20;

fn bucket(answers: impl IntoIterator<Item = Answer>) -> (Service, S3Objects) {
    let (service, clients) = Service::that(answers);
    (service, S3Objects::new(clients.s3, "bucket", None).unwrap())
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}

#[tokio::test(start_paused = true)]
async fn of_two_creators_at_one_moment_the_one_that_was_told_409_asks_again() {
    for (second, expected) in [(status(200), None), (refuses(412, "PreconditionFailed"), Some(ErrorKind::Conflict))] {
        let (service, bucket) = bucket([refuses(409, "ConditionalRequestConflict"), second]);
        assert_eq!(kind(bucket.create("key", Bytes::from_static(b"body")).await), expected);
        let conditions: Vec<String> =
            service.seen().iter().map(|seen| seen.header("if-none-match").to_owned()).collect();
        assert_eq!(conditions, ["*", "*"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_race_that_does_not_end_is_no_conflict() {
    let (_service, bucket) = bucket((0..5).map(|_| refuses(409, "ConditionalRequestConflict")));
    assert_eq!(kind(bucket.create("key", Bytes::new()).await), Some(ErrorKind::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_finds_its_own_object_and_says_so() {
    let (service, bucket) = bucket([Answer::Breaks, refuses(412, "PreconditionFailed")]);
    assert_eq!(kind(bucket.create("key", Bytes::new()).await), Some(ErrorKind::Conflict));
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_carries_its_checksum() {
    let (service, bucket) = bucket([status(200), status(200)]);
    bucket.create("a", Bytes::from_static(b"hello")).await.unwrap();
    bucket.put("b", Bytes::from_static(b"hello")).await.unwrap();
    for seen in service.seen() {
        assert_eq!(seen.header("x-amz-checksum-crc32"), "NhCmhg==", "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_arrived_damaged_is_worth_another_try() {
    let (_service, bucket) = bucket([refuses(400, "BadDigest")]);
    assert!(bucket.put("key", Bytes::new()).await.unwrap_err().is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_told_too_much_is_asked_more_slowly_and_then_left_alone() {
    let (service, objects) = bucket([refuses(503, "SlowDown"), refuses(503, "SlowDown"), status(200)]);
    objects.put("key", Bytes::new()).await.unwrap();
    assert_eq!(service.seen().len(), 3);
    let (service, objects) = bucket((0..5).map(|_| refuses(503, "SlowDown")));
    assert_eq!(kind(objects.put("key", Bytes::new()).await), Some(ErrorKind::Throttled));
    assert_eq!(service.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let (_service, bucket) = bucket((0..5).map(|_| Answer::Nothing));
    let begun = Instant::now();
    assert_eq!(kind(bucket.head("key").await), Some(ErrorKind::Unavailable));
    assert!((Duration::from_secs(50)..=Duration::from_secs(61)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_missing_bucket_is_no_missing_object() {
    let (_service, bucket) = bucket([refuses(404, "NoSuchKey"), refuses(404, "NoSuchBucket")]);
    assert_eq!(kind(bucket.get("key", None).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(bucket.get("key", None).await), Some(ErrorKind::Invalid));
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_on_after_the_last_key() {
    let page = |more: bool, key: &str| {
        says(&format!(
            "<ListBucketResult><IsTruncated>{more}</IsTruncated><Contents><Key>{key}</Key><Size>3</Size><ETag>\"e\"</ETag>\
             </Contents></ListBucketResult>"
        ))
    };
    let (service, bucket) = bucket([page(true, "a%2Bb+%01"), page(false, "c")]);
    let found = bucket.list("", None, 5).await.unwrap();
    assert_eq!(found.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["a+b \u{1}", "c"]);
    let targets = service.lines();
    assert!(targets[0].contains("max-keys=5") && !targets[0].contains("start-after"), "{}", targets[0]);
    assert!(targets[1].contains("max-keys=4") && targets[1].contains("start-after=a%2Bb%20%01"), "{}", targets[1]);
}

/// The answers to a multipart upload up to its completion, which two parts precede.
fn two_parts() -> [Answer; 3] {
    let begun = says("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
    let part = || Answer::Says(200, vec![("etag", "\"p\"".to_owned())], Vec::new().into());
    [begun, part(), part()]
}

fn completed() -> Answer {
    says("<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>")
}

async fn write_two_parts(bucket: &S3Objects) -> Result<infra::objects::ObjectMeta> {
    let body = [Bytes::from(vec![b'x'; PART]), Bytes::from_static(b"end")];
    bucket.put_stream("key", stream::iter(body.map(Ok)).boxed()).await
}

#[tokio::test(start_paused = true)]
async fn parts_are_written_with_checksums_and_on_no_condition() {
    let (service, bucket) = bucket(two_parts().into_iter().chain([completed()]));
    let meta = write_two_parts(&bucket).await.unwrap();
    assert_eq!((meta.key.as_str(), meta.size, meta.version.as_str()), ("key", PART as u64 + 3, "whole"));
    let seen = service.seen();
    assert!(seen.iter().all(|seen| seen.header("if-none-match").is_empty()));
    assert!(seen[1..3].iter().all(|part| !part.header("x-amz-checksum-crc32").is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_large_object_may_take_minutes_to_be_put_together() {
    let late = Answer::Late(Duration::from_secs(280), Box::new(completed()));
    let (service, objects) = bucket(two_parts().into_iter().chain([late]));
    write_two_parts(&objects).await.unwrap();
    assert_eq!(service.seen().len(), 4, "it was asked once");

    let late = Answer::Late(Duration::from_secs(280), Box::new(completed()));
    let head = Answer::Says(200, vec![("content-length", "3".to_owned())], Vec::new().into());
    let (_, objects) = bucket([two_parts().into_iter().next().unwrap(), late, head]);
    let upload = objects.begin("key").await.unwrap();
    let parts = [UploadedPart { number: 1, etag: "p".to_owned() }];
    assert_eq!(objects.complete(&upload, &parts).await.unwrap().size, 3);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_says_error_is_none() {
    let failed = refuses(200, "InternalError");
    let (service, bucket) = bucket(two_parts().into_iter().chain([failed, completed()]));
    write_two_parts(&bucket).await.unwrap();
    assert_eq!(service.seen().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_gone_was_completed_by_an_earlier_try_if_the_object_is_whole() {
    for (size, expected) in [(PART + 3, None), (PART, Some(ErrorKind::Unavailable))] {
        let gone = [Answer::Breaks, refuses(404, "NoSuchUpload")];
        let head = Answer::Says(200, vec![("content-length", size.to_string())], Vec::new().into());
        let abort = expected.map(|_| status(204));
        let (_service, bucket) = bucket(two_parts().into_iter().chain(gone).chain([head]).chain(abort));
        assert_eq!(kind(write_two_parts(&bucket).await), expected, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_given_up_and_its_parts_with_it() {
    let [begun, part, _] = two_parts();
    let (service, bucket) = bucket([begun, part, refuses(403, "AccessDenied"), status(204)]);
    assert_eq!(kind(write_two_parts(&bucket).await), Some(ErrorKind::Denied));
    assert_eq!(service.lines()[3], "DELETE /bucket/key?x-id=AbortMultipartUpload&uploadId=u");
}

#[tokio::test(start_paused = true)]
async fn an_upload_without_an_id_is_refused() {
    let answer = || says("<InitiateMultipartUploadResult></InitiateMultipartUploadResult>");
    let (_service, bucket) = bucket([answer(), answer()]);
    assert_eq!(kind(bucket.begin("key").await), Some(ErrorKind::Invalid));
    assert_eq!(kind(write_two_parts(&bucket).await), Some(ErrorKind::Invalid));
}
