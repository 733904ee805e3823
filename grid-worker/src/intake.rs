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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(first: u32, count: u32, attempt: u32) -> String {
        format!(
            r#"{{"v":1,"job":"j","stage":"s","first":{first},"count":{count},"attempt":{attempt},"failures":0,"memory_factor":1.0,
            "keys":{{"items":{{"stage":"s","first":{first},"count":{count}}}}},"inputs":"plan"}}"#
        )
    }

    #[test]
    fn a_task_has_items_of_one_shard_and_an_attempt() {
        let is_task = |(first, count, attempt)| read(&message(first, count, attempt)).is_ok();
        let tasks = [(0, 1, 1), (0, SHARD_ITEMS, 1), (SHARD_ITEMS, 1, 9), (SHARD_ITEMS - 1, 1, 1)];
        assert_eq!(tasks.map(is_task), [true; 4]);
        let others = [(0, 0, 1), (0, 1, 0), (SHARD_ITEMS - 1, 2, 1), (1, SHARD_ITEMS, 1), (u32::MAX, 2, 1)];
        assert_eq!(others.map(is_task), [false; 5]);
    }
}
