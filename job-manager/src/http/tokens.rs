//! Tokens, for those who may do everything.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use grid_api::{CreateToken, NewToken, Page, Token};

use super::Api;
use super::access::{Admin, shortened};
use super::body::Body;
use super::document::{Asked, Guarded, OfJob, WithBody, WithDocument, Written};
use super::problem::{Refusal, fault};
use super::submission::tenant_of;
use crate::tokens::{self, TokenRequest};

/// Characters of a token's note.
const MAX_NOTE: usize = 200;

/// Seconds of a token's life: a century.
const MAX_SECS: u64 = 100 * 365 * 86_400;

/// Lists the tokens, those that have expired included; never their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", security(("token" = ["admin"])),
    responses((status = 200, description = "all of them", body = Page<Token>), Asked, Guarded))]
pub(super) async fn list(Admin(caller): Admin, State(api): State<Arc<Api>>) -> Result<Json<Page<Token>>, Refusal> {
    let mut entries = tokens::list(&api.grid).await?;
    // Tokens for all tenants are nobody's who acts for one.
    entries.retain(|token| caller.tenant.is_none() || caller.tenant == token.tenant);
    Ok(Json(Page { entries, next_cursor: None }))
}

/// Makes a token. From the first one on, nobody is served without.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", security(("token" = ["admin"])), request_body = CreateToken,
    responses((status = 201, description = "the token, with its secret this once", body = NewToken), Asked, Guarded, WithBody, WithDocument, Written))]
pub(super) async fn create(
    Admin(caller): Admin,
    State(api): State<Arc<Api>>,
    Body(wanted): Body<CreateToken>,
) -> Result<(StatusCode, Json<NewToken>), Refusal> {
    let tenant = tenant_of(&caller, wanted.tenant.as_deref())?;
    let mut faults = Vec::new();
    if wanted.note.chars().count() > MAX_NOTE {
        faults.push(fault("#/note", format!("a note has at most {MAX_NOTE} characters")));
    }
    if wanted.expires_secs.is_some_and(|secs| !(1..=MAX_SECS).contains(&secs)) {
        faults.push(fault("#/expires_secs", format!("a token lives from 1 to {MAX_SECS} seconds")));
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    let expires_ms = wanted.expires_secs.map(|secs| api.grid.clock.now_ms().saturating_add(secs * 1_000));
    let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
    let request = TokenRequest { scope: wanted.scope, tenant, note: wanted.note, expires_ms };
    Ok((StatusCode::CREATED, Json(tokens::create(&api.grid, request).await?)))
}

/// Makes a token worthless, at once.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", security(("token" = ["admin"])),
    params(("token" = String, Path, description = "the token's id, which is no secret")),
    responses((status = 204, description = "it is no more"), Asked, Guarded, OfJob, Written))]
pub(super) async fn revoke(
    Admin(caller): Admin,
    State(api): State<Arc<Api>>,
    Path(token): Path<String>,
) -> Result<StatusCode, Refusal> {
    let unknown = || Refusal::not_found(format!("there is no token {}", shortened(&token)));
    if caller.tenant.is_some() {
        let known = tokens::list(&api.grid).await?;
        let is_own = known.iter().any(|it| it.id == token && it.tenant == caller.tenant);
        is_own.then_some(()).ok_or_else(unknown)?;
    }
    match tokens::revoke(&api.grid, &token).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}
