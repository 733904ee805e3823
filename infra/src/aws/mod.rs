//! A grid on AWS, or on a server that speaks its language: S3 holds the objects, SQS the messages, DynamoDB the rows.

pub mod check;
pub mod client;
pub(crate) mod error;
pub mod settings;

use std::sync::Arc;

pub use self::client::Clients;
pub use self::settings::{Settings, WorkerSettings};

use crate::back_end::Answers;
use crate::clock::SystemClock;
use crate::grid::{Grid, Sources, WorkerGrid};
use crate::notify::SqsNotifier;
use crate::objects::{ObjectStore, S3Objects, S3Sources, probe};
use crate::queue::{SqsQueue, TaskQueue};
use crate::state::{DynamoState, RowKey, StateStore};
use crate::{BackEnd, NotOpen, Result};

/// Opens a grid for its manager, and probes the bucket: one that ignores conditions is refused (`Invalid`). All back ends are
/// asked, at once, so that all that is wrong is told in one go.
///
/// Errors that are [transient](NotOpen::is_transient) are worth another try; others name the setting to change.
/// Inputs are read by `s3://bucket/key`, the grid's own objects by `grid://..`.
pub async fn open(settings: &Settings) -> std::result::Result<Grid, NotOpen> {
    let (clients, worker) = (Clients::from_env().await?, &settings.worker);
    let (objects, sources) = stores(&clients, worker)?;
    let state = state_of(&clients, settings);
    let bucket = format!("s3://{}", worker.bucket);
    let probed_row = RowKey { partition: "PROBE".to_owned(), sort: "PROBE".to_owned() };
    let (probed, tasks, dead_tasks, reports, row) = tokio::join!(
        probe(&bucket, &*objects),
        queue(&clients, &worker.task_queue),
        queue(&clients, &settings.dead_task_queue),
        queue(&clients, &worker.report_queue),
        state.get(&probed_row),
    );
    let mut answers = Answers::default();
    let opened = (
        answers.take(BackEnd::Objects, probed),
        answers.take(BackEnd::Tasks, tasks),
        answers.take(BackEnd::DeadTasks, dead_tasks),
        answers.take(BackEnd::Reports, reports),
        answers.take(BackEnd::State, row),
    );
    let (Some(()), Some(tasks), Some(dead_tasks), Some(reports), Some(_)) = opened else {
        return Err(answers.not_open());
    };
    let own = [&tasks, &reports, &dead_tasks].map(|queue| queue.url().to_owned()).to_vec();
    let allowed = settings.notify_queues.clone();
    let notifier = SqsNotifier::new(clients.sqs.clone(), allowed, own, worker.base_uri());
    Ok(Grid {
        objects,
        sources,
        tasks: Arc::new(tasks),
        dead_tasks: Arc::new(dead_tasks),
        reports: Arc::new(reports),
        state: Arc::new(state),
        notifier: Arc::new(notifier),
        clock: Arc::new(SystemClock),
        requests: clients.requests,
    })
}

/// The table of a grid alone, which was not asked for anything yet.
pub async fn open_state(settings: &Settings) -> std::result::Result<Arc<dyn StateStore>, NotOpen> {
    Ok(Arc::new(state_of(&Clients::from_env().await?, settings)))
}

/// Opens a queue beside those of the grid, by name or URL.
pub async fn open_queue(queue: &str) -> Result<Arc<dyn TaskQueue>> {
    Ok(Arc::new(SqsQueue::open(Clients::from_env().await?.sqs, queue).await?))
}

/// Opens a grid for a worker, as [`open`] does for the manager, without the probe.
pub async fn open_worker(settings: &WorkerSettings) -> std::result::Result<WorkerGrid, NotOpen> {
    let clients = Clients::from_env().await?;
    let (objects, sources) = stores(&clients, settings)?;
    let (tasks, reports) = tokio::join!(queue(&clients, &settings.task_queue), queue(&clients, &settings.report_queue));
    let mut answers = Answers::default();
    let opened = (answers.take(BackEnd::Tasks, tasks), answers.take(BackEnd::Reports, reports));
    let (Some(tasks), Some(reports)) = opened else { return Err(answers.not_open()) };
    Ok(WorkerGrid {
        objects,
        sources,
        tasks: Arc::new(tasks),
        reports: Arc::new(reports),
        clock: Arc::new(SystemClock),
        requests: clients.requests,
    })
}

async fn queue(clients: &Clients, queue: &str) -> Result<SqsQueue> {
    SqsQueue::open(clients.sqs.clone(), queue).await
}

fn state_of(clients: &Clients, settings: &Settings) -> DynamoState {
    DynamoState::new(clients.dynamodb.clone(), &settings.table).billed_to(clients.requests.clone())
}

/// The grid's own objects, and what inputs are read from.
fn stores(clients: &Clients, settings: &WorkerSettings) -> Result<(Arc<dyn ObjectStore>, Sources)> {
    let objects = S3Objects::new(clients.s3.clone(), &settings.bucket, settings.prefix.as_deref())?;
    let objects: Arc<dyn ObjectStore> = Arc::new(objects);
    let inputs = Arc::new(S3Sources::new(clients.s3.clone()));
    Ok((objects.clone(), Sources::default().with("s3", inputs).with("grid", objects)))
}
