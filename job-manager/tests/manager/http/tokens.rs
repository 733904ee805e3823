//! Tokens over HTTP; and workers, which tenants share.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use grid_api::{NewToken, Page, PoolStatus, Scope, Token, WorkerStatus};
use serde_json::json;

use super::site::{Site, json_request, request};

#[tokio::test(start_paused = true)]
async fn a_token_is_made_used_listed_and_revoked() {
    let site = Site::new();
    let body = json!({"scope": "admin", "note": "first", "expires_secs": 60});
    let made = site.post("/v1/tokens", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made: NewToken = made.json();
    assert_eq!((made.token.scope, made.token.expires.as_deref()), (Scope::Admin, Some("2026-01-01T00:01:00Z")));
    let send = async |method: Method, path: &str| {
        site.send(request(method, path, Some(&made.secret)).body(Body::empty()).unwrap()).await
    };
    let listed = send(Method::GET, "/v1/tokens").await.json::<Page<Token>>();
    assert_eq!(listed.entries, std::slice::from_ref(&made.token));
    assert_eq!(site.get("/v1/tokens").await.problem().status, 401, "from the first token on, nobody comes without");
    let path = format!("/v1/tokens/{}", made.token.id);
    assert_eq!(send(Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(Method::DELETE, &path).await.problem().status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_right_is_not_made() {
    let site = Site::new();
    let refused = async |body: serde_json::Value| site.post("/v1/tokens", &body).await.pointers();
    assert_eq!(refused(json!({"scope": "root"})).await, ["#/scope"]);
    assert_eq!(refused(json!({"scope": "read", "tenant": "a b"})).await, ["#/tenant"]);
    let both = json!({"scope": "read", "note": "x".repeat(201), "expires_secs": 0});
    assert_eq!(refused(both).await, ["#/note", "#/expires_secs"]);
    assert_eq!(refused(json!({"scope": "read", "expires_secs": 1e300})).await, ["#/expires_secs"]);
    assert_eq!(site.call(Method::DELETE, "/v1/tokens/..%2F").await.problem().status, 404);
    assert_eq!(site.get("/v1/tokens").await.json::<Page<Token>>().entries, vec![]);
}

#[tokio::test(start_paused = true)]
async fn an_admin_of_a_tenant_rules_over_its_tokens_only() {
    let site = Site::closed();
    let (all, one) = (site.token(Scope::Admin, None).await, site.token(Scope::Admin, Some("one")).await);
    let made = site.send(json_request("/v1/tokens", Some(&one), &json!({"scope": "read"}))).await.json::<NewToken>();
    assert_eq!(made.token.tenant.as_deref(), Some("one"));
    let other = json!({"scope": "read", "tenant": "other"});
    assert_eq!(site.send(json_request("/v1/tokens", Some(&one), &other)).await.problem().status, 403);
    let list = async |token: &str| {
        let answer = site.send(request(Method::GET, "/v1/tokens", Some(token)).body(Body::empty()).unwrap()).await;
        answer.json::<Page<Token>>().entries
    };
    assert_eq!((list(&all).await.len(), list(&one).await.len()), (3, 2));
    let of_all = list(&all).await.into_iter().find(|token| token.tenant.is_none()).unwrap();
    let revoke = async |id: &str| {
        let request = request(Method::DELETE, &format!("/v1/tokens/{id}"), Some(&one)).body(Body::empty()).unwrap();
        site.send(request).await.status.as_u16()
    };
    assert_eq!((revoke(&of_all.id).await, revoke(&made.token.id).await), (404, 204));
}

#[tokio::test(start_paused = true)]
async fn without_workers_their_lists_are_empty() {
    let site = Site::new();
    assert_eq!(site.get("/v1/workers").await.json::<Page<WorkerStatus>>().entries, vec![]);
    assert_eq!(site.get("/v1/pools").await.json::<Page<PoolStatus>>().entries, vec![]);
}
