//! What each route takes in its query, as the document says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{PathItem, RefOr, Required};

use super::document;

/// Whether a parameter may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// The parameters of a query, by name.
pub(super) type Parameters = BTreeMap<String, Need>;

/// What a route takes in its query; `path` as the router writes it.
pub(super) fn query_of(method: &Method, path: &str) -> &'static Parameters {
    static NONE: Parameters = Parameters::new();
    static ALL: OnceLock<BTreeMap<String, BTreeMap<&'static str, Parameters>>> = OnceLock::new();
    let all = ALL.get_or_init(|| document().paths.paths.into_iter().map(|(path, it)| (path, queries(it))).collect());
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    all.get(&path.replace("{*", "{")).and_then(|methods| methods.get(method)).unwrap_or(&NONE)
}

fn queries(path: PathItem) -> BTreeMap<&'static str, Parameters> {
    let operations = [("GET", path.get), ("PUT", path.put), ("POST", path.post), ("DELETE", path.delete)];
    operations.into_iter().filter_map(|(method, operation)| Some((method, query(operation?)))).collect()
}

fn query(operation: Operation) -> Parameters {
    let of_query = |it| match it {
        RefOr::T(Parameter { parameter_in: ParameterIn::Query, name, required, .. }) => {
            Some((name, if required == Required::True { Need::Required } else { Need::Optional }))
        }
        RefOr::T(_) | RefOr::Ref(_) => None,
    };
    operation.parameters.unwrap_or_default().into_iter().filter_map(of_query).collect()
}
