//! Who may do what: every route that the document lists, with every kind of token.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use grid_api::{JobSummary, Page, Scope};
use job_manager::http::document;
use job_manager::tokens::{self, TokenRequest};
use serde_json::Value;

use super::answers::UNKNOWN;
use super::operations::operations;
use super::site::{Site, TWO, request};

#[tokio::test(start_paused = true)]
async fn without_a_good_token_every_route_but_those_of_health_is_closed() {
    let site = Site::closed();
    let owner = site.token(Scope::Admin, None).await;
    let expiring = TokenRequest {
        scope: Scope::Admin,
        tenant: None,
        note: String::new(),
        expires_ms: Some(site.grid.clock.now_ms() + 1_000),
    };
    let expired = tokens::create(&site.grid, expiring).await.unwrap().secret;
    tokio::time::advance(Duration::from_secs(1)).await;
    let job = site.submit(Some(&owner), TWO).await;
    let unknown = format!("grd_{}_{}", "0".repeat(12), "0".repeat(64));
    for route in operations() {
        let path = route.filled(job.as_str(), job.as_str());
        for (what, token) in
            [("none", None), ("bad", Some("x")), ("unknown", Some(&*unknown)), ("expired", Some(&*expired))]
        {
            let request = request(route.method.clone(), &path, token).body(Body::empty()).unwrap();
            let answer = site.send(request).await;
            if route.scope.is_none() {
                assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{what} {path}");
                continue;
            }
            assert_eq!(answer.problem().status, 401, "{what} {} {path}", route.method);
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_with_too_little_scope_is_refused_and_one_with_enough_is_not() {
    let site = Site::closed();
    let owner = site.token(Scope::Admin, None).await;
    let job = site.submit(Some(&owner), TWO).await;
    for route in operations() {
        let Some(needed) = route.scope else { continue };
        for scope in [Scope::Read, Scope::Submit, Scope::Admin] {
            let token = site.token(scope, None).await;
            let path = route.filled(job.as_str(), job.as_str());
            let answer =
                site.send(request(route.method.clone(), &path, Some(&token)).body(Body::empty()).unwrap()).await;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, scope < needed, "{scope:?} {} {path}: {answer:?}", route.method);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_sees_nothing_of_another_one() {
    let site = Site::closed();
    let (one, other) = (site.token(Scope::Admin, Some("one")).await, site.token(Scope::Admin, Some("other")).await);
    let job = site.submit(Some(&one), TWO).await;
    for route in operations().iter().filter(|route| route.path.starts_with("/v1/jobs/{id}")) {
        let path = route.filled(job.as_str(), job.as_str());
        let query = if route.path.ends_with("/why") { "?item=work/1" } else { "" };
        let ask = async |token: &str| {
            site.send(
                request(route.method.clone(), &format!("{path}{query}"), Some(token)).body(Body::empty()).unwrap(),
            )
            .await
        };
        let of_other = ask(&other).await;
        let unknown = format!("{}{query}", route.filled(UNKNOWN, UNKNOWN));
        let of_nobody =
            site.send(request(route.method.clone(), &unknown, Some(&other)).body(Body::empty()).unwrap()).await;
        assert_eq!((of_other.problem().status, of_nobody.problem().status), (404, 404), "{} {path}", route.method);
    }
    let listed = async |token: &str, query: &str| {
        let answer =
            site.send(request(Method::GET, &format!("/v1/jobs{query}"), Some(token)).body(Body::empty()).unwrap());
        answer.await.json::<Page<JobSummary>>().entries.len()
    };
    assert_eq!((listed(&one, "").await, listed(&other, "").await), (1, 0));
    assert_eq!((listed(&one, "?tenant=one").await, listed(&other, "?tenant=one").await), (1, 0));
    let all = site.token(Scope::Read, None).await;
    assert_eq!((listed(&all, "").await, listed(&all, "?tenant=other").await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn this_machine_needs_no_token_until_there_is_one() {
    let site = Site::new();
    assert_eq!(site.get("/v1/jobs").await.status, StatusCode::OK);
    let token = site.token(Scope::Read, None).await;
    assert_eq!(site.get("/v1/jobs").await.problem().status, 401);
    let with = request(Method::GET, "/v1/jobs", Some(&token)).body(Body::empty()).unwrap();
    assert_eq!(site.send(with).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_pages_of_other_sites_are_refused() {
    let site = Site::new();
    let send = async |headers: &[(&str, &str)]| {
        let builder = axum::http::Request::builder().uri("/v1/jobs");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        site.send(builder.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    assert_eq!(send(&[("host", "127.0.0.1:8470"), ("origin", "http://127.0.0.1:8470")]).await, 200);
    assert_eq!(send(&[("host", "rebound.example:8470")]).await, 403);
    assert_eq!(send(&[("host", "localhost"), ("origin", "https://evil.example")]).await, 403);
    assert_eq!(send(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(send(&[]).await, 403);
}

#[test]
fn the_document_is_complete() {
    let document: Value = serde_json::to_value(document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#/").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(&format!("/{pointer}")).is_some(), "{pointer} is not there");
    }
}
