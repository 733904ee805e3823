//! One request and its answer.

use grid_api::{JobState, Redrive};
use grid_core::ids::JobId;

use super::scripted::{Act, Scripted, answer, json};
use super::{AT_ONCE, client};
use crate::client::api::Wish;
use crate::client::{Address, Client, ClientError, PlainHttp};
use crate::exit::{Exit, Fault};

const STATUS: &str =
    r#"{"job":"0190","pipeline":"p","state":"running","submitted":"2026-01-01T00:00:00Z","stages":[]}"#;

fn job() -> JobId {
    JobId::new("0190")
}

#[tokio::test]
async fn a_request_carries_the_token_and_the_answer_is_read() {
    let server = Scripted::start([json(200, STATUS)]).await;
    let status = client(&server).status(&job()).await.unwrap();
    assert_eq!((status.job, status.state), (job(), JobState::Running));
    let asked = server.asked();
    assert_eq!(asked[0].line, "GET /v1/jobs/0190");
    assert_eq!(asked[0].header("authorization"), Some("Bearer grd_a_secret"));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let acts = [Act::HangUp, json(503, "{}"), json(200, STATUS)];
    let server = Scripted::start(acts).await;
    client(&server).status(&job()).await.unwrap();
    assert_eq!(server.lines(), ["GET /v1/jobs/0190"; 3]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let cut = Act::Say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", STATUS.len(), &STATUS[..20]));
    let server = Scripted::start([cut, json(200, STATUS)]).await;
    client(&server).status(&job()).await.unwrap();
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn trying_ends() {
    let server = Scripted::start([Act::HangUp, Act::HangUp, Act::HangUp]).await;
    let error = client(&server).status(&job()).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    assert_eq!(server.lines().len(), AT_ONCE.tries as usize);
    assert_eq!(Fault::from(error).exit, Exit::BackEnd);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_asked_for_again() {
    let server = Scripted::start([Act::HangUp]).await;
    let error = client(&server).redrive(&job(), &Redrive::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    assert_eq!(server.lines(), ["POST /v1/jobs/0190/redrive"]);
}

#[tokio::test]
async fn a_wish_may_be_repeated() {
    let server = Scripted::start([Act::HangUp, json(200, r#"{"state":"cancelled"}"#)]).await;
    assert_eq!(client(&server).wish(&job(), Wish::Cancel).await.unwrap(), JobState::Cancelled);
    assert_eq!(server.lines(), ["POST /v1/jobs/0190/cancel"; 2]);
}

#[tokio::test]
async fn nobody_there_is_exit_code_five() {
    let server = Scripted::start([]).await;
    let address = Address::parse(&server.address()).unwrap();
    drop(server);
    let gone = Client::new(address, None, PlainHttp::Loopback).unwrap().with_patience(AT_ONCE);
    // The listener goes with its task, and that when it is scheduled next.
    let error = loop {
        match gone.status(&job()).await.unwrap_err() {
            error @ ClientError::Unreachable { .. } => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    let fault = Fault::from(error);
    assert_eq!(fault.exit, Exit::BackEnd);
    assert!(fault.to_string().contains("cannot be reached: "), "{fault}");
}

#[tokio::test]
async fn a_problem_is_told_in_its_own_words() {
    let problem =
        r##"{"type":"about:blank","title":"t","status":422,"detail":"d","errors":[{"pointer":"#/a","message":"m"}]}"##;
    let server = Scripted::start([answer(422, &[("content-type", "application/problem+json")], problem)]).await;
    let error = client(&server).status(&job()).await.unwrap_err();
    assert_eq!(error.to_string(), "error: d\n  - #/a: m");
    server.asked();
}

#[tokio::test]
async fn the_token_does_not_follow_to_another_place() {
    let store = Scripted::start([json(200, STATUS)]).await;
    let there = format!("{}/bucket/key?signature=1", store.address());
    let server = Scripted::start([answer(307, &[("location", &there)], "")]).await;
    client(&server).status(&job()).await.unwrap();
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer grd_a_secret"));
    let asked = store.asked();
    assert_eq!((asked[0].line.as_str(), asked[0].header("authorization")), ("GET /bucket/key?signature=1", None));
}

#[tokio::test]
async fn the_token_stays_where_it_belongs_to() {
    let server = Scripted::start([answer(302, &[("location", "/v1/there")], ""), json(200, STATUS)]).await;
    client(&server).status(&job()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[1].line, "GET /v1/there");
    assert_eq!(asked[1].header("authorization"), Some("Bearer grd_a_secret"));
}

#[tokio::test]
async fn a_circle_ends() {
    let around = || answer(302, &[("location", "/v1/there")], "");
    let server = Scripted::start((0..5).map(|_| around())).await;
    let error = client(&server).status(&job()).await.unwrap_err();
    assert!(error.to_string().contains("more than 4 times"), "{error}");
    server.asked();
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let entry = |job| format!(r#"{{"job":"{job}","pipeline":"p","state":"running","submitted":""}}"#);
    let server = Scripted::start([
        json(200, &format!(r#"{{"entries":[{}],"next_cursor":"a&b"}}"#, entry("2"))),
        json(200, r#"{"entries":[],"next_cursor":"c"}"#),
        json(200, &format!(r#"{{"entries":[{}]}}"#, entry("1"))),
    ])
    .await;
    let found = client(&server).jobs(Some(JobState::Running)).take(9).await.unwrap();
    assert_eq!(found.iter().map(|found| found.job.as_str()).collect::<Vec<_>>(), ["2", "1"]);
    let page = "GET /v1/jobs?state=running";
    assert_eq!(server.lines(), [page.to_owned(), format!("{page}&cursor=a%26b"), format!("{page}&cursor=c")]);
}

#[tokio::test]
async fn something_else_on_that_port_is_told_from_a_manager() {
    let server = Scripted::start([answer(200, &[], "<html>")]).await;
    let fault = Fault::from(client(&server).status(&job()).await.unwrap_err());
    assert_eq!(fault.exit, Exit::BackEnd);
    assert!(fault.to_string().contains("not what a job manager says"), "{fault}");
}
