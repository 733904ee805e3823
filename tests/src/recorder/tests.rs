//! The recorder before a server that counts what it sees.

use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full};

use super::*;

type Answer = Result<(u16, String), hyper_util::client::legacy::Error>;

/// A server that answers with what it was sent, and how many requests it has seen.
async fn server() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicU64::new(0));
    let counter = seen.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let counter = counter.clone();
            let echo = service_fn(move |request: Request<Incoming>| {
                counter.fetch_add(1, Ordering::SeqCst);
                async move {
                    let host = request.headers()["host"].to_str().unwrap().to_owned();
                    let target = request.uri().to_string();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let answer = format!("{host} {target} {}", String::from_utf8(body.to_vec()).unwrap());
                    anyhow::Ok(Response::new(Full::<bytes::Bytes>::from(answer)))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), echo));
        }
    });
    (url, seen)
}

/// Puts an object through the recorder, as a client without retries.
async fn put(recorder: &Recorder, body: &str) -> Answer {
    let request = Request::put(format!("{}/bucket/key?x=y", recorder.url()))
        .body(Full::<bytes::Bytes>::from(body.to_owned()))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new());
    let answer = client.request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map(|body| body.to_bytes().to_vec());
    Ok((status, body.map_or("cut".to_owned(), |body| String::from_utf8(body).unwrap())))
}

#[tokio::test]
async fn a_request_passes_as_it_is_and_is_counted() {
    let (url, _) = server().await;
    let recorder = Recorder::before(&url).await.unwrap();
    let (status, body) = put(&recorder, "hello").await.unwrap();
    assert_eq!((status, body), (200, format!("{} /bucket/key?x=y hello", recorder.address)));
    recorder.reached("S3", "PutObject", 1).await;
    assert_eq!(recorder.counts(), BTreeMap::from([(named("S3", "PutObject"), 1)]));
    recorder.forget();
    assert_eq!(recorder.count("S3", "PutObject"), 0);
}

#[tokio::test]
async fn documents_are_kept_with_their_answers() {
    let (url, _) = server().await;
    let recorder = Recorder::before(&url).await.unwrap();
    put(&recorder, "a body of S3").await.unwrap();
    let request = Request::post(recorder.url()).header("x-amz-target", "AmazonSQS.SendMessageBatch");
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<bytes::Bytes>>(HttpConnector::new());
    let answer = client.request(request.body(Full::from("{}")).unwrap()).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(answer, format!("{} / {{}}", recorder.address));
    let kept = recorder.until(|kept| kept.iter().any(|kept| !kept.answer.is_empty())).await;
    let kept: Vec<_> =
        kept.iter().map(|it| (it.operation.name.as_str(), it.request.as_str(), it.answer.as_bytes())).collect();
    assert_eq!(kept, [("PutObject", "/bucket/key", &b""[..]), ("SendMessageBatch", "{}", &answer[..])]);
}

#[tokio::test]
async fn only_the_nth_request_is_broken() {
    let (url, seen) = server().await;
    let recorder = Recorder::before(&url).await.unwrap();
    recorder.break_nth("S3", "PutObject", 2, Fault::RequestLost);
    recorder.break_nth("S3", "PutObject", 3, Fault::AnswerLost);
    recorder.break_nth("S3", "GetObject", 1, Fault::RequestLost);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push((put(&recorder, "").await.is_ok(), seen.load(Ordering::SeqCst)));
    }
    assert_eq!(answers, [(true, 1), (false, 1), (false, 2), (true, 3)]);
    assert_eq!(recorder.count("S3", "PutObject"), 4);
}

#[tokio::test]
async fn an_answer_is_cut_or_replaced() {
    let (url, seen) = server().await;
    let recorder = Recorder::before(&url).await.unwrap();
    recorder.break_nth("S3", "PutObject", 1, Fault::AnswerCut(3));
    recorder.break_nth("S3", "PutObject", 2, Fault::Refused(503, "SlowDown"));
    assert_eq!(put(&recorder, "").await.unwrap(), (200, "cut".to_owned()));
    let (status, body) = put(&recorder, "").await.unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("<Code>SlowDown</Code>"), "{body}");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_service_is_away_until_it_is_mended() {
    let (url, seen) = server().await;
    let recorder = Recorder::before(&url).await.unwrap();
    recorder.break_service("S3", Fault::Held);
    let held = put(&recorder, "late");
    let mend = async {
        recorder.reached("S3", "PutObject", 1).await;
        assert_eq!(seen.load(Ordering::SeqCst), 0);
        recorder.mend();
    };
    let (answer, ()) = tokio::join!(held, mend);
    assert_eq!(answer.unwrap().0, 200);
    assert_eq!(put(&recorder, "").await.unwrap().0, 200);
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}
