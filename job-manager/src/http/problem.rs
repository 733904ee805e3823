//! Refusals: answers of 400 and more, as problem details (RFC 9457). Clients get our words; causes go to the log.

use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use grid_api::{Problem, ProblemError};
use infra::ErrorKind;
use infra::inputs::InputError;

use crate::ManagerError;
use crate::control::ControlError;
use crate::error::with_causes;
use crate::view::outputs::WalkError;

/// The media type of problem details.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds after which a client may try again what a back end had no answer for.
const RETRY_AFTER_SECS: &str = "2";

/// The kind of a problem, where the status does not say it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The status says it all.
    Plain,
    /// A part of the request cannot be right.
    InvalidRequest,
    /// The job is in a state in which this cannot be done.
    JobState,
    /// The idempotency key was used for another body.
    IdempotencyKey,
    /// A back end does not answer.
    BackEnd,
}

impl Kind {
    fn uri(self) -> &'static str {
        match self {
            Self::Plain => "about:blank",
            Self::InvalidRequest => "urn:gridmill:problem:invalid-request",
            Self::JobState => "urn:gridmill:problem:job-state",
            Self::IdempotencyKey => "urn:gridmill:problem:idempotency-key",
            Self::BackEnd => "urn:gridmill:problem:back-end",
        }
    }

    fn title(self, status: StatusCode) -> &'static str {
        match self {
            Self::Plain => status.canonical_reason().unwrap_or("refused"),
            Self::InvalidRequest => "the request cannot be right",
            Self::JobState => "the job's state does not allow it",
            Self::IdempotencyKey => "the idempotency key was used for another request",
            Self::BackEnd => "a back end of the manager does not answer",
        }
    }
}

/// An answer of 400 or more.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: Kind,
    detail: String,
    errors: Vec<ProblemError>,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    /// One that its status explains.
    pub fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::of(status, Kind::Plain, detail)
    }

    fn of(status: StatusCode, kind: Kind, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// There is no such thing, or it is not the caller's to know of.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, detail)
    }

    /// Who asks is not known; `challenge` says to the client what is missing.
    pub fn unauthorized(detail: impl Into<String>, challenge: &'static str) -> Self {
        let header = Some((WWW_AUTHENTICATE, challenge));
        Self { header, ..Self::plain(StatusCode::UNAUTHORIZED, detail) }
    }

    /// Who asks is known and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::FORBIDDEN, detail)
    }

    /// The request cannot be read: syntax.
    pub fn malformed(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::faulty(StatusCode::BAD_REQUEST, vec![fault(pointer, message)])
    }

    /// The request can be read, and cannot be right. At least one fault.
    pub fn invalid(errors: Vec<ProblemError>) -> Self {
        Self::faulty(StatusCode::UNPROCESSABLE_ENTITY, errors)
    }

    /// Faults with their places.
    pub fn faulty(status: StatusCode, errors: Vec<ProblemError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.message.clone(),
            several => format!("{} faults were found", several.len()),
        };
        Self { errors, ..Self::of(status, Kind::InvalidRequest, detail) }
    }

    /// The idempotency key stands for another request.
    pub fn other_body() -> Self {
        let detail = "this Idempotency-Key was used for a request with another body: take a new key for a new job";
        Self::of(StatusCode::UNPROCESSABLE_ENTITY, Kind::IdempotencyKey, detail)
    }

    /// The manager has not reached yet what it stands on.
    pub fn not_ready() -> Self {
        let detail = "the manager waits for what it stands on: /readyz says for what";
        let refusal = Self::of(StatusCode::SERVICE_UNAVAILABLE, Kind::BackEnd, detail);
        Self { header: Some((RETRY_AFTER, RETRY_AFTER_SECS)), ..refusal }
    }

    /// Something is broken that no client can mend; the log has the cause.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = with_causes(error), "a request failed");
        let detail = "the manager failed; its log has the cause under this request_id";
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Whether the fault is not the client's.
    pub fn is_internal(&self) -> bool {
        self.status.is_server_error()
    }

    fn problem(&self) -> Problem {
        Problem {
            kind: self.kind.uri().to_owned(),
            title: self.kind.title(self.status).to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            request_id: None,
        }
    }
}

/// One fault of a request.
pub(super) fn fault(pointer: impl Into<String>, message: impl Into<String>) -> ProblemError {
    ProblemError { pointer: pointer.into(), message: message.into() }
}

/// A step of a JSON pointer (RFC 6901).
pub(super) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl IntoResponse for Refusal {
    /// The body is written by [`complete`], which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self.problem());
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Gives an answer of 400 or more its body, whoever refused the request.
pub(super) fn complete(response: Response, request_id: &str) -> Response {
    let status = response.status();
    let is_ours = response.extensions().get::<Problem>().is_some();
    if !is_ours && (status.as_u16() < 400 || has_own_body(&response)) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let known = parts.extensions.remove::<Problem>();
    let mut problem = known.unwrap_or_else(|| Refusal::plain(status, words_of(status)).problem());
    problem.request_id = Some(request_id.to_owned()).filter(|id| !id.is_empty());
    let body = serde_json::to_vec(&problem).expect("a problem has string keys only");
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    Response::from_parts(parts, body.into())
}

/// Whether a route answered with a document of its own, such as `/readyz`.
fn has_own_body(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/"))
}

fn words_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body is longer than this path takes",
        StatusCode::REQUEST_TIMEOUT => "the request took too long to arrive",
        _ => status.canonical_reason().unwrap_or("refused"),
    }
}

impl From<infra::Error> for Refusal {
    fn from(error: infra::Error) -> Self {
        match error.kind {
            ErrorKind::Throttled | ErrorKind::Unavailable => {
                tracing::warn!(error = with_causes(&error), "a back end did not answer a request");
                let detail = "the manager's store did not answer in time: try again in a moment";
                let refusal = Self::of(StatusCode::SERVICE_UNAVAILABLE, Kind::BackEnd, detail);
                Self { header: Some((RETRY_AFTER, RETRY_AFTER_SECS)), ..refusal }
            }
            ErrorKind::Full => {
                tracing::error!(error = with_causes(&error), "a back end has no room left");
                Self::of(StatusCode::INSUFFICIENT_STORAGE, Kind::BackEnd, "the manager's store has no room left")
            }
            ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Denied | ErrorKind::Invalid => {
                Self::internal(&error)
            }
        }
    }
}

impl From<ManagerError> for Refusal {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::Store(error) => error.into(),
            ManagerError::Fenced | ManagerError::Damaged { .. } => Self::internal(&error),
        }
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound(_) => Self::not_found(error.to_string()),
            ControlError::Conflict { .. } => Self::of(StatusCode::CONFLICT, Kind::JobState, error.to_string()),
            ControlError::Invalid(wrong) => {
                Self::invalid(wrong.into_iter().map(|it| fault(format!("#{}", it.pointer), it.message)).collect())
            }
            ControlError::Manager(error) => error.into(),
        }
    }
}

impl From<WalkError> for Refusal {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Store(error) => error.into(),
            WalkError::Name(fault) => Self::of(StatusCode::CONFLICT, Kind::JobState, fault.to_string()),
        }
    }
}

/// What is wrong with an input as a fault at `pointer`, unless a store failed.
pub(super) fn input_fault(error: InputError, pointer: String) -> Result<ProblemError, Refusal> {
    match error {
        InputError::Store(error) => Err(error.into()),
        other => Ok(fault(pointer, other.to_string())),
    }
}
