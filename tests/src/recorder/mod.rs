//! An endpoint between programs and a server that speaks AWS's language: keeps what is asked of which service, and breaks
//! what a test wants broken. Bodies pass through as they are.
//!
//! Point `AWS_ENDPOINT_URL` to [`Recorder::url`]. The server sees the host that the client signed.

mod exchange;
mod fault;
mod operation;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

pub use self::exchange::Exchange;
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
    /// By the order in which they came.
    kept: watch::Sender<BTreeMap<u64, Exchange>>,
    number: AtomicU64,
    faults: Mutex<Faults>,
    client: Client<HttpConnector, Body>,
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
            kept: watch::Sender::default(),
            number: AtomicU64::default(),
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

    /// What was asked since [`forget`](Self::forget), broken requests included.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.records.kept.borrow().values().cloned().collect()
    }

    /// How many requests there were of every kind.
    pub fn counts(&self) -> BTreeMap<Operation, u64> {
        exchange::counts(self.records.kept.borrow().values())
    }

    /// How many of one kind there were, such as `("S3", "PutObject")`.
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        self.counts().get(&named(service, operation)).copied().unwrap_or_default()
    }

    /// Counts from nought again.
    pub fn forget(&self) {
        self.records.kept.send_replace(BTreeMap::new());
    }

    /// Returns once this holds for what was asked and answered, and answers it as it was then.
    pub async fn until(&self, holds: impl Fn(&[Exchange]) -> bool) -> Vec<Exchange> {
        let mut kept = self.records.kept.subscribe();
        loop {
            let exchanges: Vec<Exchange> = kept.borrow_and_update().values().cloned().collect();
            if holds(&exchanges) {
                return exchanges;
            }
            kept.changed().await.expect("the recorder holds the sender");
        }
    }

    /// Returns once there were at least `count` requests of a kind.
    pub async fn reached(&self, service: &str, operation: &str, count: u64) {
        let operation = named(service, operation);
        self.until(|kept| kept.iter().filter(|kept| kept.operation == operation).count() as u64 >= count).await;
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
    /// Keeps a request and passes it on, unless it is to be broken. An error ends the connection without an answer.
    async fn pass(&self, request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
        let (asked, mut request) = Exchange::read(request).await?;
        // The fault is drawn first, so that whoever has seen the count finds it used up.
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).next(&asked.operation);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.kept.send_modify(|kept| _ = kept.insert(number, asked));
        if let Some(fault) = &fault
            && let Some(answer) = fault.before().await?
        {
            return Ok(answer);
        }
        let is_document = request.headers().contains_key(exchange::TARGET);
        let mut target = std::mem::take(request.uri_mut()).into_parts();
        target.scheme = Some(Scheme::HTTP);
        target.authority = Some(self.server.clone());
        *request.uri_mut() = Uri::from_parts(target)?;
        // About this connection, not about the next one.
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        let answer = self.client.request(request).await?;
        let answer = if is_document { self.keep_answer(number, answer).await? } else { answer.map(exchange::passing) };
        match fault {
            Some(fault) => fault.after(answer),
            None => Ok(answer),
        }
    }

    /// Of what was forgotten meanwhile, nothing is kept.
    async fn keep_answer(&self, number: u64, answer: Response<Incoming>) -> anyhow::Result<Response<Body>> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        self.kept.send_modify(|kept| {
            if let Some(exchange) = kept.get_mut(&number) {
                exchange.answer = String::from_utf8_lossy(&body).into_owned();
            }
        });
        Ok(Response::from_parts(head, exchange::whole(body)))
    }
}

#[cfg(test)]
mod tests;
