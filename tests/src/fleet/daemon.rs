//! A program that runs until somebody ends it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::Context;

/// A program with its log. Killed when this is dropped.
pub struct Daemon {
    child: Child,
    /// The address that a manager listens on.
    pub address: String,
}

impl Daemon {
    /// Starts a program, keeps what it says in `log`, and waits until it says `ready`.
    pub(super) fn start(command: &mut Command, log: &Path, ready: &str) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("failed to start {program}"))?;
        let stderr = child.stderr.take().context("it has a standard error")?;
        let log = log.with_extension("log");
        let file = File::options().append(true).create(true).open(&log)?;
        let mut daemon = Self { child, address: String::new() };
        let lines = keep(BufReader::new(stderr), file);
        for line in lines {
            let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let fields = &said["fields"];
            if fields["message"].as_str() == Some(ready) {
                daemon.address = fields["address"].as_str().unwrap_or_default().to_owned();
                return Ok(daemon);
            }
        }
        anyhow::bail!("{program} ended before it was ready; see {}", log.display())
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already where this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes every line to a file, for as long as there are any, and tells them while somebody listens.
fn keep(lines: impl BufRead + Send + 'static, mut file: File) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let _ = writeln!(file, "{line}");
            let _ = tell.send(line);
        }
    });
    told
}
