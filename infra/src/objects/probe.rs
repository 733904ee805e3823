//! Whether a store keeps the promise that the whole protocol stands on.

use bytes::Bytes;

use super::ObjectStore;
use crate::{Error, ErrorKind, Result};

/// Creates an object twice and expects the second to be refused; `name` is what the error calls the store.
///
/// `Invalid` for a store that ignores the condition: two executions could both commit there.
pub async fn probe(name: &str, store: &dyn ObjectStore) -> Result<()> {
    let key = format!("probe/{}", uuid::Uuid::now_v7());
    store.create(&key, Bytes::from_static(b"first")).await?;
    let second = store.create(&key, Bytes::from_static(b"second")).await;
    store.delete(&key).await?;
    judge(name, second)
}

/// What the answer to the second create says about a store.
pub(crate) fn judge(name: &str, second: Result<()>) -> Result<()> {
    match second {
        Err(refused) if refused.kind == ErrorKind::Conflict => Ok(()),
        Err(other) => Err(other),
        Ok(()) => Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "{name} cannot hold a grid: it replaces an object although told to create it only if there is none; \
                 use a store with conditional writes"
            ),
        )),
    }
}
