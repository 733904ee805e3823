//! A line between one program and the server, which can be made slow, silent, torn or dead while connections stand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use hyper::Uri;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a line does with the bytes that go through it, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Passes them on.
    Open,
    /// Passes them on after a while.
    Slow(Duration),
    /// Keeps them, until it does something else: connections stand, and nothing is heard.
    Silent,
    /// Resets every connection, those that stand and those that come.
    Dead,
    /// Resets each connection once so many bytes went through it: in the middle of requests and of answers.
    Torn(u64),
}

/// A line that is listened to until this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface, in front of the server at `url`.
    pub async fn before(url: &str) -> anyhow::Result<Self> {
        let server: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let server = server.authority().with_context(|| format!("`{url}` names no server"))?.to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
        let address = listener.local_addr().context("failed to listen")?;
        let line = watch::Sender::new(Line::Open);
        let listening = tokio::spawn(listen(listener, server, line.subscribe()));
        Ok(Self { address, line, listening })
    }

    /// What the program dials.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the line does this.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, server: String, line: watch::Receiver<Line>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(serve(client, server.clone(), line.clone()));
    }
}

/// How a connection ends.
enum End {
    /// One side has closed it.
    Closed,
    /// The line has: both sides see a reset.
    Reset,
}

/// Passes bytes both ways until one side ends or the line does.
async fn serve(mut client: TcpStream, server: String, mut line: watch::Receiver<Line>) {
    let Ok(mut server) = TcpStream::connect(&server).await else { return };
    let passed = AtomicU64::new(0);
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = pass(from_client, to_server, line.clone(), &passed) => end,
            end = pass(from_server, to_client, line.clone(), &passed) => end,
            _ = line.wait_for(|line| *line == Line::Dead) => End::Reset,
        }
    };
    if let End::Reset = end {
        // Without lingering the kernel sends a reset in place of an orderly end. One that has ended already needs none.
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    passed: &AtomicU64,
) -> End {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return End::Closed };
        let now = line.wait_for(|line| *line != Line::Silent).await.map_or(Line::Dead, |line| *line);
        if let Line::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        let before = passed.fetch_add(count as u64, Ordering::Relaxed);
        let fits = match now {
            Line::Torn(limit) => count.min(limit.saturating_sub(before) as usize),
            Line::Open | Line::Slow(_) | Line::Silent | Line::Dead => count,
        };
        if to.write_all(&buffer[..fits]).await.is_err() {
            return End::Closed;
        }
        if fits < count {
            return End::Reset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, a proxy before it, and a connection through it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let proxy = Proxy::before(&url).await.unwrap();
        let connection = TcpStream::connect(proxy.address).await.unwrap();
        (proxy, connection)
    }

    async fn said(connection: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
        connection.write_all(words).await?;
        let mut answer = vec![0; words.len()];
        connection.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn an_open_line_passes_everything_on() {
        let (_proxy, mut connection) = echo().await;
        let words = vec![7; 100_000];
        let (mut from, mut to) = connection.split();
        let mut answer = vec![0; words.len()];
        let (sent, read) = tokio::join!(to.write_all(&words), from.read_exact(&mut answer));
        assert!(sent.is_ok() && read.is_ok());
        assert_eq!(answer, words);
    }

    #[tokio::test]
    async fn a_dead_line_resets_what_stands() {
        let (proxy, mut connection) = echo().await;
        assert_eq!(said(&mut connection, b"one").await.unwrap(), b"one");
        proxy.set(Line::Dead);
        let error = connection.read_exact(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_torn_line_breaks_after_so_many_bytes() {
        let (proxy, mut connection) = echo().await;
        proxy.set(Line::Torn(9));
        assert_eq!(said(&mut connection, b"four").await.unwrap(), b"four");
        assert!(said(&mut connection, b"more").await.is_err());
    }

    #[tokio::test]
    async fn a_silent_line_keeps_its_bytes_until_it_opens() {
        let (proxy, mut connection) = echo().await;
        proxy.set(Line::Silent);
        connection.write_all(b"late").await.unwrap();
        let nothing = connection.try_read(&mut [0; 4]).map_err(|error| error.kind());
        assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock));
        proxy.set(Line::Slow(Duration::from_millis(1)));
        let mut answer = [0; 4];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"late");
    }
}
