//! What an EC2 instance is told about itself (IMDSv2), and the Auto Scaling group that waits for it: a stub that says what a test
//! wants said, and keeps what it was asked to do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

const TOKEN: &str = "a-token-of-the-instance";

/// An instance. Its services answer for as long as this process lives.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Where both services are.
    pub address: String,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    words: BTreeMap<String, String>,
    actions: Vec<String>,
}

impl Instance {
    /// An instance that is told nothing but its name.
    pub fn new(id: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let instance = Self { address: listener.local_addr()?.to_string(), book: Arc::default() };
        instance.is_told("instance-id", id);
        let serves = instance.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever asked has gone: then there is nobody to answer.
                let _ = serves.answer(stream);
            }
        });
        Ok(instance)
    }

    /// From now on it is told this.
    pub fn is_told(&self, path: &str, word: &str) {
        self.book().words.insert(path.to_owned(), word.to_owned());
    }

    /// It is taken away by the spot market in two minutes.
    pub fn is_reclaimed(&self) {
        self.is_reclaimed_in(120);
    }

    /// The same in so many seconds.
    pub fn is_reclaimed_in(&self, secs: i64) {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(secs);
        self.is_told("spot/instance-action", &format!(r#"{{"action": "terminate", "time": "{at:.0}"}}"#));
    }

    /// What its group was asked to do, as in `CompleteLifecycleAction g/drain/i-1 CONTINUE`.
    pub fn actions(&self) -> Vec<String> {
        self.book().actions.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let (mut token, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            lines.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("x-aws-ec2-metadata-token") => {
                    value.clone_into(&mut token)
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or(0)
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body)?;
        let (status, said) = self.decide(first.trim(), &token, &String::from_utf8_lossy(&body));
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", said.len());
        let mut stream = lines.into_inner();
        stream.write_all(head.as_bytes())?;
        stream.write_all(said.as_bytes())
    }

    fn decide(&self, request: &str, token: &str, body: &str) -> (u16, String) {
        let mut words = request.split(' ');
        match (words.next(), words.next().unwrap_or_default()) {
            (Some("PUT"), "/latest/api/token") => (200, TOKEN.to_owned()),
            (Some("POST"), _) => (200, self.act(body)),
            (Some("GET"), _) if token != TOKEN => (401, String::new()),
            (Some("GET"), path) => {
                let word = self.book().words.get(path.trim_start_matches("/latest/meta-data/")).cloned();
                word.map_or((404, String::new()), |word| (200, word))
            }
            _ => (405, String::new()),
        }
    }

    /// Auto Scaling: whatever is asked is done.
    fn act(&self, body: &str) -> String {
        let asked: BTreeMap<&str, &str> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let field = |name: &str| asked.get(name).copied().unwrap_or_default();
        let [action, group, hook, id, result] =
            ["Action", "AutoScalingGroupName", "LifecycleHookName", "InstanceId", "LifecycleActionResult"].map(field);
        self.book().actions.push(format!("{action} {group}/{hook}/{id} {result}").trim_end().to_owned());
        format!(
            "<{action}Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><{action}Result/>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
        )
    }
}
