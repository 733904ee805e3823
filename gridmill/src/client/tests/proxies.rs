//! Managers behind a proxy.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper_util::client::proxy::matcher::Matcher;

use super::scripted::{Scripted, answer};
use crate::client::ClientError;
use crate::client::transport::{Sending, Transport};

async fn ask(proxies: Matcher, uri: &str) -> Result<u16, ClientError> {
    let transport = Transport::through(Arc::new(proxies), Duration::from_secs(60));
    let Sending { body, sent } = Sending::nothing();
    let answer = transport.exchange(Request::get(uri).body(body).unwrap(), sent).await?;
    Ok(answer.status().as_u16())
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel() {
    let proxy = Scripted::start([answer(407, &[], ""), answer(403, &[], "")]).await;
    let with_password = proxy.address().replace("://", "://me:secret@");
    for uri in ["https://grid.example/v1/jobs", "http://grid.example:8470/v1/jobs"] {
        let error = ask(Matcher::builder().all(with_password.as_str()).build(), uri).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    }
    let asked = proxy.asked();
    assert_eq!([&asked[0].line, &asked[1].line], ["CONNECT grid.example:443", "CONNECT grid.example:8470"]);
    assert_eq!(asked[0].header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
}

#[tokio::test]
async fn this_machine_is_spoken_to_without_one() {
    let server = Scripted::start([answer(204, &[], "")]).await;
    let uri = format!("{}/healthz", server.address());
    assert_eq!(ask(Matcher::builder().all("http://127.0.0.1:1").build(), &uri).await.unwrap(), 204);
    server.asked();
}

#[tokio::test]
async fn a_proxy_of_another_kind_is_refused_by_name() {
    let error = ask(Matcher::builder().all("socks5://127.0.0.1:1").build(), "https://grid.example/").await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { source, .. } if source.to_string().contains("socks5://")),
        "{error:?}"
    );
}
