//! The accept loop, over a real network; its clock is paused, so that a time-out is a matter of moments.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::routing::{MethodRouter, get, post};
use infra::{BackEnd, ErrorKind, NotOpen};
use job_manager::http::{Limits, Starting, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::site::{Site, TWO};

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, limits: Limits, stop: CancellationToken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, stop: stop.clone(), ended: tokio::spawn(serve(listener, router, limits, stop)) }
    }

    async fn of(router: Router) -> Self {
        Self::start(router, Limits::default(), CancellationToken::new()).await
    }

    /// Says something, and hears everything until the connection is closed.
    async fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        hear(&mut stream).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap();
    }
}

/// Says when it was asked, and answers after some time.
fn slow_route(begun: Arc<Notify>, time: Duration) -> MethodRouter {
    get(move || async move {
        begun.notify_one();
        sleep(time).await;
        "done"
    })
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_follow_each_other_on_one_connection_until_it_is_idle() {
    let site = Site::new();
    let server = Server::start(site.router.clone(), Limits::default(), site.stop.clone()).await;
    let heard = server.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 2, "{heard}");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let server = Server::of(Site::new().router).await;
    let before = Instant::now();
    let heard = server.say("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(!heard.contains("200"), "{heard}");
    assert!(before.elapsed() >= Limits::default().head);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_go_on_is_answered_with_408() {
    let server = Server::of(Site::new().router).await;
    let head =
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let heard = server.say(head).await;
    assert!(heard.starts_with("HTTP/1.1 408 ") && heard.contains("application/problem+json"), "{heard}");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_arrives_slowly_but_steadily_is_taken() {
    let echo = post(async |request: Request| to_bytes(request.into_body(), 100).await.unwrap());
    let server = Server::of(Router::new().route("/", echo)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    for byte in b"abcde" {
        sleep(Limits::default().body_pause / 2).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    let heard = hear(&mut stream).await;
    assert!(heard.ends_with("abcde"), "{heard}");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_heard_to_its_end_and_the_next_one_follows_on_its_connection() {
    let server = Server::of(Site::new().router).await;
    for refused in ["POST /v1/nothing", "POST /v1/jobs/x/cancel", "DELETE /v1/jobs", "GET /healthz"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("{refused} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{{   }}{next}").as_bytes()).await.unwrap();
        let heard = hear(&mut stream).await;
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 2, "{refused}: {heard}");
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_body_that_is_refused_is_not_waited_for() {
    let server = Server::of(Site::new().router).await;
    let heard = server.say("POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194305\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 404"), "{heard}");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_there_are_places_wait() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Server::start(Site::new().router, limits, CancellationToken::new()).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let before = Instant::now();
    let second = server.say("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(second.starts_with("HTTP/1.1 200"), "{second}");
    assert!(before.elapsed() >= limits.head, "the first one was idle for that long");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_in_hand_are_given_when_the_manager_ends_and_idle_connections_are_closed() {
    let begun = Arc::new(Notify::new());
    let slow = slow_route(begun.clone(), Duration::from_secs(5));
    let server = Server::of(Router::new().route("/", slow)).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    server.stop.cancel();
    let heard = hear(&mut busy).await;
    assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with("done"), "{heard}");
    assert_eq!(hear(&mut idle).await, "");
    let address = server.address;
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_does_not_hold_the_end_up() {
    let begun = Arc::new(Notify::new());
    let never = slow_route(begun.clone(), Duration::from_secs(86_400));
    let server = Server::of(Router::new().route("/", never)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    let before = Instant::now();
    server.stop().await;
    assert_eq!(before.elapsed().as_secs(), Limits::default().farewell.as_secs());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    let server = Server::start(site.router.clone(), Limits::default(), site.stop.clone()).await;
    let heard = server.say("\u{16}\u{3}\u{1}\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 400"), "{heard}");
    let good = format!("GET /v1/jobs/{job} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(server.say(&good).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_served_before_everything_else_is() {
    let starting = Starting::default();
    let server = Server::of(starting.router()).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(server.say(&get("/healthz")).await.starts_with("HTTP/1.1 200"));
    assert!(server.say(&get("/readyz")).await.contains(r#"{"name":"state","ready":false,"fault":"opening"}"#));
    let down = infra::Error::new(ErrorKind::Unavailable, "dispatch failure: connection to 10.0.0.7 refused");
    starting.waits_for(&NotOpen::by(BackEnd::State, down));
    let ready = server.say(&get("/readyz")).await;
    let words = "the table that GRIDMILL_TABLE names (DynamoDB) does not answer: look at the network";
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(words) && !ready.contains("10.0.0.7"), "{ready}");
    assert!(ready.contains(r#"{"name":"objects","ready":true}"#), "{ready}");
    let jobs = server.say(&get("/v1/jobs")).await;
    assert!(jobs.starts_with("HTTP/1.1 503") && jobs.contains("application/problem+json"), "{jobs}");
    starting.is_open(Site::new().router);
    assert!(server.say(&get("/readyz")).await.starts_with("HTTP/1.1 200"));
    assert!(server.say(&get("/v1/jobs")).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}
