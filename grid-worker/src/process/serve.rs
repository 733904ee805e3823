//! `per: worker`: items as requests to a co-process, one line of JSON each way.
//!
//! Request: `{"item", "index", "attempt", "key": {..}, "input" | "input_file" | "input_dir", "output_dir"}`.
//! Reply: `{"item", "output" | "output_file" | "error"}`; an `error` may come with `"retry": true`, which is exit status
//! 75 of a command.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grid_core::ids::ItemIndex;
use grid_core::items::Key;
use grid_core::reason::{Failure, Reason};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::coprocess::{Coprocess, Exchanged, MAX_REPLY_BYTES, Served};
use super::environment::Variables;
use super::fault::{self, NotDone};
use super::input::Delivered;
use super::launch::{Launcher, Stdin};
use super::pack::AppendError;
use super::supervise::{Ended, EndedBy};
use super::task::Execution;
use super::verdict::{EX_TEMPFAIL, Verdict, judge, with_last_words};
use crate::runner::{ItemInput, ItemRan};

/// How long a co-process that closed its standard output may take to end by itself.
const EXIT_PATIENCE: Duration = Duration::from_millis(200);

/// So much of a reply that is none is shown.
const SHOWN_REPLY_BYTES: usize = 200;

/// What a co-process answers.
#[derive(Debug, Deserialize)]
struct Reply {
    item: String,
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(default)]
    retry: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Output(String),
    OutputFile(PathBuf),
    Error(String),
}

/// Executes the items of a task by a co-process: an idle one, or one that is started.
pub(super) fn items(execution: &mut Execution, inputs: Vec<ItemInput>) -> Vec<ItemRan> {
    let (submission, stage) = (&execution.submission, execution.stage.name.clone());
    let served = Served {
        job: submission.job.clone(),
        stage,
        params: submission.params.clone(),
        memory: execution.memory_limit(),
    };
    let mut coprocess = None;
    let ran = execution.each(inputs, |execution, index, input| {
        let key = (execution.keys)(index);
        let name = key.name();
        execution.item(index, &name, |execution| {
            let (request, file) = request(execution, index, &name, &key, input)?;
            let mut server = match coprocess.take().or_else(|| execution.shared.coprocesses.take(&served)) {
                Some(server) => server,
                None => start(execution)?,
            };
            let answered = ask(execution, &mut server, &request, &name);
            if let Some(file) = file {
                drop(fs::remove_file(file));
            }
            match answered {
                Ok(Answer::Served(done)) => {
                    coprocess = Some(server);
                    done
                }
                Ok(Answer::Broken(reason, why)) => Err(NotDone::Failed(broken(execution, server, reason, why)?)),
                Ok(Answer::Late) => {
                    end(server)?;
                    Err(NotDone::Failed(late(execution)))
                }
                Ok(Answer::Stopped) => {
                    end(server)?;
                    Err(NotDone::Stopped)
                }
                Err(failure) => {
                    end(server)?;
                    Err(NotDone::Failed(failure))
                }
            }
        })
    });
    if let Some(server) = coprocess {
        execution.shared.coprocesses.put(served, server);
    }
    ran
}

/// What an item came to, and with it its co-process.
enum Answer {
    /// It goes on, whether the item succeeded or not.
    Served(Result<(u64, u32), NotDone>),
    /// It does not keep to the protocol, or is gone.
    Broken(Reason, String),
    /// It took too long.
    Late,
    /// It was told to stop.
    Stopped,
}

fn start(execution: &Execution) -> Result<Coprocess, NotDone> {
    let (submission, stage) = (Arc::clone(&execution.submission), Arc::clone(&execution.stage));
    let vars = execution.shared.stage_variables(&submission, &stage)?;
    let mut launcher = Launcher::new(&stage.run, &submission, &stage, execution.message.memory_factor, vars);
    let running = launcher.start(None, Variables::new(), Stdin::Pipe)?;
    Ok(Coprocess::new(running, stage.grace))
}

/// The request as a line, and the file to be removed once it was served.
fn request(
    execution: &Execution,
    index: ItemIndex,
    name: &str,
    key: &Key,
    input: ItemInput,
) -> Result<(Vec<u8>, Option<PathBuf>), NotDone> {
    let key: Map<String, Value> = key.0.iter().map(|(dim, value)| (dim.clone(), json!(value))).collect();
    let mut request = json!({
        "item": name,
        "index": index,
        "attempt": execution.message.attempt,
        "key": key,
        "output_dir": path_text(execution.folder.path())?,
    });
    let mut written = None;
    match execution.stager.deliver(name, input)? {
        Delivered::Nothing => {}
        Delivered::Text(text) => request["input"] = json!(text),
        Delivered::Folder(folder) => request["input_dir"] = json!(path_text(&folder)?),
        Delivered::File(file) => {
            request["input_file"] = json!(path_text(&file)?);
            written = Some(file);
        }
    }
    let mut line = request.to_string().into_bytes();
    line.push(b'\n');
    Ok((line, written))
}

fn ask(execution: &mut Execution, server: &mut Coprocess, request: &[u8], name: &str) -> Result<Answer, Failure> {
    let until = Instant::now() + execution.stage.timeout;
    let Execution { stderr, switch, buffer, .. } = execution;
    let exchanged = server
        .exchange(request, until, stderr, switch, buffer)
        .map_err(|error| fault::own("speak with the co-process", &error))?;
    let breach = |why: String| Answer::Broken(Reason::Output, why);
    Ok(match exchanged {
        Exchanged::Reply(line) => match serde_json::from_slice::<Reply>(&line) {
            Ok(reply) if reply.item == name => Answer::Served(take(execution, reply)),
            Ok(reply) => breach(format!("it answered for item `{}` when it was asked for `{name}`", reply.item)),
            Err(_) => breach(unexpected(&line, name)),
        },
        Exchanged::Surplus => breach("it answered more than one line to one request".into()),
        Exchanged::TooLong => breach(format!(
            "its answer is longer than {} MiB: write it to a file and name that as `output_file`",
            MAX_REPLY_BYTES >> 20
        )),
        Exchanged::Gone => Answer::Broken(Reason::Exit, "it ended before it answered".into()),
        Exchanged::Late => Answer::Late,
        Exchanged::Stopped => Answer::Stopped,
    })
}

/// Says what was expected in place of a line; the words of a JSON parser would speak of our types.
fn unexpected(line: &[u8], name: &str) -> String {
    let start = String::from_utf8_lossy(&line[..line.len().min(SHOWN_REPLY_BYTES)]);
    let more = if line.len() > SHOWN_REPLY_BYTES { " .." } else { "" };
    let expected = json!({ "item": name, "output": ".." });
    format!(
        "its answer was `{start}`{more}; expected was a JSON object in one line, like {expected}, with exactly one of \
         `output`, `output_file` and `error`, all of them text"
    )
}

fn take(execution: &mut Execution, reply: Reply) -> Result<(u64, u32), NotDone> {
    match reply.outcome {
        Outcome::Output(text) => {
            execution.pack.write(text.as_bytes()).map_err(|error| fault::own("keep the output", &error))?;
            Ok((text.len() as u64, crc32fast::hash(text.as_bytes())))
        }
        Outcome::OutputFile(path) => take_file(execution, &Path::new(&execution.submission.workdir).join(path)),
        Outcome::Error(message) => {
            let exit = Some(if reply.retry { EX_TEMPFAIL } else { 1 });
            let failure = Failure { exit, ..Failure::new(Reason::Exit, message) };
            let last_words = execution.stderr.last_words();
            Err(NotDone::Failed(with_last_words(failure, last_words, execution.memory_limit())))
        }
    }
}

fn take_file(execution: &mut Execution, path: &Path) -> Result<(u64, u32), NotDone> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Reason::Output, format!("the output file {} could not be read: {error}", path.display()))
    };
    if !path.is_file() {
        return Err(unreadable(std::io::Error::other("it is no file")).into());
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let written = execution.pack.append(&mut file, &mut execution.buffer).map_err(|error| match error {
        AppendError::Read(error) => unreadable(error),
        AppendError::Write(error) => fault::own("keep the output", &error),
    })?;
    if path.starts_with(execution.folder.path()) {
        // It is the item's output, not one of its files.
        drop(fs::remove_file(path));
    }
    Ok(written)
}

/// Ends a co-process that broke the protocol; says how it ended when it did so by itself.
fn broken(execution: &mut Execution, server: Coprocess, reason: Reason, why: String) -> Result<Failure, Failure> {
    let patience = if reason == Reason::Exit { EXIT_PATIENCE } else { Duration::ZERO };
    let status = server
        .kill(patience, &mut execution.stderr, &mut execution.buffer)
        .map_err(|error| fault::own("wait for the co-process", &error))?;
    let stderr = execution.stderr.last_words();
    if reason != Reason::Exit {
        return Ok(Failure { stderr, ..Failure::new(reason, format!("the co-process failed: {why}")) });
    }
    let ended = Ended { status, by: EndedBy::Itself };
    Ok(match judge(ended, execution.stage.timeout, || execution.shared.memory.has_killed()) {
        Verdict::Failed(failure) => {
            let message = format!("the co-process failed: {why}: {}", failure.message);
            with_last_words(Failure { message, ..failure }, stderr, execution.memory_limit())
        }
        Verdict::Success | Verdict::Stopped => Failure {
            exit: status.code(),
            stderr,
            ..Failure::new(reason, format!("the co-process failed: {why}, with exit status 0"))
        },
    })
}

fn late(execution: &Execution) -> Failure {
    let timeout = execution.stage.timeout;
    Failure {
        stderr: execution.stderr.last_words(),
        ..Failure::new(
            Reason::Timeout,
            format!(
                "the co-process did not answer within the timeout of {timeout:?}: raise `timeout`, or make the items smaller"
            ),
        )
    }
}

fn end(server: Coprocess) -> Result<(), Failure> {
    server.terminate().map_err(|error| fault::own("end the co-process", &error))
}

fn path_text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::new(Reason::Internal, format!("the scratch folder {} has a name that is not UTF-8", path.display()))
    })
}
