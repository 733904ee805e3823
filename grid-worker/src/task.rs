//! One task, from its message to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grid_core::ids::ItemIndex;
use grid_core::layout;
use grid_core::pipeline::{Per, Stage};
use grid_core::reason::{Failure, Reason};
use grid_core::submission::Submission;
use grid_core::wire::TaskMessage;
use infra::ErrorKind;
use infra::queue::{Receipt, Received};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::checkpoint::Checkpoints;
use crate::commit::{self, Executed};
use crate::context::{Context, Hindrance, name_of};
use crate::in_hand::{Held, Taken};
use crate::intake::Refusal;
use crate::programs::{self, Unready};
use crate::pull::{Place, Places};
use crate::report::{Settled, completion};
use crate::runner::{ItemRan, Stop, TaskProgress, TaskRan, TaskRun};
use crate::{WorkerError, intake, jobs, stage_in, tombstones};

/// How a task ended here.
enum Ending {
    /// Its attempt has a manifest.
    Committed,
    /// Its round of the job is stopped.
    Past,
    /// Another worker has it.
    Lost,
    /// Nothing came of it.
    GiveBack(String),
}

/// A message that was received, and what it is to this worker.
#[derive(Debug)]
pub(crate) enum Intake {
    /// A task that is in hand now.
    Task { message: Box<TaskMessage>, held: Held },
    /// What is in hand already.
    Again,
    /// The copy of a task that is in hand here.
    ForOthers { receipt: Receipt, what: String },
    /// It cannot be used here.
    Refused { receipt: Receipt, why: Refusal },
}

/// Takes a message in, at once: before more is asked of the queue, it is known whether that would bring the same one again.
pub(crate) fn take_in(context: &Context, received: Received, lease_ends: Instant) -> Intake {
    let message = match intake::read(&received.body) {
        Ok(message) => message,
        Err(why) => {
            if received.receives == 1 {
                tracing::error!(refusal = %why, "a message on the task queue cannot be used");
            }
            return Intake::Refused { receipt: received.receipt, why };
        }
    };
    match context.in_hand.take(&message, received, lease_ends, context.stop.kill.child_token()) {
        Taken::InHand(held) => Intake::Task { message: Box::new(message), held },
        Taken::Again => Intake::Again,
        Taken::ForOthers(receipt) => Intake::ForOthers { receipt, what: name_of(&message) },
    }
}

/// Works on one message until nothing is left to do for it but to report.
pub(crate) async fn run(
    context: Arc<Context>,
    places: Arc<Places>,
    intake: Intake,
    place: Place,
    settled: mpsc::Sender<Settled>,
) {
    let (message, held) = match intake {
        Intake::Task { message, held } => (*message, held),
        Intake::Again => return,
        Intake::ForOthers { receipt, what } => return context.leave_to_others(receipt, &what).await,
        Intake::Refused { receipt, why } => return context.give_back(receipt, "a message", &why.to_string()).await,
    };
    let Place { slot, in_hand } = place;
    let ending = match work(&context, &places, &message, &held, slot).await {
        Ok(ending) => ending,
        Err(Hindrance::GiveBack(why)) => Ending::GiveBack(why),
        Err(Hindrance::Fatal(error)) => {
            let why = error.to_string();
            context.fail(error);
            Ending::GiveBack(why)
        }
    };
    let completion = match ending {
        Ending::Committed => Some(completion(&message)),
        Ending::Past => None,
        Ending::Lost => return tracing::debug!(task = name_of(&message), "another worker has it"),
        Ending::GiveBack(why) => return give_back(&context, held, &message, &why).await,
    };
    if settled.send(Settled { completion, held, in_hand }).await.is_err() {
        tracing::debug!(task = name_of(&message), "it is reported when its message comes again");
    }
}

/// Forgets the task before its lease is ended, so that the lease is not extended again.
async fn give_back(context: &Context, held: Held, message: &TaskMessage, why: &str) {
    let receipt = held.receipt();
    drop(held);
    if let Some(receipt) = receipt {
        context.give_back(receipt, &name_of(message), why).await;
    }
}

async fn work(
    context: &Arc<Context>,
    places: &Places,
    message: &TaskMessage,
    held: &Held,
    slot: OwnedSemaphorePermit,
) -> Result<Ending, Hindrance> {
    if tombstones::is_stopped(context, &tombstones::round_of(message)).await {
        return Ok(Ending::Past);
    }
    let receives_at_first = held.receives();
    // The first execution may have ended while the message of its copy was on its way.
    let is_not_the_first = receives_at_first > 1 || message.copy > 0;
    if is_not_the_first && has_manifest(context, message).await? {
        return Ok(Ending::Committed);
    }
    let job = jobs::load(context, &message.job).await?;
    let stage = job.stage(&message.stage)?.clone();
    let staged = stage_in::stage_in(context, &job, &stage, message).await?;
    let ready = match programs::ready(context, &job.submission).await {
        Ok(ready) => ready,
        Err(Unready::Failed(failure)) => return fail(context, message, stage.per, staged.bytes_in, failure).await,
        Err(Unready::Hindered(hindrance)) => return Err(hindrance),
    };
    let slot = widen(context, places, &stage, slot).await;
    let scratch = Scratch::make_if_wanted(context, message)?;
    let receives = held.receives();
    // What held this worker up may have lasted longer than the lease, and another one has not waited.
    if receives > receives_at_first && has_manifest(context, message).await? {
        return Ok(Ending::Committed);
    }
    if context.is_stopping() {
        return Ok(Ending::GiveBack("the worker stops".into()));
    }
    if held.kill.is_cancelled() {
        return Ok(Ending::Past);
    }
    if held.is_lost(Instant::now()) {
        return Ok(Ending::Lost);
    }
    let progress = Arc::new(TaskProgress::default());
    held.executes(progress.clone());
    context.pulse.begins();
    if receives > 1 || message.copy > 0 {
        // It may have killed a worker before that could say that it runs it. This one says so first, or nobody would ever
        // know what kills them.
        context.pulse.announce().await;
    }
    let started_ms = context.grid.clock.now_ms();
    let checkpoints = Checkpoints::of(context, &stage, message);
    let task = TaskRun {
        submission: with_params(&ready.submission, message),
        stage: stage.clone(),
        message: message.clone(),
        keys: staged.keys,
        inputs: staged.inputs,
        scratch: scratch.as_ref().map(|scratch| scratch.0.clone()).unwrap_or_default(),
        stop: Stop { drain: context.stop.drain.clone(), kill: held.kill.clone() },
        progress,
        checkpoints: checkpoints.clone(),
    };
    tracing::info!(
        job = %message.job,
        stage = %message.stage,
        first = message.first,
        count = message.count,
        attempt = message.attempt,
        copy = message.copy,
        receives,
        "starting a task"
    );
    let ran = context.runner.run(task).await;
    held.executed();
    drop(slot);
    if context.tombstones.knows(message) {
        return Ok(Ending::Past);
    }
    if held.is_superseded() {
        tracing::info!(task = name_of(message), "another execution of it has committed");
        return Ok(Ending::Committed);
    }
    if is_out_of_disk(&ran) {
        let full = format!("scratch folder {}: No space left on device", context.config.scratch.display());
        let full = infra::Error::new(ErrorKind::Full, full);
        return Err(Hindrance::Fatal(WorkerError::lasting("keep what commands write", full)));
    }
    let executed = Executed { started_ms, per: stage.per, bytes_in: staged.bytes_in, ran };
    let done = items_done(message, &executed.ran);
    let end = commit::commit(context, message, executed).await?;
    if let (commit::End::Committed, Some(checkpoints)) = (end, checkpoints) {
        checkpoints.discard(done).await;
    }
    Ok(ending(end))
}

/// The items that have succeeded, where each was run by itself.
fn items_done(message: &TaskMessage, ran: &TaskRan) -> Vec<ItemIndex> {
    let items = (message.first..).zip(&ran.items);
    items.filter(|(_, ran)| matches!(ran, ItemRan::Ok { .. })).map(|(index, _)| index).collect()
}

fn ending(end: commit::End) -> Ending {
    match end {
        commit::End::Committed | commit::End::WasCommitted => Ending::Committed,
        commit::End::NothingRan => Ending::GiveBack("none of it was run".into()),
    }
}

/// Commits that none of the items could be executed.
async fn fail(
    context: &Arc<Context>,
    message: &TaskMessage,
    per: Per,
    bytes_in: Vec<u64>,
    failure: Failure,
) -> Result<Ending, Hindrance> {
    let ran = TaskRan::all_failed(per, message.count, failure);
    let executed = Executed { started_ms: context.grid.clock.now_ms(), per, bytes_in, ran };
    Ok(ending(commit::commit(context, message, executed).await?))
}

/// The submission, with the parameters that a redrive has set for this attempt.
fn with_params(submission: &Arc<Submission>, message: &TaskMessage) -> Arc<Submission> {
    if message.params.is_empty() {
        return submission.clone();
    }
    let mut own = Submission::clone(submission);
    own.params.extend(message.params.clone());
    Arc::new(own)
}

/// A full scratch disk is this machine's trouble, not the task's: the worker ends, and the task is for another one, or for
/// the next run.
fn is_out_of_disk(ran: &TaskRan) -> bool {
    ran.items.iter().any(|item| matches!(item, ItemRan::Failed(failure) if failure.reason == Reason::DiskFull))
}

/// Whether an earlier execution of this attempt came to its end.
async fn has_manifest(context: &Context, message: &TaskMessage) -> Result<bool, Hindrance> {
    let key = layout::manifest(&message.job, &message.stage, message.key());
    match context.persist(&context.stop.drain, || context.grid.objects.head(&key)).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Hindrance::of("look for the manifest", error)),
    }
}

/// Takes as many slots as an item of the stage fills. The one in hand is let go before, since two tasks that each hold
/// a slot and wait for another would wait for ever.
async fn widen(context: &Context, places: &Places, stage: &Stage, slot: OwnedSemaphorePermit) -> OwnedSemaphorePermit {
    let cpus = stage.resources.cpus.unwrap_or(1.0).ceil().max(1.0);
    // Saturates: a task that wants more than the worker has gets all of it.
    let wanted = (cpus as u32).min(context.config.slots.max(1));
    if wanted == 1 {
        return slot;
    }
    drop(slot);
    places.slots.clone().acquire_many_owned(wanted).await.expect("the semaphores are never closed")
}

/// A folder of one execution's own, removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make_if_wanted(context: &Context, message: &TaskMessage) -> Result<Option<Self>, Hindrance> {
        context.runner.wants_scratch().then(|| Self::make(context, message)).transpose()
    }

    fn make(context: &Context, message: &TaskMessage) -> Result<Self, Hindrance> {
        let name = format!("{}-{}-{}", message.stage, message.key(), context.dice.nonce());
        let path = context.config.scratch.join(name);
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(Hindrance::GiveBack(format!("failed to make the folder {}: {error}", path.display()))),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        if std::fs::remove_dir(&path).is_ok() {
            return;
        }
        // Many files take long to remove; nobody has to wait for it.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&path))),
            Err(_) => remove(&path),
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "failed to remove a scratch folder");
    }
}
