//! Commits how an attempt ended: outputs first, then the manifest that makes them visible, created once.

mod manifest;
mod store;

pub(crate) use self::store::put_file;

use grid_core::layout;
use grid_core::pipeline::Per;
use grid_core::wire::TaskMessage;

use crate::context::{Context, Hindrance};
use crate::runner::TaskRan;

/// An execution that has come to its end.
#[derive(Debug)]
pub(crate) struct Executed {
    /// When it began, Unix milliseconds.
    pub(crate) started_ms: u64,
    /// How many items one process served.
    pub(crate) per: Per,
    /// Bytes of input of each item, repeated headers not counted.
    pub(crate) bytes_in: Vec<u64>,
    /// What the runner says.
    pub(crate) ran: TaskRan,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// This is how the attempt ended.
    Committed,
    /// The attempt has a manifest already, of another execution (or of an earlier try of this one, of which no answer came).
    WasCommitted,
    /// No item came to an end, or a copy was cut short: there is nothing to commit.
    NothingRan,
}

/// Commits an execution. Transient errors are borne with until the worker is killed, or loses patience.
pub(crate) async fn commit(context: &Context, message: &TaskMessage, executed: Executed) -> Result<End, Hindrance> {
    let executed = manifest::checked(message, executed);
    if manifest::is_in_vain(message, &executed.ran.items) {
        return Ok(End::NothingRan);
    }
    let nonce = context.dice.nonce();
    let data = layout::data(&message.job, &message.stage, message.key(), &nonce);
    let log = layout::log(&message.job, &message.stage, message.key(), &nonce);
    let pack = store::pack(context, data, &executed.ran.pack).await?;
    let log = store::log(context, log, &executed.ran.log).await?;
    let manifest = manifest::build(message, &context.config.worker, &executed, pack, log);
    store::manifest(context, &manifest).await
}
