//! Connections, through the proxy that the environment names for an address: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`, as curl understands them. A proxy is asked for a tunnel, so that it does not see what goes through.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::address::is_loopback;
use super::error::Cause;

/// Connects to addresses, or to the proxies before them.
#[derive(Clone, Debug)]
pub struct Connector {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Connector {
    /// Through these proxies.
    pub fn new(direct: HttpConnector, proxies: Arc<Matcher>) -> Self {
        Self { direct, proxies }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Cause;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        // The connector within keeps nothing between two calls.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let mut direct = self.direct.clone();
        // What is on this machine is no proxy's business, and a token goes there unencrypted.
        let via = self.proxies.intercept(&to).filter(|_| !to.host().is_some_and(is_loopback));
        let Some(via) = via else {
            return async move { Ok(direct.call(to).await?) }.boxed();
        };
        if via.uri().scheme_str() != Some("http") {
            let words = format!("the proxy {} is none that is spoken to by http://", via.uri());
            return async move { Err(words.into()) }.boxed();
        }
        let tunnel = Tunnel::new(via.uri().clone(), direct);
        let mut tunnel = match via.basic_auth() {
            Some(auth) => tunnel.with_auth(auth.clone()),
            None => tunnel,
        };
        async move { Ok(tunnel.call(to).await?) }.boxed()
    }
}
