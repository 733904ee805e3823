//! Two releases at work side by side: the next one's messages have a higher version, and everything it writes says more than
//! this one knows.

use bytes::Bytes;
use grid_core::limits::WIRE_VERSION;
use serde::Deserialize;
use serde_json::{Value, json};

use super::QueueName;

/// Which release an actor is of, in one of its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// The code as it is.
    #[default]
    This,
    /// The code as it is, with words that this one has never heard.
    Next,
}

impl Release {
    /// What a message says that is sent.
    pub(super) fn says(self, queue: QueueName, body: &str) -> String {
        if self == Self::This {
            return body.to_owned();
        }
        match serde_json::from_str(body) {
            Ok(Value::Object(mut task)) if queue == QueueName::Tasks => {
                task.insert("v".to_owned(), json!(WIRE_VERSION + 1));
                task.insert("a_later_word".to_owned(), json!({"of": "the next release"}));
                Value::Object(task).to_string()
            }
            Ok(Value::Object(mut report)) => {
                // The one entry says what kind of report it is.
                for kind in report.values_mut().filter_map(Value::as_object_mut) {
                    kind.insert("a_later_word".to_owned(), json!({"of": "the next release"}));
                }
                Value::Object(report).to_string()
            }
            _ => body.to_owned(),
        }
    }

    /// What is heard of a message: the next release knows both versions.
    pub(super) fn hears(self, body: &str) -> String {
        if self == Self::This {
            return body.to_owned();
        }
        match serde_json::from_str(body) {
            Ok(Value::Object(mut message)) => {
                if message.get("v") == Some(&json!(WIRE_VERSION + 1)) {
                    message.insert("v".to_owned(), json!(WIRE_VERSION));
                }
                Value::Object(message).to_string()
            }
            _ => body.to_owned(),
        }
    }

    /// What a manifest says.
    pub(super) fn writes(self, key: &str, body: Bytes) -> Bytes {
        if self == Self::This || !key.contains("/done/") {
            return body;
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(mut manifest)) => {
                manifest.insert("a_later_word".to_owned(), json!(["of the next release"]));
                Value::Object(manifest).to_string().into_bytes().into()
            }
            _ => body,
        }
    }
}

/// Whether a message is for a later release alone.
pub(super) fn is_newer(body: &str) -> bool {
    serde_json::from_str::<Versioned>(body).is_ok_and(|message| message.v > u64::from(WIRE_VERSION))
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}
