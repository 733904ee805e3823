//! A service before the instance's metadata: it tells anybody on this machine what a worker has to know of its instance, and gives the
//! credentials of the instance's role to whoever knows a secret. Strangers' commands know none, and have no way to the
//! metadata itself where the worker's unit denies it; this runs as another user, who has.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ::daemon::Log;
use anyhow::{Context, ensure};
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::instance::{Instance, POLL};

/// Connections at a time: a worker has one.
const CONNECTIONS: usize = 16;

/// The longest head of a request that is read, bytes.
const MAX_HEAD: u64 = 8 << 10;

/// How long a client may take to ask, and to hear the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a connection could not be taken, as when there are too many files.
const BREATH: Duration = Duration::from_millis(100);

/// Where the AWS SDK asks for credentials, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` says.
const CREDENTIALS: &str = "/credentials";

/// Where the metadata has the role's name, and below it its credentials.
const ROLE: &str = "iam/security-credentials/";

/// What everybody may know: what a worker asks for to drain in time.
const OPEN: [&str; 4] =
    ["instance-id", "spot/instance-action", "autoscaling/target-lifecycle-state", "events/recommendations/rebalance"];

/// What is open needs no token, but clients of the metadata ask for one.
const TOKEN: &str = "none";

/// What `grid-worker metadata` is told.
#[derive(Clone, Debug, Args)]
pub struct MetadataSettings {
    /// Where to listen, on the loopback; what a worker has in GRIDMILL_INSTANCE_METADATA.
    #[arg(long, default_value = "127.0.0.1:8471", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// The instance metadata service.
    #[arg(long, default_value = "169.254.169.254:80", value_name = "IP:PORT")]
    from: String,
    /// What the worker shows to get credentials, at least 32 characters.
    #[arg(long, env = "AWS_CONTAINER_AUTHORIZATION_TOKEN", hide_env_values = true, value_name = "SECRET")]
    secret: String,
    #[command(flatten)]
    log: Log,
}

/// Serves until it is ended; status 2 when a setting is wrong.
pub fn serve_metadata(settings: &MetadataSettings) -> ExitCode {
    let served = settings.log.start().and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(listen(settings))
    });
    if let Err(error) = served {
        eprintln!("error: {error:#}");
    }
    ExitCode::from(2)
}

async fn listen(settings: &MetadataSettings) -> anyhow::Result<()> {
    ensure!(settings.listen.ip().is_loopback(), "{} is not on the loopback: others would hear it", settings.listen);
    ensure!(settings.secret.len() >= 32, "AWS_CONTAINER_AUTHORIZATION_TOKEN has less than 32 characters");
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("failed to listen on {}", settings.listen))?;
    let address = listener.local_addr().context("failed to tell the address that is listened on")?;
    tracing::info!(%address, "listening");
    serve(listener, Desk::new(&settings.from, &settings.secret)).await;
    Ok(())
}

/// Never ends.
async fn serve(listener: TcpListener, desk: Desk) {
    let desk = Arc::new(desk);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => _ = open.spawn(timeout(PATIENCE, Arc::clone(&desk).answer(stream))),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    sleep(BREATH).await;
                }
            },
            // Whoever asked has gone, or heard it.
            Some(_) = open.join_next() => {}
        }
    }
}

/// What was asked.
#[derive(Debug, Default)]
struct Asked {
    method: String,
    path: String,
    authorization: String,
}

impl Asked {
    async fn read(stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<Self> {
        let mut lines = BufReader::new(stream.take(MAX_HEAD)).lines();
        let first = lines.next_line().await?.unwrap_or_default();
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut asked = Self { method, path, authorization: String::new() };
        while let Some(line) = lines.next_line().await? {
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    value.trim().clone_into(&mut asked.authorization);
                }
                Some(_) => {}
                // The end of the head.
                None => return Ok(asked),
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

struct Desk {
    instance: Instance,
    /// Digests take the same time to compare, wherever they differ.
    secret: blake3::Hash,
}

impl Desk {
    fn new(from: &str, secret: &str) -> Self {
        Self { instance: Instance::new(from, POLL), secret: blake3::hash(secret.as_bytes()) }
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) -> io::Result<()> {
        let asked = Asked::read(&mut stream).await?;
        let (status, body) = self.decide(&asked).await;
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await
    }

    async fn decide(&self, asked: &Asked) -> (&'static str, String) {
        let open = asked.path.strip_prefix("/latest/meta-data/").filter(|path| OPEN.contains(path));
        let found = match (asked.method.as_str(), asked.path.as_str(), open) {
            ("PUT", "/latest/api/token", _) => Ok(Some(TOKEN.to_owned())),
            ("GET", _, Some(path)) => self.instance.clone().read(path).await,
            ("GET", CREDENTIALS, _) if blake3::hash(asked.authorization.as_bytes()) == self.secret => {
                self.credentials().await
            }
            ("GET", CREDENTIALS, _) => return ("401 Unauthorized", String::new()),
            _ => Ok(None),
        };
        match found {
            Ok(Some(body)) => ("200 OK", body),
            Ok(None) => ("404 Not Found", String::new()),
            Err(error) => {
                tracing::warn!(%error, path = asked.path, "the instance metadata cannot be read");
                ("502 Bad Gateway", String::new())
            }
        }
    }

    /// Those of the instance's role, as the metadata has them, which is how the SDK reads them; `None` without a role.
    async fn credentials(&self) -> io::Result<Option<String>> {
        let mut instance = self.instance.clone();
        let Some(roles) = instance.read(ROLE).await? else { return Ok(None) };
        instance.read(&format!("{ROLE}{}", roles.lines().next().unwrap_or_default().trim())).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::instance::tests::Stub;
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    async fn desk() -> Desk {
        let stub = Stub::start().await;
        stub.says("instance-id", "i-1");
        stub.says("iam/security-credentials/", "worker\n");
        stub.says("iam/security-credentials/worker", "{\"AccessKeyId\": \"A\"}");
        stub.says("local-ipv4", "10.0.0.1");
        Desk::new(&stub.address, SECRET)
    }

    async fn said(desk: &Desk, method: &str, path: &str, authorization: &str) -> (u16, String) {
        let [method, path, authorization] = [method, path, authorization].map(str::to_owned);
        let (status, body) = desk.decide(&Asked { method, path, authorization }).await;
        (status[..3].parse().unwrap(), body)
    }

    #[tokio::test]
    async fn credentials_are_for_those_who_know_the_secret() {
        let desk = desk().await;
        assert_eq!(said(&desk, "GET", CREDENTIALS, SECRET).await, (200, "{\"AccessKeyId\": \"A\"}".to_owned()));
        for wrong in ["", "0123456789abcdef0123456789abcdee", "none"] {
            assert_eq!(said(&desk, "GET", CREDENTIALS, wrong).await, (401, String::new()), "{wrong}");
        }
    }

    #[tokio::test]
    async fn nothing_is_told_but_what_a_drain_needs() {
        let desk = desk().await;
        assert_eq!(said(&desk, "GET", "/latest/meta-data/instance-id", "").await, (200, "i-1".to_owned()));
        let of_others = [
            "local-ipv4",
            "iam/security-credentials/",
            "iam/security-credentials/worker",
            "../meta-data/local-ipv4",
            "instance-id/../local-ipv4",
            "instance-id?a",
        ];
        for path in of_others {
            let path = format!("/latest/meta-data/{path}");
            assert_eq!(said(&desk, "GET", &path, SECRET).await, (404, String::new()), "{path}");
        }
        assert_eq!(said(&desk, "GET", "/latest/user-data", SECRET).await.0, 404);
        assert_eq!(said(&desk, "POST", CREDENTIALS, SECRET).await.0, 404);
    }

    #[tokio::test]
    async fn a_worker_asks_it_as_it_asks_the_metadata() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(serve(listener, desk().await));
        let mut instance = Instance::new(&address, POLL);
        assert_eq!(instance.id().await.unwrap(), "i-1");
        assert_eq!(instance.notice().await.unwrap(), super::super::instance::Notice::None);
        serving.abort();
    }

    #[tokio::test]
    async fn a_head_has_an_end() {
        let endless = "GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(2_000);
        assert!(Asked::read(endless.as_bytes()).await.is_err());
        let asked =
            Asked::read(&b"GET /credentials HTTP/1.1\r\nHost: x\r\nAUTHORIZATION:  s \r\n\r\n"[..]).await.unwrap();
        assert_eq!((asked.method, asked.path, asked.authorization), ("GET".into(), CREDENTIALS.into(), "s".into()));
    }

    #[tokio::test]
    async fn it_is_for_this_machine_and_behind_a_secret() {
        let refused = async |listen: &str, secret: &str| {
            let log = Log { filter: "info".into(), format: ::daemon::LogFormat::Text };
            let (listen, from, secret) = (listen.parse().unwrap(), "127.0.0.1:1".into(), secret.into());
            listen_refuses(&MetadataSettings { listen, from, secret, log }).await
        };
        assert!(refused("0.0.0.0:0", SECRET).await.contains("loopback"));
        assert!(refused("127.0.0.1:0", "short").await.contains("32 characters"));
    }

    async fn listen_refuses(settings: &MetadataSettings) -> String {
        listen(settings).await.unwrap_err().to_string()
    }
}
