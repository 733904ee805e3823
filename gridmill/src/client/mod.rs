//! Speaks to a job manager over HTTP.
//!
//! What may pass is tried again; what a request asks for is done once all the same. The token goes to the manager and to
//! nobody else, wherever an answer points to.

mod address;
mod answer;
mod api;
mod download;
mod error;
mod form;
mod lines;
mod path;
mod pieces;
mod proxy;
mod retry;
#[cfg(test)]
pub mod tests;
mod transport;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Method, Request, Response, Uri};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use address::{Address, AddressFault, PlainHttp, Token};
pub use api::Wish;
pub use error::ClientError;
pub use form::Form;
pub use path::Route;
pub use pieces::OnBytes;
pub use retry::{Patience, Repeat, chance};
use transport::{Sending, Transport};

/// Without a byte to or fro for so long, a request is given up. Routes that wait by intent say something more often.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer may point on this often: to a store, and there to a region.
const MAX_REDIRECTS: usize = 4;

/// What an answer without a body is awaited as.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("gridmill/", env!("CARGO_PKG_VERSION")));

/// A job manager.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    address: Address,
    token: Option<Token>,
    patience: Patience,
}

/// A request that can be made again.
struct Ask<'a> {
    method: Method,
    route: &'a Route,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &'a (dyn Fn() -> Sending + Sync),
}

impl Client {
    /// A manager and the token for it, if it is safe there. Nothing is sent yet.
    pub fn new(address: Address, token: Option<Token>, plain: PlainHttp) -> Result<Self, AddressFault> {
        if token.is_some() {
            address.check(plain)?;
        }
        Ok(Self { transport: Transport::new(SILENCE), address, token, patience: Patience::default() })
    }

    /// The same with other patience.
    #[cfg(test)]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What is at a route.
    pub async fn get<T: DeserializeOwned>(&self, route: &Route) -> Result<T, ClientError> {
        let ask = Ask { method: Method::GET, route, headers: vec![(ACCEPT, JSON)], body: &Sending::nothing };
        self.patiently(Repeat::Harmless, async || answer::json(&self.transport, self.follow(&ask).await?).await).await
    }

    /// What is at a route, unless there is nothing.
    pub async fn find<T: DeserializeOwned>(&self, route: &Route) -> Result<Option<T>, ClientError> {
        match self.get(route).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Posts something to a route.
    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        self.post_json(route, body, Vec::new(), repeat).await
    }

    /// Posts something under an idempotency key, by which a manager knows a second try.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
        key: &HeaderValue,
    ) -> Result<T, ClientError> {
        self.post_json(route, body, vec![(KEY, key.clone())], Repeat::Harmless).await
    }

    async fn post_json<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| strange(&self.address, error.to_string()))?;
        headers.extend([(ACCEPT, JSON), (CONTENT_TYPE, JSON)]);
        let body = Bytes::from(body);
        let body = || Sending::whole(body.clone());
        let ask = Ask { method: Method::POST, route, headers, body: &body };
        self.patiently(repeat, async || answer::json(&self.transport, self.follow(&ask).await?).await).await
    }

    /// Removes what is at a route; `false` when there was nothing.
    pub async fn delete(&self, route: &Route) -> Result<bool, ClientError> {
        let ask = Ask { method: Method::DELETE, route, headers: vec![(ACCEPT, JSON)], body: &Sending::nothing };
        let gone = self.patiently(Repeat::Harmless, async || self.follow(&ask).await.map(|_| ())).await;
        match gone {
            Ok(()) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Posts a form under an idempotency key.
    pub async fn post_form<T: DeserializeOwned>(
        &self,
        route: &Route,
        form: Form,
        key: &HeaderValue,
        on_bytes: &OnBytes,
    ) -> Result<T, ClientError> {
        let (pieces, kind) = form.finish();
        let length = HeaderValue::from(pieces::total(&pieces));
        let headers = vec![(ACCEPT, JSON), (CONTENT_TYPE, kind), (CONTENT_LENGTH, length), (KEY, key.clone())];
        let body = || pieces::sending(&pieces, on_bytes);
        let ask = Ask { method: Method::POST, route, headers, body: &body };
        self.patiently(Repeat::Harmless, async || answer::json(&self.transport, self.follow(&ask).await?).await).await
    }

    /// Tries until it works, or it makes no sense any more.
    async fn patiently<T>(
        &self,
        repeat: Repeat,
        attempt: impl AsyncFn() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            match self.patience.wait(repeat, failed, &error, retry::chance()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// One exchange, and those that its answer points to; an answer that is a success.
    async fn follow(&self, ask: &Ask<'_>) -> Result<Answer, ClientError> {
        let mut uri = self.address.find(&ask.route.to_string())?;
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.exchange(ask, &uri).await?;
            if answer.head.status().is_success() {
                return Ok(answer);
            }
            // Only what changes nothing is asked for elsewhere.
            let target = if ask.method == Method::GET { answer.points_to(&uri)? } else { None };
            let Some(target) = target else { return Err(answer::refusal(&self.transport, answer).await) };
            uri = target;
        }
        Err(strange(&self.address, format!("it points to another place more than {MAX_REDIRECTS} times")))
    }

    async fn exchange(&self, ask: &Ask<'_>, uri: &Uri) -> Result<Answer, ClientError> {
        let mut request = Request::builder().method(&ask.method).uri(uri).header(USER_AGENT, AGENT);
        // A presigned address is a permission of its own, and a store refuses a second one.
        if let Some(token) = self.token.as_ref().filter(|_| self.address.is_origin_of(uri)) {
            request = request.header(AUTHORIZATION, token.header());
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let Sending { body, sent } = (ask.body)();
        let request = request.body(body).map_err(|error| strange(&self.address, error.to_string()))?;
        let head = self.transport.exchange(request, sent).await?;
        Ok(Answer { host: transport::host(uri), head })
    }
}

/// The head of an answer, and who gave it.
struct Answer {
    host: String,
    head: Response<Incoming>,
}

impl Answer {
    /// Where it sends whoever asked.
    fn points_to(&self, from: &Uri) -> Result<Option<Uri>, ClientError> {
        if !matches!(self.head.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let target = self.head.headers().get(LOCATION).and_then(|target| target.to_str().ok());
        let target = target.and_then(|target| resolved(from, target));
        target
            .map(Some)
            .ok_or_else(|| ClientError::Strange { host: self.host.clone(), what: "it points nowhere".into() })
    }
}

/// An address that may be a path at the same place.
fn resolved(from: &Uri, target: &str) -> Option<Uri> {
    let target: Uri = target.parse().ok()?;
    if target.host().is_some() {
        return matches!(target.scheme_str(), Some("http" | "https")).then_some(target);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

fn strange(address: &Address, what: String) -> ClientError {
    ClientError::Strange { host: address.to_string(), what }
}
