//! Whether a message can be used. Nothing is trusted that another program wrote.

use grid_core::limits::{SHARD_ITEMS, WIRE_VERSION};
use grid_core::wire::TaskMessage;
use serde::Deserialize;

/// Why a message cannot be used by this worker. It is given back, never deleted: the queue counts how often it comes,
/// and hands it to the manager in the end.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A newer worker is needed.
    #[error("it has version {0}, this worker reads up to {WIRE_VERSION}")]
    Newer(u32),
    /// It is no task message.
    #[error("it is no task message: {0}")]
    Garbled(String),
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Reads a message.
pub(crate) fn read(body: &str) -> Result<TaskMessage, Refusal> {
    let garbled = |error: serde_json::Error| Refusal::Garbled(error.to_string());
    let Version { v } = serde_json::from_str(body).map_err(garbled)?;
    if v > WIRE_VERSION {
        return Err(Refusal::Newer(v));
    }
    let message: TaskMessage = serde_json::from_str(body).map_err(garbled)?;
    let shard = |item: u32| item / SHARD_ITEMS;
    match message.count.checked_sub(1).and_then(|more| message.first.checked_add(more)) {
        Some(last) if shard(last) == shard(message.first) && message.attempt > 0 => Ok(message),
        _ => Err(Refusal::Garbled(format!("{} items from {} are no task", message.count, message.first))),
    }
}
