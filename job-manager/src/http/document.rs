//! The OpenAPI document, which is made of the routes themselves.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use grid_api::{Problem, ProblemError};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::routes;

/// What every route may answer that takes anything at all.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum Asked {
    /// Something in the path, the query, a header or the body cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
}

/// What every route may answer that needs a token.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum Guarded {
    /// The token is missing, unknown, or has expired.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The token does not suffice, or a page of another site asks.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The manager failed; its log has the cause under the `request_id`.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// A back end does not answer: try again after `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What every route of one job may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum OfJob {
    /// There is no such thing, or it is another tenant's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// What a wish may be answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum OfWish {
    /// The job is in a state in which this cannot be done.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
}

/// What every route with a body may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum WithBody {
    /// The body arrived too slowly.
    #[response(status = 408, content_type = "application/problem+json")]
    Timeout(Problem),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
}

/// What every route with a document as its body may answer beside.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum WithDocument {
    /// The body is of another media type.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(Problem),
    /// The body can be read, and cannot be right: `errors` lists every fault.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
}

/// What every route may answer that has something written.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) enum Written {
    /// The store has no room left.
    #[response(status = 507, content_type = "application/problem+json")]
    Full(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "gridmill job manager",
        description = "Submit jobs, watch them, act on them. Errors are problem details (RFC 9457). Lists are paged by an \
            opaque cursor. Times are RFC 3339 in UTC, durations end in `_secs`, sizes in `_bytes` or are `bytes`. Answers \
            may gain fields; requests with unknown fields are refused.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    // Routes that take the rest of a path, which OpenAPI has no word for: they are added to the router by hand.
    paths(super::outputs::get, super::logs::of_item),
    components(schemas(Problem, ProblemError)),
    modifiers(&Tokens),
    tags(
        (name = "jobs", description = "jobs as a whole"),
        (name = "items", description = "the items of a job"),
        (name = "outputs", description = "what a job has written"),
        (name = "uploads", description = "files that are sent before the jobs that read them"),
        (name = "pipelines", description = "pipelines that are kept by name, and the events that start them"),
        (name = "workers", description = "who executes"),
        (name = "tokens", description = "who may do what"),
        (name = "health", description = "for load balancers and monitors"),
    ),
)]
struct Head;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let description = "a token that `gridmill token create` made; not needed on the loopback as long as there is none. \
            The roles are scopes: `read`, `submit`, `admin`, each including those before it";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document without its routes.
pub(super) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = routes().into_openapi();
    let schemas = &mut document.components.get_or_insert_default().schemas;
    name_one_source(schemas);
    demand_pipelines(schemas);
    document
}

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Says of a submission what no type of ours says: that it names one of `pipeline` and `registered`, and not both.
fn name_one_source(schemas: &mut Schemas) {
    let Some(fields) = schemas.remove("SubmitJob") else { return };
    let mut sources = OneOfBuilder::new();
    for (source, schema) in [("pipeline", "PipelineSource"), ("registered", "Registered")] {
        let not_null = Ref::from_schema_name(schema);
        sources = sources.item(ObjectBuilder::new().required(source).property(source, not_null));
    }
    schemas.insert("SubmitJob".to_owned(), AllOfBuilder::new().item(fields).item(sources).into());
}

/// A pipeline is not empty, and has a name and stages; what else it must be no schema of a text can say, and
/// `gridmill schema` does of the rest.
fn demand_pipelines(schemas: &mut Schemas) {
    if let Some(RefOr::T(Schema::OneOf(sources))) = schemas.get_mut("PipelineSource")
        && let [RefOr::T(Schema::Object(text)), RefOr::T(Schema::Object(fields))] = &mut sources.items[..]
    {
        text.min_length = Some(1);
        fields.required = ["name", "stages"].map(str::to_owned).into();
    }
}

/// Shows this document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi_json() -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let make = || serde_json::to_vec(&document()).expect("the document has string keys and finite numbers").into();
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.get_or_init(make).clone()).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_submission_names_one_source_by_its_schema() {
        let document = serde_json::to_value(super::document()).unwrap();
        let parts = &document["components"]["schemas"]["SubmitJob"]["allOf"];
        assert!(parts[0]["properties"]["tenant"].is_object(), "{parts:#}");
        let source = |name: &str, schema: &str| {
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            json!({"type": "object", "required": [name], "properties": {name: schema}})
        };
        let one_of = json!([source("pipeline", "PipelineSource"), source("registered", "Registered")]);
        assert_eq!(parts[1]["oneOf"], one_of);
        let pipeline = &document["components"]["schemas"]["PipelineSource"]["oneOf"];
        assert_eq!((&pipeline[0]["minLength"], &pipeline[1]["required"]), (&json!(1), &json!(["name", "stages"])));
    }
}
