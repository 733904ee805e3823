//! Where a manager is, and with which token it may be spoken to.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{HeaderValue, InvalidHeaderValue};
use hyper::http::uri::Scheme;

/// Whether a token may go over a connection that others can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only within this machine.
    Loopback,
    /// Anywhere: the user said so.
    Anywhere,
}

/// A manager's address: scheme, host and port, and the path that its routes lie below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    /// Without a slash at its end.
    base: String,
}

/// A token, ready to be sent; never shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

/// Why an address, or a token at it, is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// It cannot be an address.
    #[error("`{0}` is no address of a job manager: write http://HOST:PORT or https://HOST")]
    Invalid(String),
    /// Passwords do not belong into addresses.
    #[error("the address of the job manager holds a password: give a token in GRIDMILL_TOKEN instead")]
    Password,
    /// The token cannot be sent.
    #[error("the token in GRIDMILL_TOKEN has characters that no token has")]
    Token,
    /// Everybody between here and there could read the token.
    #[error("the token in GRIDMILL_TOKEN would go to {0} unencrypted, for everybody on the way to read")]
    Unencrypted(String),
}

impl Address {
    /// Reads `http://HOST[:PORT][/PATH]` or the same with `https`.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        let invalid = || AddressFault::Invalid(text.to_owned());
        let uri: Uri = text.trim().parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        if authority.as_str().contains('@') {
            return Err(AddressFault::Password);
        }
        let is_known = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        if !is_known || authority.host().is_empty() || uri.query().is_some() {
            return Err(invalid());
        }
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { uri, base })
    }

    /// The address of a route: `path` begins with a slash and may have a query.
    pub fn at(&self, path: &str) -> Result<Uri, AddressFault> {
        let mut parts = self.uri.clone().into_parts();
        let whole = format!("{}{path}", self.base);
        parts.path_and_query = Some(whole.parse().map_err(|_| AddressFault::Invalid(whole.clone()))?);
        Uri::from_parts(parts).map_err(|_| AddressFault::Invalid(whole))
    }

    /// As [`at`](Self::at), of a path; and the same address, of a whole one.
    pub fn find(&self, place: &str) -> Result<Uri, AddressFault> {
        match place.starts_with('/') {
            true => self.at(place),
            false => place.parse().map_err(|_| AddressFault::Invalid(place.to_owned())),
        }
    }

    /// Whether `token` may be sent here.
    pub fn check(&self, plain: PlainHttp) -> Result<(), AddressFault> {
        let is_open = self.uri.scheme() == Some(&Scheme::HTTP) && !is_loopback(self.uri.host().unwrap_or_default());
        match is_open && plain == PlainHttp::Loopback {
            true => Err(AddressFault::Unencrypted(self.to_string())),
            false => Ok(()),
        }
    }

    /// Whether that is at the same place: the only one that a token is sent to.
    pub fn is_origin_of(&self, uri: &Uri) -> bool {
        let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        self.uri.scheme() == uri.scheme() && self.uri.host() == uri.host() && port(&self.uri) == port(uri)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

impl Token {
    /// Takes a token as users have it; white space around it is not a part of it.
    pub fn new(text: &str) -> Result<Self, AddressFault> {
        let header = HeaderValue::from_str(&format!("Bearer {}", text.trim()));
        let mut header = header.map_err(|_: InvalidHeaderValue| AddressFault::Token)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The value of the header `Authorization`.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Whether that is this machine, whatever a resolver says.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let by_name = bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost");
    by_name || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_lie_below_the_address() {
        let at = |text: &str| Address::parse(text).unwrap().at("/v1/jobs?state=running").unwrap().to_string();
        assert_eq!(at("http://grid:8080"), "http://grid:8080/v1/jobs?state=running");
        assert_eq!(at("https://proxy/gridmill/"), "https://proxy/gridmill/v1/jobs?state=running");
        let elsewhere = Address::parse("http://grid").unwrap().find("https://store/key?a=b").unwrap();
        assert_eq!(elsewhere, "https://store/key?a=b");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "grid:8080", "ftp://grid", "http://", "/v1", "http://a?b=c"] {
            assert_eq!(Address::parse(text), Err(AddressFault::Invalid(text.to_owned())), "{text}");
        }
        assert_eq!(Address::parse("http://me:secret@grid"), Err(AddressFault::Password));
    }

    #[test]
    fn a_token_goes_unencrypted_within_this_machine_only() {
        let check = |text: &str, plain| Address::parse(text).unwrap().check(plain).is_ok();
        for near in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:8080", "http://a.localhost:1", "https://x"]
        {
            assert!(check(near, PlainHttp::Loopback), "{near}");
        }
        for far in ["http://grid:8080", "http://10.0.0.7", "http://localhost.example.com", "http://[2001:db8::1]"] {
            assert!(!check(far, PlainHttp::Loopback) && check(far, PlainHttp::Anywhere), "{far}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let here = Address::parse("https://grid/base").unwrap();
        let same = |text: &str| here.is_origin_of(&text.parse().unwrap());
        assert!(same("https://grid:443/other"));
        assert!(!same("http://grid/") && !same("https://bucket.grid/") && !same("https://grid:8443/"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::new(" grd_a_b\n").unwrap();
        assert_eq!(token.header(), "Bearer grd_a_b");
        assert!(!format!("{token:?} {:?}", token.header()).contains("grd"));
        assert_eq!(Token::new("a\nb").map(|_| ()), Err(AddressFault::Token));
    }
}
