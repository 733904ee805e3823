//! What the document says of every route.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use axum::http::Method;
use grid_api::Scope;
use job_manager::http::document;
use serde_json::Value;

/// A method of a path.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: Method,
    /// As the document writes it.
    pub path: String,
    /// What it needs; nothing where anybody may ask.
    pub scope: Option<Scope>,
    /// The status codes that it may answer.
    pub statuses: BTreeSet<u16>,
    /// The media types of bodies that it takes.
    pub takes: BTreeSet<String>,
}

/// All of them.
pub fn operations() -> &'static [Operation] {
    static OPERATIONS: OnceLock<Vec<Operation>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let document = serde_json::to_value(document()).unwrap();
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            operations.extend(methods.as_object().unwrap().iter().map(|(method, it)| operation(path, method, it)));
        }
        assert!(operations.len() >= 34, "the document lists its routes");
        operations
    })
}

fn operation(path: &str, method: &str, said: &Value) -> Operation {
    let scope = said.get("security").map(|it| serde_json::from_value(it[0]["token"][0].clone()).unwrap());
    let statuses = said["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
    let takes = said["requestBody"]["content"].as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
    let method = method.to_uppercase().parse().unwrap();
    Operation { method, path: path.to_owned(), scope, statuses, takes }
}

/// The operation that a request means; none where the document has no such path, or not by that method.
pub fn meant(method: &Method, path: &str) -> Option<&'static Operation> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    operations().iter().find(|it| it.method == *method && it.is_at(path))
}

impl Operation {
    /// What people call it.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn has_places(&self) -> bool {
        self.path.contains('{')
    }

    /// Its path with something in its places; `rest` where it takes the rest of a path.
    pub fn filled(&self, id: &str, rest: &str) -> String {
        let place = |part: &str| match part {
            "{number}" => "1".to_owned(),
            "{path}" | "{item}" | "{stage}" => rest.to_owned(),
            part if part.starts_with('{') => id.to_owned(),
            part => part.to_owned(),
        };
        self.path.split('/').map(place).collect::<Vec<_>>().join("/")
    }

    fn is_at(&self, path: &str) -> bool {
        let (mut asked, mut known) = (path.split('/'), self.path.split('/'));
        loop {
            match (known.next(), asked.next()) {
                (None, None) => return true,
                // These take the rest of the path.
                (Some("{path}" | "{item}"), Some(part)) => return !part.is_empty(),
                (Some(place), Some(part)) if place.starts_with('{') && !part.is_empty() => {}
                (Some(known), Some(part)) if known == part => {}
                _ => return false,
            }
        }
    }
}

#[test]
fn a_request_means_one_operation() {
    let means = |method, path: &str| meant(&method, path).map(|it| it.path.as_str());
    assert_eq!(means(Method::GET, "/v1/jobs"), Some("/v1/jobs"));
    assert_eq!(means(Method::GET, "/v1/jobs/1"), Some("/v1/jobs/{id}"));
    assert_eq!(means(Method::HEAD, "/v1/jobs/1/outputs"), Some("/v1/jobs/{id}/outputs"));
    assert_eq!(means(Method::GET, "/v1/jobs/1/outputs/a/b"), Some("/v1/jobs/{id}/outputs/{path}"));
    assert_eq!(means(Method::GET, "/v1/jobs/1/logs/s"), Some("/v1/jobs/{id}/logs/{stage}"));
    assert_eq!(means(Method::GET, "/v1/jobs/1/logs/s/i/j"), Some("/v1/jobs/{id}/logs/{stage}/{item}"));
    for nothing in ["/v1/jobs/", "/v1", "/v1/jobs/1/", "/v1/jobs/1/nothing"] {
        assert_eq!(means(Method::GET, nothing), None, "{nothing}");
    }
    assert_eq!(means(Method::DELETE, "/v1/jobs"), None);
}
