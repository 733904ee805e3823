//! Reading bodies that break off.

use futures::TryStreamExt;
use infra::ErrorKind;
use infra::objects::{ObjectStore, S3Objects};

use crate::service::{Answer, Service, object, refuses, status};

/// What a reader got of `bytes 2..13` of an object, until the end or an error.
async fn read(answers: impl IntoIterator<Item = Answer>) -> (Service, String, Option<ErrorKind>) {
    let (service, clients) = Service::that(answers);
    let bucket = S3Objects::new(clients.s3, "bucket", None).unwrap();
    let mut stream = bucket.stream("key", Some(2..13)).await.unwrap();
    let mut text = String::new();
    let failed = loop {
        match stream.try_next().await {
            Ok(Some(piece)) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Ok(None) => break None,
            Err(error) => break Some(error.kind),
        }
    };
    (service, text, failed)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_read_on_from_there_and_only_of_the_same_object() {
    let answers = [object(206, "v1", 11, "hello "), object(206, "v1", 5, "wo"), object(206, "v1", 3, "rld")];
    let (service, text, failed) = read(answers).await;
    assert_eq!((text.as_str(), failed), ("hello world", None));
    let asked: Vec<(String, String)> = service
        .seen()
        .iter()
        .map(|seen| (seen.header("range").to_owned(), seen.header("if-match").to_owned()))
        .collect();
    let asked: Vec<(&str, &str)> = asked.iter().map(|(range, etag)| (range.as_str(), etag.as_str())).collect();
    assert_eq!(asked, [("bytes=2-12", ""), ("bytes=8-12", "\"v1\""), ("bytes=10-12", "\"v1\"")]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_replaced_meanwhile_is_not_read_on() {
    for gone in [refuses(412, "PreconditionFailed"), refuses(416, "InvalidRange")] {
        let (_service, text, failed) = read([object(206, "v1", 11, "hello "), gone]).await;
        assert_eq!((text.as_str(), failed), ("hello ", Some(ErrorKind::Conflict)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_version_is_not_read_on() {
    let mut first = object(206, "v1", 11, "hello ");
    if let Answer::Says(_, headers, _) = &mut first {
        headers.retain(|(name, _)| *name != "etag");
    }
    let (_service, _, failed) = read([first]).await;
    assert_eq!(failed, Some(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_moves_on_is_given_up() {
    let (service, text, failed) = read((0..5).map(|_| object(206, "v1", 11, ""))).await;
    assert_eq!((text.as_str(), failed, service.seen().len()), ("", Some(ErrorKind::Unavailable), 5));
}

#[tokio::test(start_paused = true)]
async fn a_range_behind_the_end_is_empty() {
    let (_service, text, failed) = read([status(416)]).await;
    assert_eq!((text.as_str(), failed), ("", None));
}
