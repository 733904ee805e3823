//! An endpoint between programs and a server that speaks AWS's language: counts requests by service and operation, and
//! breaks those that a test wants broken. Bodies pass through as they are.
//!
//! Point `AWS_ENDPOINT_URL` to [`Recorder::url`]. It looks at requests only as far as it must to name them; the server
//! sees the host that the client signed.

mod fault;
mod operation;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use infra::requests::Operation;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::fault::Fault;
use self::fault::{Body, Faults};
pub use self::operation::name;

/// An endpoint that is listened to until this is dropped.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    records: Arc<Records>,
    listening: JoinHandle<()>,
}

/// What is known of the requests so far, and what is to happen to the next ones.
#[derive(Debug)]
struct Records {
    server: Authority,
    counts: watch::Sender<BTreeMap<Operation, u64>>,
    /// Whose coming is waited for, and what was counted when it came.
    awaited: Mutex<Option<Awaited>>,
    faults: Mutex<Faults>,
    client: Client<HttpConnector, Incoming>,
}

/// A request that is waited for.
#[derive(Debug)]
struct Awaited {
    ends: String,
    counts: Option<BTreeMap<Operation, u64>>,
}

impl Recorder {
    /// Listens on a free port of the loopback interface, in front of the server at `url`, such as `http://127.0.0.1:4566`.
    pub async fn before(url: &str) -> anyhow::Result<Self> {
        let server: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let server = server.into_parts().authority.with_context(|| format!("`{url}` names no server"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
        let address = listener.local_addr().context("failed to listen")?;
        let records = Arc::new(Records {
            server,
            counts: watch::Sender::default(),
            awaited: Mutex::default(),
            faults: Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        });
        let listening = tokio::spawn(listen(listener, records.clone()));
        Ok(Self { address, records, listening })
    }

    /// What clients dial.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests there were since [`forget`](Self::forget), broken ones included.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        self.records.counts.borrow().clone()
    }

    /// How many of one kind there were, such as `("S3", "PutObject")`.
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        self.counts().get(&named(service, operation)).copied().unwrap_or_default()
    }

    /// Counts from nought again.
    pub fn forget(&self) {
        self.records.counts.send_replace(BTreeMap::new());
    }

    /// Keeps what is counted when a request for a path that ends like this comes, itself included.
    pub fn await_path(&self, ends: &str) {
        *self.awaited() = Some(Awaited { ends: ends.to_owned(), counts: None });
    }

    /// What had been counted when the first such request came.
    pub fn counts_at_path(&self) -> Option<BTreeMap<Operation, u64>> {
        self.awaited().as_ref().and_then(|awaited| awaited.counts.clone())
    }

    fn awaited(&self) -> MutexGuard<'_, Option<Awaited>> {
        self.records.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once there were at least `count` requests of a kind.
    pub async fn reached(&self, service: &str, operation: &str, count: u64) {
        let operation = named(service, operation);
        let is_reached = |counts: &BTreeMap<_, _>| counts.get(&operation).is_some_and(|seen| *seen >= count);
        let mut counts = self.records.counts.subscribe();
        counts.wait_for(is_reached).await.expect("the recorder holds the sender");
    }

    /// Breaks the `nth` request of a kind from now on (1 is the next one).
    pub fn break_nth(&self, service: &str, operation: &str, nth: u64, fault: Fault) {
        self.faults(|faults| faults.add(named(service, operation), nth, fault));
    }

    /// Breaks every request to a service until [`mend`](Self::mend).
    pub fn break_service(&self, service: &str, fault: Fault) {
        self.faults(|faults| faults.add_all(service, fault));
    }

    /// Nothing breaks any more; requests that are held go on.
    pub fn mend(&self) {
        self.faults(Faults::clear);
    }

    fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.records.faults.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn named(service: &str, operation: &str) -> Operation {
    Operation { service: service.to_owned(), name: operation.to_owned() }
}

/// Connections end with their clients, or with the runtime.
async fn listen(listener: TcpListener, records: Arc<Records>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(serve(connection, records.clone()));
    }
}

async fn serve(connection: TcpStream, records: Arc<Records>) {
    let answer = service_fn(move |request| {
        let records = records.clone();
        async move { records.pass(request).await }
    });
    // A connection that breaks is what some tests ask for; others see it in their client.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}

impl Records {
    fn look_for_awaited(&self, path: &str) {
        if let Some(awaited) = self.awaited.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
            && awaited.counts.is_none()
            && path.ends_with(&awaited.ends)
        {
            awaited.counts = Some(self.counts.borrow().clone());
        }
    }

    /// Counts a request and passes it on, unless it is to be broken. An error ends the connection without an answer.
    async fn pass(&self, mut request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let operation = name(&request);
        // The fault is drawn first, so that whoever has seen the count finds it used up.
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).next(&operation);
        self.counts.send_modify(|counts| *counts.entry(operation.clone()).or_default() += 1);
        self.look_for_awaited(request.uri().path());
        if let Some(fault) = &fault
            && let Some(answer) = fault.before().await?
        {
            return Ok(answer);
        }
        let mut target = std::mem::take(request.uri_mut()).into_parts();
        target.scheme = Some(Scheme::HTTP);
        target.authority = Some(self.server.clone());
        *request.uri_mut() = Uri::from_parts(target)?;
        // About this connection, not about the next one.
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        let answer = self.client.request(request).await?.map(|body| body.map_err(anyhow::Error::from).boxed());
        match fault {
            Some(fault) => fault.after(answer),
            None => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests;
