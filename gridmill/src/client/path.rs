//! Paths and queries of routes, with whatever is in a name.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the letters that mean nothing in any part of an address (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a route, and its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    path: String,
    query: String,
}

impl Route {
    /// `/v1/` and these parts; a slash within a part is a letter like any other.
    pub fn v1<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let parts = parts.into_iter().map(|part| format!("/{}", utf8_percent_encode(part, RESERVED)));
        Self { path: format!("/v1{}", parts.collect::<String>()), query: String::new() }
    }

    /// A path that the manager itself has given, or an address elsewhere.
    pub fn given(place: &str) -> Self {
        Self { path: place.to_owned(), query: String::new() }
    }

    /// With a value in the query.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let between = if self.query.is_empty() { "?" } else { "&" };
        self.query.push_str(&format!("{between}{name}={}", utf8_percent_encode(value, RESERVED)));
        self
    }

    /// With a value in the query, if there is one.
    pub fn query_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let route = Route::v1(["jobs", "a/../b?c", "ü"])
            .query("where", "a=b&c")
            .query_some("cursor", None)
            .query_some("x", Some("1"));
        assert_eq!(route.to_string(), "/v1/jobs/a%2F..%2Fb%3Fc/%C3%BC?where=a%3Db%26c&x=1");
    }
}
