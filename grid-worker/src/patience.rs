//! How back ends that fail are borne with.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;

/// Repeats what may pass.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) dice: Arc<Dice>,
    /// How long.
    pub(crate) longest: Duration,
}

impl Patience {
    /// Repeats a call while its error may pass, until our patience is over or `until` is cancelled; a call that was
    /// begun is always waited for.
    pub(crate) async fn persist<T, F>(&self, until: &CancellationToken, mut call: impl FnMut() -> F) -> infra::Result<T>
    where
        F: Future<Output = infra::Result<T>>,
    {
        let give_up = Instant::now() + self.longest;
        for tries in 1.. {
            let error = match call().await {
                Err(error) if error.is_transient() => error,
                settled => return settled,
            };
            let again = Instant::now() + self.dice.backoff(tries);
            if again >= give_up {
                return Err(error);
            }
            tokio::select! {
                biased;
                () = until.cancelled() => return Err(error),
                () = tokio::time::sleep_until(again) => {}
            }
        }
        unreachable!("the tries are not counted to an end")
    }

    /// The same patience, but no longer than that.
    pub(crate) fn at_most(&self, longest: Duration) -> Self {
        Self { dice: self.dice.clone(), longest: self.longest.min(longest) }
    }
}
