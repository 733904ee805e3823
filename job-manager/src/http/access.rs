//! Who asks, and what they may do: tokens, tenants, and what keeps other web sites out where nobody needs a token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use grid_api::Scope;
use grid_core::ids::JobId;
use grid_core::rows::JobRow;
use uuid::Uuid;

use super::Api;
use super::problem::Refusal;
use super::query;
use crate::control::{ControlError, head};
use crate::tokens;

const CHALLENGE: &str = r#"Bearer realm="gridmill""#;
const INVALID_TOKEN: &str = r#"Bearer realm="gridmill", error="invalid_token""#;

/// Who may do anything at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever has a token.
    Tokens,
    /// As long as there is no token, whoever is on this machine and asks by one of these names. For listeners on the
    /// loopback only.
    ThisMachine(Names),
}

/// Host names, beside those of the loopback, by which this manager is asked: any other name may be that of a web site
/// which made a browser on this machine look here (DNS rebinding).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    scope: Scope,
    /// The tenant that the caller acts for; all without it.
    pub tenant: Option<String>,
}

/// A caller who may look.
pub(super) struct Reader(pub Caller);

/// A caller who may submit jobs, and act on them.
pub(super) struct Submitter(pub Caller);

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        admitted(parts, api, Scope::Read).await.map(Self)
    }
}

/// A caller who may see and do everything, of its tenant or of all.
pub(super) struct Admin(pub Caller);

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        admitted(parts, api, Scope::Admin).await.map(Self)
    }
}

impl FromRequestParts<Arc<Api>> for Submitter {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        admitted(parts, api, Scope::Submit).await.map(Self)
    }
}

impl Caller {
    fn with(self, needed: Scope) -> Result<Self, Refusal> {
        if self.scope >= needed {
            return Ok(self);
        }
        let word = |scope| match scope {
            Scope::Read => "read",
            Scope::Submit => "submit",
            Scope::Admin => "admin",
        };
        let (has, needs) = (word(self.scope), word(needed));
        Err(Refusal::forbidden(format!("this needs a token with scope `{needs}`; yours has `{has}`")))
    }

    /// Whether the caller may know of what is that tenant's.
    pub fn acts_for(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
    }

    /// Whether there is such a job, and the caller may know of it.
    pub async fn may_see(&self, api: &Api, job: &JobId) -> Result<bool, Refusal> {
        match head(&api.grid, job).await {
            Ok(row) => Ok(self.acts_for(&row.tenant)),
            Err(ControlError::NotFound(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The job of that id, if there is one that the caller may know of.
    pub async fn job(&self, api: &Api, id: &str) -> Result<(JobId, JobRow), Refusal> {
        let unknown = || Refusal::not_found(format!("there is no job {}", shortened(id)));
        if !is_job_id(id) {
            return Err(unknown());
        }
        let job = JobId::new(id);
        match head(&api.grid, &job).await {
            Ok(row) if self.acts_for(&row.tenant) => Ok((job, row)),
            Ok(_) | Err(ControlError::NotFound(_)) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a text may be the id of a job.
pub(super) fn is_job_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

/// The beginning of what a client sent, to be said back.
pub(super) fn shortened(text: &str) -> String {
    format!("`{}`", beginning(text))
}

/// The same without quotes.
pub(super) fn beginning(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// Who asks, when that suffices and the query has what the route takes.
async fn admitted(parts: &Parts, api: &Api, needed: Scope) -> Result<Caller, Refusal> {
    let caller = caller(parts, api).await?.with(needed)?;
    query::check(parts)?;
    Ok(caller)
}

async fn caller(parts: &Parts, api: &Api) -> Result<Caller, Refusal> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let text = header.to_str().ok().and_then(bearer);
        let Some(text) = text else {
            return Err(Refusal::unauthorized("the header Authorization must be `Bearer TOKEN`", INVALID_TOKEN));
        };
        let token = tokens::verify(&api.grid, text).await?;
        let unknown = || Refusal::unauthorized("there is no such token, or it has expired", INVALID_TOKEN);
        return token.map(|token| Caller { scope: token.scope, tenant: token.tenant }).ok_or_else(unknown);
    }
    let Access::ThisMachine(names) = &api.access else { return Err(missing()) };
    if tokens::any(api.grid.state.as_ref(), api.grid.clock.as_ref()).await? {
        return Err(missing());
    }
    check_host(parts, names)?;
    check_origin(parts)?;
    Ok(Caller { scope: Scope::Admin, tenant: None })
}

fn missing() -> Refusal {
    Refusal::unauthorized("send a token: `Authorization: Bearer grd_..`; `gridmill token create` makes one", CHALLENGE)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn check_host(parts: &Parts, names: &Names) -> Result<(), Refusal> {
    let Some(authority) = authority(parts) else {
        return Err(Refusal::forbidden("the header Host is missing"));
    };
    let name = host_of(authority);
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_loopback || name.eq_ignore_ascii_case("localhost") || names.0.iter().any(|it| it.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let detail = "without a token this manager is asked as localhost only; other names are set by GRIDMILL_HOSTS";
    Err(Refusal::forbidden(detail))
}

/// Refuses what a page of another site made a browser send.
fn check_origin(parts: &Parts) -> Result<(), Refusal> {
    let site = parts.headers.get("sec-fetch-site").map(|value| value.as_bytes());
    let is_other_site = site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
    let origin = parts.headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let is_other_origin = origin.is_some_and(|origin| {
        origin.split_once("://").map(|(_, host)| host).is_none_or(|host| Some(host) != authority(parts))
    });
    if is_other_site || is_other_origin {
        return Err(Refusal::forbidden("without a token no page of another site may ask this manager"));
    }
    Ok(())
}

/// Host and port as the client sees them.
fn authority(parts: &Parts) -> Option<&str> {
    let from_uri = parts.uri.authority().map(|authority| authority.as_str());
    from_uri.or_else(|| parts.headers.get(HOST)?.to_str().ok())
}

/// The host of `host:port`; an IPv6 address without its brackets.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/v1/jobs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn this_machine_is_asked_by_its_own_names_only() {
        let names = Names(vec!["grid.example".into()]);
        for host in ["localhost", "LOCALHOST:8470", "127.0.0.1:8470", "127.8.9.1", "[::1]:8470", "grid.example:80"] {
            assert!(check_host(&parts(&[("host", host)]), &names).is_ok(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8470", "10.0.0.1", "", "[::2]:1", "127.0.0.1.evil.example"]
        {
            assert!(check_host(&parts(&[("host", host)]), &names).is_err(), "{host}");
        }
        assert!(check_host(&parts(&[]), &names).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let host = ("host", "localhost:8470");
        for good in [&[host][..], &[host, ("origin", "http://localhost:8470")], &[host, ("sec-fetch-site", "none")]] {
            assert!(check_origin(&parts(good)).is_ok(), "{good:?}");
        }
        let others =
            ["http://localhost:3000", "https://evil.example", "null", "", "http://localhost:8470.evil.example"];
        for origin in others {
            assert!(check_origin(&parts(&[host, ("origin", origin)])).is_err(), "{origin}");
        }
        for site in ["cross-site", "same-site", "?"] {
            assert!(check_origin(&parts(&[host, ("sec-fetch-site", site)])).is_err(), "{site}");
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        assert!(is_job_id("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e"));
        for text in ["", "x", "0198C5A2-7b1e-7c3a-9d42-5f0a1b2c3d4e", "0198c5a27b1e7c3a9d425f0a1b2c3d4e", "../META"] {
            assert!(!is_job_id(text), "{text}");
        }
    }
}
