//! A request with its answer, as far as they tell whose they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use infra::requests::Operation;

use super::fault::Body;
use super::operation::name;

/// The header that names what is asked of the services that speak in documents.
pub(super) const TARGET: &str = "x-amz-target";

/// What was asked of a service, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Of which kind it is.
    pub operation: Operation,
    /// Of SQS and DynamoDB the document that was sent; of S3, whose bodies are not looked at, the path.
    pub request: String,
    /// The document that was answered; nothing of S3, and as long as there is none.
    pub answer: String,
}

impl Exchange {
    /// A request that came, and the same to be passed on.
    pub(super) async fn read(request: Request<Incoming>) -> anyhow::Result<(Self, Request<Body>)> {
        let operation = name(&request);
        let (head, body) = request.into_parts();
        let (said, body) = if head.headers.contains_key(TARGET) {
            let body = body.collect().await?.to_bytes();
            (String::from_utf8_lossy(&body).into_owned(), whole(body))
        } else {
            (head.uri.path().to_owned(), passing(body))
        };
        Ok((Self { operation, request: said, answer: String::new() }, Request::from_parts(head, body)))
    }
}

/// How many there are of every kind.
pub(super) fn counts<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> BTreeMap<Operation, u64> {
    let mut counts = BTreeMap::new();
    exchanges.for_each(|exchange| *counts.entry(exchange.operation.clone()).or_default() += 1);
    counts
}

/// A body that was read.
pub(super) fn whole(body: Bytes) -> Body {
    Full::from(body).map_err(|never| match never {}).boxed()
}

/// A body that passes by.
pub(super) fn passing(body: Incoming) -> Body {
    body.map_err(anyhow::Error::from).boxed()
}
