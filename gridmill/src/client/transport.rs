//! One HTTP exchange: a request goes out, the head of an answer comes back. No retries and no redirects.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use super::error::{Cause, ClientError};
use super::pieces::FileFault;
use super::proxy::Connector;

/// Until a connection must stand.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection that was not used for so long may be gone without a word: proxies forget them after a minute.
const IDLE: Duration = Duration::from_secs(30);

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Connections to managers and stores, kept for the next request.
#[derive(Debug)]
pub struct Transport {
    plain: Client<Connector, Body>,
    /// Made when it is needed first: a machine without root certificates can still speak to itself.
    encrypted: OnceLock<Client<HttpsConnector<Connector>, Body>>,
    connector: Connector,
    /// Without a byte to or fro for so long, an exchange is given up.
    silence: Duration,
}

/// A body and a count of how much of it has been sent, by which a slow upload is told from a dead one.
pub struct Sending {
    /// The body.
    pub body: Body,
    /// Grows while the body is sent.
    pub sent: watch::Receiver<u64>,
}

impl Sending {
    /// A body that is there at once.
    pub fn whole(bytes: Bytes) -> Self {
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Self { body, sent: watch::channel(0).1 }
    }

    /// No body.
    pub fn nothing() -> Self {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self { body, sent: watch::channel(0).1 }
    }
}

impl Transport {
    /// No connection yet.
    pub fn new(silence: Duration) -> Self {
        Self::through(Arc::new(Matcher::from_env()), silence)
    }

    /// As [`new`](Self::new), through these proxies instead of the environment's.
    pub fn through(proxies: Arc<Matcher>, silence: Duration) -> Self {
        let connector = connector(proxies);
        Self { plain: builder().build(connector.clone()), encrypted: OnceLock::new(), connector, silence }
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    pub async fn exchange(
        &self,
        request: Request<Body>,
        mut sent: watch::Receiver<u64>,
    ) -> Result<Response<Incoming>, ClientError> {
        let host = host(request.uri());
        let answer = if request.uri().scheme() == Some(&Scheme::HTTPS) {
            self.encrypted(&host)?.request(request)
        } else {
            self.plain.request(request)
        };
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return answer.map_err(|error| failed(host, error)),
                Ok(()) = sent.changed() => {}
                () = tokio::time::sleep(self.silence) => return Err(ClientError::Silent { host, silence: self.silence }),
            }
        }
    }

    /// The next piece of an answer's body; `None` at its end.
    pub async fn piece(&self, host: &str, body: &mut Incoming) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = tokio::time::timeout(self.silence, body.frame()).await;
            let frame = frame.map_err(|_| ClientError::Silent { host: host.to_owned(), silence: self.silence })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken { host: host.to_owned(), source: error.into() }),
                // Trailers say nothing that we ask for.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    fn encrypted(&self, host: &str) -> Result<&Client<HttpsConnector<Connector>, Body>, ClientError> {
        if let Some(client) = self.encrypted.get() {
            return Ok(client);
        }
        let roots = HttpsConnectorBuilder::new().with_native_roots();
        let roots = roots.map_err(|error| ClientError::Unreachable { host: host.to_owned(), source: error.into() })?;
        let tls = roots.https_only().enable_http1().wrap_connector(self.connector.clone());
        Ok(self.encrypted.get_or_init(|| builder().build(tls)))
    }
}

/// Scheme, host and port of an address, for people.
pub fn host(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("http"))
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
    builder
}

fn connector(proxies: Arc<Matcher>) -> Connector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    Connector::new(connector, proxies)
}

fn failed(host: String, error: hyper_util::client::legacy::Error) -> ClientError {
    match (FileFault::behind(&error), error.is_connect()) {
        (Some(fault), _) => ClientError::File(fault.to_string()),
        (None, true) => ClientError::Unreachable { host, source: innermost(error) },
        (None, false) => ClientError::Broken { host, source: innermost(error) },
    }
}

/// The last cause: those before it say no more than that something could not be sent.
fn innermost(error: hyper_util::client::legacy::Error) -> Cause {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().into()
}
