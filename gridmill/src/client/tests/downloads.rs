//! Outputs on their way to this machine.

use std::fs;

use grid_api::OutputFile;
use grid_core::ids::StageName;

use super::scripted::{Scripted, answer};
use super::{AT_ONCE, client};
use crate::client::ClientError;

fn file(content: &str) -> OutputFile {
    OutputFile {
        path: "a/b.txt".into(),
        bytes: content.len() as u64,
        crc32: crc32fast::hash(content.as_bytes()),
        stage: StageName::new("a"),
        item: 0,
        href: "/v1/jobs/0190/outputs/a/b.txt?item=0".into(),
    }
}

#[tokio::test]
async fn what_arrives_damaged_or_too_short_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let server = Scripted::start([answer(200, &[], "wordz"), answer(200, &[], "wor"), answer(200, &[], "words")]).await;
    client(&server).download(&file("words"), &path, &|_| {}).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "words");
    assert_eq!(server.lines(), ["GET /v1/jobs/0190/outputs/a/b.txt?item=0"; 3]);
}

#[tokio::test]
async fn what_stays_damaged_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start((0..AT_ONCE.tries).map(|_| answer(200, &[], "wordz"))).await;
    let error = client(&server).download(&file("words"), &dir.path().join("f"), &|_| {}).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Broken { source, .. } if source.to_string().contains("a/b.txt")),
        "{error:?}"
    );
    server.asked();
}
