//! A service that answers as a test's script says. It is a part of this process, without sockets, so that the clock can be
//! paused: whatever waits, for another try or for an answer that never comes, takes no time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::{Credentials, RuntimeComponents, SharedCredentialsProvider};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use infra::aws::Clients;
use tokio::time::Instant;

/// What the service does about a request.
#[derive(Debug)]
pub enum Answer {
    /// A status, headers, and a body.
    Says(u16, Vec<(&'static str, String)>, SdkBody),
    /// The connection breaks before anything is heard.
    Breaks,
    /// Nothing, ever.
    Nothing,
    /// Another answer, later.
    Late(Duration, Box<Answer>),
}

/// A request as the service saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Answers one after the other, and what they were given to.
#[derive(Clone, Debug, Default)]
pub struct Service(Arc<Mutex<(VecDeque<Answer>, Vec<Seen>)>>);

impl Service {
    /// A service that gives these answers, and clients of it.
    pub fn that(answers: impl IntoIterator<Item = Answer>) -> (Self, Clients) {
        let service = Self::default();
        service.0.lock().unwrap().0.extend(answers);
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            // The SDK shares what it has learned of a service among all its clients in a region.
            .region(Region::new(format!("test-{}", uuid::Uuid::now_v7())))
            .time_source(PausedTime { begun: Instant::now() })
            .endpoint_url("http://service.test")
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(service.clone());
        (service, Clients::new(&config.build()))
    }

    /// The requests so far; all answers must have been given.
    pub fn seen(&self) -> Vec<Seen> {
        let (left, seen) = &*self.0.lock().unwrap();
        assert!(left.is_empty(), "answers that nobody asked for: {left:?}");
        seen.clone()
    }

    /// What was asked for, in a line each: method and target.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }
}

impl Seen {
    /// A header's value, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The wall clock stands still with the paused one: the SDK measures rates by it.
#[derive(Debug)]
struct PausedTime {
    begun: Instant,
}

impl TimeSource for PausedTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000) + self.begun.elapsed()
    }
}

impl HttpClient for Service {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().map(|body| String::from_utf8_lossy(body).into_owned());
        let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let target = request.uri().strip_prefix("http://service.test").unwrap_or(request.uri()).to_owned();
        let seen = Seen {
            method: request.method().to_owned(),
            target,
            headers: headers.collect(),
            body: body.unwrap_or_default(),
        };
        let (answers, all) = &mut *self.0.lock().unwrap();
        let answer = answers.pop_front().unwrap_or_else(|| panic!("no answer is left for {seen:?}"));
        all.push(seen);
        HttpConnectorFuture::new(async move {
            // A body that nobody takes would be a connection that stands still.
            request.into_body().collect().await.map_err(ConnectorError::io)?;
            give(answer).await
        })
    }
}

async fn give(mut answer: Answer) -> Result<HttpResponse, ConnectorError> {
    loop {
        match answer {
            Answer::Says(status, headers, body) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), body);
                for (name, value) in headers {
                    response.headers_mut().insert(name, value);
                }
                return Ok(response);
            }
            Answer::Breaks => return Err(ConnectorError::io("the connection broke".into())),
            Answer::Nothing => std::future::pending().await,
            Answer::Late(wait, later) => {
                tokio::time::sleep(wait).await;
                answer = *later;
            }
        }
    }
}

/// An answer without a body.
pub fn status(status: u16) -> Answer {
    Answer::Says(status, Vec::new(), SdkBody::empty())
}

/// A success with a body.
pub fn says(body: &str) -> Answer {
    Answer::Says(200, Vec::new(), SdkBody::from(body))
}

/// An error as S3 writes it.
pub fn refuses(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>words</Message></Error>");
    Answer::Says(status, Vec::new(), SdkBody::from(body))
}

/// An error as SQS and DynamoDB write it.
pub fn rejects(status: u16, code: &str) -> Answer {
    Answer::Says(status, Vec::new(), SdkBody::from(format!(r#"{{"__type":"com.amazonaws#{code}","message":"words"}}"#)))
}

/// An object's bytes with its ETag; `promised` bytes are announced, and after those that come the connection breaks.
pub fn object(code: u16, etag: &str, promised: usize, comes: &'static str) -> Answer {
    let mut frames = vec![Ok(Frame::data(Bytes::from_static(comes.as_bytes())))];
    if comes.len() < promised {
        frames.push(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
    }
    let headers = vec![("etag", format!("\"{etag}\"")), ("content-length", promised.to_string())];
    Answer::Says(code, headers, SdkBody::from_body_1_x(StreamBody::new(stream::iter(frames))))
}
