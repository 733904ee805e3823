//! A grid on AWS, or on a server that speaks its language: S3 holds the objects, SQS the messages, DynamoDB the rows.

pub mod check;
pub mod client;
pub(crate) mod error;
pub mod settings;

use std::sync::Arc;

pub use self::client::Clients;
pub use self::settings::{Settings, WorkerSettings};

use self::settings::{BUCKET, DEAD_TASK_QUEUE, REPORT_QUEUE, TABLE, TASK_QUEUE};
use crate::clock::SystemClock;
use crate::grid::{Grid, Sources, WorkerGrid};
use crate::notify::SqsNotifier;
use crate::objects::{ObjectStore, S3Objects, S3Sources, probe};
use crate::queue::{SqsQueue, TaskQueue};
use crate::state::{DynamoState, RowKey, StateStore};
use crate::{Error, Result};

/// Opens a grid for its manager, and probes the bucket: one that ignores conditions is refused (`Invalid`).
///
/// Errors that are [transient](crate::Error::is_transient) are worth another try; others name the setting to change.
/// Inputs are read by `s3://bucket/key`, the grid's own objects by `grid://..`.
pub async fn open(settings: &Settings) -> Result<Grid> {
    let clients = Clients::from_env().await?;
    let parts = Parts::open(&clients, &settings.worker).await?;
    probe(&format!("s3://{}", settings.worker.bucket), &*parts.objects).await.map_err(by(BUCKET))?;
    let dead_tasks = open_own(&clients, DEAD_TASK_QUEUE, &settings.dead_task_queue).await?;
    let state = DynamoState::new(clients.dynamodb.clone(), &settings.table).billed_to(clients.requests.clone());
    state.get(&RowKey { partition: "PROBE".to_owned(), sort: "PROBE".to_owned() }).await.map_err(by(TABLE))?;
    let own = [&parts.tasks, &parts.reports, &dead_tasks].map(|queue| queue.url().to_owned()).to_vec();
    let allowed = settings.notify_queues.clone();
    let notifier = SqsNotifier::new(clients.sqs.clone(), allowed, own, settings.worker.base_uri());
    Ok(Grid {
        objects: parts.objects,
        sources: parts.sources,
        tasks: Arc::new(parts.tasks),
        dead_tasks: Arc::new(dead_tasks),
        reports: Arc::new(parts.reports),
        state: Arc::new(state),
        notifier: Arc::new(notifier),
        clock: Arc::new(SystemClock),
        requests: clients.requests,
    })
}

/// Opens a queue beside those of the grid, by name or URL.
pub async fn open_queue(queue: &str) -> Result<Arc<dyn TaskQueue>> {
    Ok(Arc::new(SqsQueue::open(Clients::from_env().await?.sqs, queue).await?))
}

async fn open_own(clients: &Clients, setting: &str, queue: &str) -> Result<SqsQueue> {
    SqsQueue::open(clients.sqs.clone(), queue).await.map_err(by(setting))
}

/// Adds the setting that says where something is to what is wrong with it.
fn by(setting: &str) -> impl Fn(Error) -> Error + '_ {
    move |error| Error::new(error.kind, format!("{error} (by the setting {setting})"))
}

/// Opens a grid for a worker, as [`open`] does for the manager, without the probe.
pub async fn open_worker(settings: &WorkerSettings) -> Result<WorkerGrid> {
    let clients = Clients::from_env().await?;
    let parts = Parts::open(&clients, settings).await?;
    Ok(WorkerGrid {
        objects: parts.objects,
        sources: parts.sources,
        tasks: Arc::new(parts.tasks),
        reports: Arc::new(parts.reports),
        clock: Arc::new(SystemClock),
        requests: clients.requests,
    })
}

/// What managers and workers have in common.
struct Parts {
    objects: Arc<dyn ObjectStore>,
    sources: Sources,
    tasks: SqsQueue,
    reports: SqsQueue,
}

impl Parts {
    async fn open(clients: &Clients, settings: &WorkerSettings) -> Result<Self> {
        let objects = S3Objects::new(clients.s3.clone(), &settings.bucket, settings.prefix.as_deref())?;
        let objects: Arc<dyn ObjectStore> = Arc::new(objects);
        let inputs = Arc::new(S3Sources::new(clients.s3.clone()));
        let sources = Sources::default().with("s3", inputs).with("grid", objects.clone());
        let tasks = open_own(clients, TASK_QUEUE, &settings.task_queue).await?;
        let reports = open_own(clients, REPORT_QUEUE, &settings.report_queue).await?;
        Ok(Self { objects, sources, tasks, reports })
    }
}
