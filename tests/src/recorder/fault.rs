//! What can become of a request, and which request it becomes of.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::bail;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Frame;
use infra::requests::Operation;
use tokio::sync::watch;

/// The body of an answer.
pub(super) type Body = BoxBody<Bytes, anyhow::Error>;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The service never sees it, and the client gets no answer.
    RequestLost,
    /// The service applies it, and the client gets no answer.
    AnswerLost,
    /// The service's answer breaks off after so many bytes of its body.
    AnswerCut(usize),
    /// The service never sees it; the client is told this status, with this code in XML and JSON.
    Refused(u16, &'static str),
    /// It waits, and the client with it, until [`Recorder::mend`](super::Recorder::mend); then the service applies it, unless
    /// the client has given up.
    Held,
}

/// Which requests are to be broken.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// By kind: how many requests still pass, and what becomes of the one after them.
    nth: BTreeMap<Operation, Vec<(u64, Fault)>>,
    services: BTreeMap<String, Fault>,
    mended: watch::Sender<u64>,
}

/// A fault that a request has drawn.
pub(super) struct Drawn {
    fault: Fault,
    mended: watch::Receiver<u64>,
}

impl Faults {
    pub(super) fn add(&mut self, operation: Operation, nth: u64, fault: Fault) {
        self.nth.entry(operation).or_default().push((nth, fault));
    }

    pub(super) fn add_all(&mut self, service: &str, fault: Fault) {
        self.services.insert(service.to_owned(), fault);
    }

    pub(super) fn clear(&mut self) {
        self.nth.clear();
        self.services.clear();
        self.mended.send_modify(|times| *times += 1);
    }

    /// What becomes of a request that has just arrived.
    pub(super) fn next(&mut self, operation: &Operation) -> Option<Drawn> {
        let mut drawn = None;
        if let Some(waiting) = self.nth.get_mut(operation) {
            waiting.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(1));
            if let Some(due) = waiting.iter().position(|(left, _)| *left == 0) {
                drawn = Some(waiting.remove(due).1);
            }
        }
        let fault = drawn.or_else(|| self.services.get(&operation.service).cloned())?;
        let mut mended = self.mended.subscribe();
        mended.mark_unchanged();
        Some(Drawn { fault, mended })
    }
}

impl Drawn {
    /// Before the service sees the request: an answer instead of its own, or an error that ends the connection.
    pub(super) async fn before(&self) -> anyhow::Result<Option<Response<Body>>> {
        match &self.fault {
            Fault::RequestLost => bail!("the request is lost"),
            Fault::Refused(status, code) => refusal(*status, code).map(Some),
            Fault::Held => {
                self.mended.clone().changed().await?;
                Ok(None)
            }
            Fault::AnswerLost | Fault::AnswerCut(_) => Ok(None),
        }
    }

    /// What the client gets to see of the service's answer.
    pub(super) fn after(self, answer: Response<Body>) -> anyhow::Result<Response<Body>> {
        match self.fault {
            Fault::AnswerLost => bail!("the answer is lost"),
            Fault::AnswerCut(left) => Ok(answer.map(|body| Cut { body, left, is_sent: false }.boxed())),
            Fault::RequestLost | Fault::Refused(..) | Fault::Held => Ok(answer),
        }
    }
}

/// Both ways in which services say it: clients of S3 read the XML, the others the header.
fn refusal(status: u16, code: &str) -> anyhow::Result<Response<Body>> {
    let body = format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>");
    let body = Full::from(body).map_err(|never| match never {}).boxed();
    Ok(Response::builder().status(status).header("x-amzn-errortype", code).body(body)?)
}

/// A body that breaks off.
struct Cut {
    body: Body,
    left: usize,
    /// Whether what came before was given to the connection.
    is_sent: bool,
}

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = anyhow::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, anyhow::Error>>> {
        if self.left == 0 && !self.is_sent {
            // The connection sends what it has when there is no more for now, and forgets it when the body fails.
            self.is_sent = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(Some(Err(anyhow::anyhow!("the answer is cut"))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let Ok(mut data) = frame?.into_data() else { bail!("a cut answer has no trailers") };
            data.truncate(self.left);
            self.left -= data.len();
            Ok(Frame::data(data))
        }))
    }
}
