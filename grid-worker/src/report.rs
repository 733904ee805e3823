//! Reports, then deletes: the message of a task goes only after its completion was sent.

use std::collections::VecDeque;
use std::sync::Arc;

use grid_core::limits::{QUEUE_BATCH, WIRE_VERSION};
use grid_core::spending::Spending;
use grid_core::wire::{Completion, Report, TaskMessage, to_ascii_json};
use infra::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::context::Context;
use crate::error::WorkerError;
use crate::in_hand::Held;
use crate::limits::DELETE_TRIES;

/// A task that needs no more work, whose message is to go.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The completion to send before; `None` when its job is over.
    pub(crate) completion: Option<Completion>,
    /// Keeps the lease until the message is gone.
    pub(crate) held: Held,
    /// Keeps the task among those in hand.
    #[expect(dead_code, reason = "it is enough that it is there")]
    pub(crate) in_hand: OwnedSemaphorePermit,
}

/// The completion of an attempt that has a manifest.
pub(crate) fn completion(message: &TaskMessage) -> Completion {
    let (job, stage) = (message.job.clone(), message.stage.clone());
    Completion { v: WIRE_VERSION, job, stage, key: message.key(), spending: Spending::default() }
}

fn body(completion: &Completion, spending: &Spending) -> Result<String, WorkerError> {
    let completion = Completion { spending: spending.clone(), ..completion.clone() };
    to_ascii_json(&Report::Completed(completion))
        .map_err(|source| WorkerError::Json { what: "a completion".into(), source })
}

/// Settles tasks until there will be no more of them. What is ready goes at once, up to a batch together.
pub(crate) async fn run(context: Arc<Context>, mut settled: mpsc::Receiver<Settled>) {
    let mut desk = Desk::default();
    let mut failures = 0;
    loop {
        if desk.is_empty() {
            let Some(first) = settled.recv().await else { return };
            desk.add(first);
        }
        while desk.len() < QUEUE_BATCH
            && let Ok(next) = settled.try_recv()
        {
            desk.add(next);
        }
        let sent = desk.tell(&context).await;
        let deleted = desk.delete(&context).await;
        failures = if sent && deleted { 0 } else { failures + 1 };
        if failures > 0 {
            tokio::time::sleep(context.dice.backoff(failures)).await;
        }
    }
}

#[derive(Debug, Default)]
struct Desk {
    to_tell: VecDeque<(Completion, Settled)>,
    to_delete: VecDeque<(Settled, u32)>,
}

impl Desk {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.to_tell.len() + self.to_delete.len()
    }

    fn add(&mut self, mut settled: Settled) {
        match settled.completion.take() {
            Some(completion) => self.to_tell.push_back((completion, settled)),
            None => self.to_delete.push_back((settled, 0)),
        }
    }

    /// Sends a batch of completions; says whether all of them went. The first one tells what this worker has asked of
    /// services since it last told.
    async fn tell(&mut self, context: &Context) -> bool {
        let batch: Vec<_> = self.to_tell.drain(..self.to_tell.len().min(QUEUE_BATCH)).collect();
        if batch.is_empty() {
            return true;
        }
        let mut spending = context.meter.untaken();
        let told = std::iter::once(&spending).chain(std::iter::repeat(const { &Spending::NOTHING }));
        let bodies = batch.iter().zip(told).map(|((completion, _), spending)| body(completion, spending));
        let bodies = match bodies.collect::<Result<Vec<String>, WorkerError>>() {
            Ok(bodies) => bodies,
            Err(error) => {
                context.fail(error);
                return true;
            }
        };
        let answers = answers(context.grid.reports.send(&bodies).await, batch.len());
        let mut all_went = true;
        for ((completion, settled), answer) in batch.into_iter().zip(answers) {
            let spending = std::mem::take(&mut spending);
            match answer {
                Ok(()) => {
                    context.meter.taken(&spending);
                    self.to_delete.push_back((settled, 0));
                }
                Err(error) => {
                    all_went = false;
                    if !error.is_transient() {
                        context.fail(WorkerError::lasting("report a finished task", error));
                    }
                    self.to_tell.push_back((completion, settled));
                }
            }
        }
        all_went
    }

    /// Deletes a batch of messages; says whether none of them has to be tried again.
    async fn delete(&mut self, context: &Context) -> bool {
        let batch: Vec<_> = self.to_delete.drain(..self.to_delete.len().min(QUEUE_BATCH)).collect();
        // The message of a lost lease is somebody else's, who will find the manifest.
        let batch: Vec<_> = batch.into_iter().filter_map(|(s, tries)| Some((s.held.receipt()?, s, tries))).collect();
        if batch.is_empty() {
            return true;
        }
        let receipts: Vec<_> = batch.iter().map(|(receipt, ..)| receipt.clone()).collect();
        let answers = answers(context.grid.tasks.delete(&receipts).await, batch.len());
        let mut none_again = true;
        for ((_, settled, tries), answer) in batch.into_iter().zip(answers) {
            match answer {
                Ok(()) => {}
                Err(error) if error.is_transient() && tries + 1 < DELETE_TRIES => {
                    none_again = false;
                    self.to_delete.push_back((settled, tries + 1));
                }
                Err(error) => tracing::debug!(%error, "a message is not deleted, its manifest will be found"),
            }
        }
        none_again
    }
}

/// One answer for each entry, whatever came back: an entry without one may not have been applied.
fn answers(answered: infra::Result<Vec<infra::Result<()>>>, sent: usize) -> Vec<infra::Result<()>> {
    let (mut answers, missing) = match answered {
        Ok(answers) => (answers, (ErrorKind::Unavailable, "the queue did not answer for it".to_owned())),
        Err(error) => (Vec::new(), (error.kind, error.to_string())),
    };
    answers.truncate(sent);
    while answers.len() < sent {
        answers.push(Err(infra::Error::new(missing.0, missing.1.clone())));
    }
    answers
}
