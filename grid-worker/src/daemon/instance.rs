//! What an EC2 instance is told about itself (IMDSv2): that it is about to be taken away, and what it is called.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Between two looks: what AWS advises for spot notices, which come two minutes before the end.
pub const POLL: Duration = Duration::from_secs(5);

/// One question and its answer: the service lives on the machine's own host.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a token is asked for, seconds: the longest.
const TOKEN_SECS: &str = "21600";

/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

/// What an instance is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    None,
    /// It may be taken away some time: nothing to be done by a worker whose tasks can be handed back at any time.
    Rebalance,
    /// It is taken away at a time.
    Spot(Timestamp),
    /// Its group takes it away, and waits for it.
    Terminated,
}

/// How an instance goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It is taken away at this time.
    Spot(Timestamp),
    /// Its group ends it, and waits for it.
    Terminated,
}

/// The instance that we are on.
#[derive(Clone, Debug)]
pub struct Instance {
    address: String,
    poll: Duration,
    token: Option<String>,
}

impl Instance {
    /// Asks the service at this address, `169.254.169.254:80` on EC2.
    pub fn new(address: impl Into<String>, poll: Duration) -> Self {
        Self { address: address.into(), poll, token: None }
    }

    /// What the instance is called.
    pub async fn id(&mut self) -> io::Result<String> {
        let id = self.read("instance-id").await?;
        id.ok_or_else(|| io::Error::other(format!("{} does not say which instance this is", self.address)))
    }

    /// Waits until the instance is about to go.
    pub async fn leaves(&mut self) -> Leaving {
        let mut was_warned = false;
        loop {
            match self.notice().await {
                Ok(Notice::None) => {}
                Ok(Notice::Rebalance) if was_warned => {}
                Ok(Notice::Rebalance) => {
                    was_warned = true;
                    tracing::info!("this instance is more likely than others to be taken away soon");
                }
                Ok(Notice::Spot(at)) => return Leaving::Spot(at),
                Ok(Notice::Terminated) => return Leaving::Terminated,
                Err(error) => tracing::debug!(%error, "the instance metadata cannot be read"),
            }
            sleep(self.poll).await;
        }
    }

    /// What it is told now.
    pub async fn notice(&mut self) -> io::Result<Notice> {
        if let Some(action) = self.read("spot/instance-action").await? {
            return spot(&action).map(Notice::Spot);
        }
        if self.read("autoscaling/target-lifecycle-state").await?.is_some_and(|state| state.trim() == "Terminated") {
            return Ok(Notice::Terminated);
        }
        let rebalance = self.read("events/recommendations/rebalance").await?;
        Ok(if rebalance.is_some() { Notice::Rebalance } else { Notice::None })
    }

    /// A word of the metadata; `None` where there is no such word.
    pub(super) async fn read(&mut self, path: &str) -> io::Result<Option<String>> {
        for _ in 0..2 {
            let token = match &self.token {
                Some(token) => token.clone(),
                None => self.new_token().await?,
            };
            let head = format!("X-aws-ec2-metadata-token: {token}\r\n");
            match self.ask("GET", &format!("/latest/meta-data/{path}"), &head).await? {
                (200, body) => {
                    self.token = Some(token);
                    return Ok(Some(body));
                }
                (404, _) => {
                    self.token = Some(token);
                    return Ok(None);
                }
                // The token is too old.
                (401, _) => self.token = None,
                (status, _) => return Err(io::Error::other(format!("{path}: HTTP {status}"))),
            }
        }
        Err(io::Error::other(format!("{path}: every token is refused")))
    }

    async fn new_token(&self) -> io::Result<String> {
        let head = format!("X-aws-ec2-metadata-token-ttl-seconds: {TOKEN_SECS}\r\nContent-Length: 0\r\n");
        match self.ask("PUT", "/latest/api/token", &head).await? {
            (200, token) => Ok(token),
            (status, _) => Err(io::Error::other(format!("no token: HTTP {status}"))),
        }
    }

    async fn ask(&self, method: &str, path: &str, head: &str) -> io::Result<(u16, String)> {
        let asked = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{head}\r\n", self.address);
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
            Ok::<Vec<u8>, io::Error>(answer)
        };
        let answer = timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::other(format!("{path}: no HTTP")))
    }
}

/// `{"action": "terminate", "time": "2026-01-01T00:02:00Z"}`. Hibernation and stopping take the machine away, too.
fn spot(action: &str) -> io::Result<Timestamp> {
    let wrong = || io::Error::other(format!("a spot notice that cannot be read: {action}"));
    let notice: serde_json::Value = serde_json::from_str(action).map_err(|_| wrong())?;
    notice["time"].as_str().and_then(|time| time.parse().ok()).ok_or_else(wrong)
}

/// Status and body of an answer that ends with its connection.
fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;

    /// A service that stands in for that of EC2, version 2 only.
    #[derive(Clone)]
    pub struct Stub {
        words: Arc<Mutex<BTreeMap<&'static str, String>>>,
        /// Tokens given out; only the last one counts.
        tokens: Arc<Mutex<u32>>,
        asked: watch::Sender<u32>,
        pub address: String,
    }

    impl Stub {
        pub async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let stub = Self { words: Arc::default(), tokens: Arc::default(), asked: watch::Sender::default(), address };
            let serves = stub.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    serves.answer(stream).await;
                }
            });
            stub
        }

        pub fn says(&self, path: &'static str, word: impl Into<String>) {
            self.words.lock().unwrap().insert(path, word.into());
        }

        fn forget_tokens(&self) {
            *self.tokens.lock().unwrap() += 1;
        }

        async fn is_asked(&self, more: u32) {
            let now = *self.asked.borrow();
            self.asked.subscribe().wait_for(|asked| *asked >= now + more).await.unwrap();
        }

        async fn answer(&self, stream: TcpStream) {
            let mut lines = BufReader::new(stream);
            let (mut first, mut token) = (String::new(), None);
            lines.read_line(&mut first).await.unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).await.unwrap();
                match line.trim().split_once(": ") {
                    Some(("X-aws-ec2-metadata-token", value)) => token = Some(value.to_owned()),
                    Some(_) => {}
                    None => break,
                }
            }
            let (status, body) = self.decide(first.trim(), token);
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            lines.into_inner().write_all(answer.as_bytes()).await.unwrap();
            self.asked.send_modify(|asked| *asked += 1);
        }

        fn decide(&self, request: &str, token: Option<String>) -> (u16, String) {
            let last = *self.tokens.lock().unwrap();
            if request == "PUT /latest/api/token HTTP/1.1" {
                return (200, last.to_string());
            }
            if token != Some(last.to_string()) {
                return (401, String::new());
            }
            let path = request.trim_start_matches("GET /latest/meta-data/").trim_end_matches(" HTTP/1.1");
            self.words.lock().unwrap().get(path).map_or((404, String::new()), |word| (200, word.clone()))
        }

        fn instance(&self) -> Instance {
            Instance::new(&self.address, Duration::from_millis(1))
        }
    }

    /// What it leaves by, once the stub says so; until then it stays.
    async fn leaves_when(stub: &Stub, path: &'static str, word: &str) -> Leaving {
        let mut instance = stub.instance();
        let leaving = tokio::spawn(async move { instance.leaves().await });
        stub.is_asked(10).await;
        assert!(!leaving.is_finished());
        stub.says(path, word);
        leaving.await.unwrap()
    }

    #[tokio::test]
    async fn a_spot_notice_is_seen_with_its_time() {
        let stub = Stub::start().await;
        let notice = r#"{"action": "terminate", "time": "2020-01-01T00:02:00Z"}"#;
        let at = "2020-01-01T00:02:00Z".parse().unwrap();
        assert_eq!(leaves_when(&stub, "spot/instance-action", notice).await, Leaving::Spot(at));
    }

    #[tokio::test]
    async fn the_groups_wish_is_seen() {
        let stub = Stub::start().await;
        stub.says("autoscaling/target-lifecycle-state", "InService");
        let seen = leaves_when(&stub, "autoscaling/target-lifecycle-state", "Terminated").await;
        assert_eq!(seen, Leaving::Terminated);
    }

    #[tokio::test]
    async fn a_recommendation_is_no_notice_and_an_old_token_is_renewed() {
        let stub = Stub::start().await;
        stub.says("events/recommendations/rebalance", r#"{"noticeTime": "2026-01-01T00:00:00Z"}"#);
        stub.says("instance-id", "i-0123456789abcdef0");
        let mut instance = Instance::new(&stub.address, POLL);
        assert_eq!(instance.notice().await.unwrap(), Notice::Rebalance);
        stub.forget_tokens();
        assert_eq!(instance.id().await.unwrap(), "i-0123456789abcdef0");
        stub.says("spot/instance-action", "soon");
        assert!(instance.notice().await.is_err(), "a notice that cannot be read is not passed over");
    }

    #[tokio::test]
    async fn a_machine_that_is_no_instance_is_left_alone() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(Instance::new(free.to_string(), POLL).id().await.is_err());
    }

    #[test]
    fn a_notice_without_a_time_is_none() {
        assert!(spot("{}").is_err() && spot("soon").is_err());
    }
}
