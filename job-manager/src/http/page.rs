//! A page for people who look by with a browser. It holds no data: its script asks the API, like anybody else.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};

/// Nothing but what this manager serves, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The page.
#[utoipa::path(get, path = "/", tag = "health",
    responses((status = 200, description = "the jobs, for people", body = String, content_type = "text/html")))]
pub(super) async fn index() -> Response {
    asset("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// Its script.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

/// Its looks.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("page/page.css"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}
