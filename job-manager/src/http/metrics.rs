//! Metrics for Prometheus. No label holds what clients can choose: paths are patterns, and jobs are counted, not named.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use grid_api::JobState;
use infra::queue::{Depth, TaskQueue};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::Api;
use super::access::Reader;
use super::document::{Asked, Guarded};
use super::problem::Refusal;
use crate::error::with_causes;
use crate::{Progress, Role};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long a queue may take to tell its depth; without it the metric is left out.
const PATIENCE: Duration = Duration::from_secs(3);

/// Upper bounds of the times that answers take, seconds.
const BUCKETS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Names and values.
type Labels = Vec<(&'static str, String)>;

/// What is counted as it happens.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self { requests: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }
}

impl Metrics {
    /// An answer was given. `path` is the route's pattern.
    pub fn answered(&self, method: &Method, path: &str, status: StatusCode, time: Duration) {
        let (method, path) = (method_label(method).to_owned(), path.to_owned());
        self.seconds.get_or_create(&vec![("path", path.clone())]).observe(time.as_secs_f64());
        let status = status.as_u16().to_string();
        self.requests.get_or_create(&vec![("method", method), ("path", path), ("status", status)]).inc();
    }
}

/// Methods are of the client's choice, too.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Gives the metrics of this manager, as OpenMetrics text. The leader also tells of the jobs in its hands.
#[utoipa::path(get, path = "/metrics", tag = "health", security(("token" = ["read"])), responses(
    (status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text"), Asked, Guarded))]
pub(super) async fn metrics(Reader(caller): Reader, State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    if caller.tenant.is_some() {
        return Err(Refusal::forbidden("metrics are of all tenants together: take a token that is bound to none"));
    }
    let mut registry = Registry::with_prefix("gridmill");
    let (requests, seconds) = (api.metrics.requests.clone(), api.metrics.seconds.clone());
    registry.register("http_requests", "Requests that were answered", requests);
    registry.register("http_request_seconds", "Time until an answer begins", seconds);
    let leads = i64::from(matches!(*api.role.borrow(), Role::Leads { .. }));
    gauge(&mut registry, "leader", "Whether this manager leads").set(leads);
    of_jobs(&mut registry, &api.progress.borrow());
    of_services(&mut registry, &api);
    of_queues(&mut registry, &api).await;
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// The jobs in the hands of the leader, and their items.
fn of_jobs(registry: &mut Registry, progress: &Progress) {
    let (jobs, items) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    registry.register("jobs", "Jobs that this manager has looked after since it leads, by state", jobs.clone());
    registry.register("items", "Items of the jobs that have not ended, by what became of them", items.clone());
    for status in progress.jobs.values() {
        jobs.get_or_create(&vec![("state", status.state.as_str().to_owned())]).inc();
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let active = progress.jobs.values().filter(|job| !JobState::is_final(job.state));
    for stage in active.flat_map(|job| &job.stages) {
        let counts = [
            ("planned", stage.items),
            ("ok", stage.ok),
            ("reused", stage.reused),
            ("skipped", stage.skipped),
            ("dead", stage.dead),
            ("running", stage.running),
        ];
        counts.into_iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
    }
    for (name, sum) in sums {
        items.get_or_create(&vec![("state", name.to_owned())]).set(i64::try_from(sum).unwrap_or(i64::MAX));
    }
    let running = i64::try_from(progress.running.len()).unwrap_or(i64::MAX);
    gauge(registry, "running_tasks", "Tasks that run on the workers in sight").set(running);
}

/// What was asked of services elsewhere.
fn of_services(registry: &mut Registry, api: &Api) {
    let requests = Family::<Labels, Counter>::default();
    registry.register("service_requests", "Requests to services, repeats included", requests.clone());
    for (operation, count) in api.grid.requests.counts() {
        let labels = vec![("service", operation.service), ("operation", operation.name)];
        requests.get_or_create(&labels).inc_by(count);
    }
}

async fn of_queues(registry: &mut Registry, api: &Api) {
    let messages = Family::<Labels, Gauge>::default();
    registry.register("queue_messages", "About how many messages there are", messages.clone());
    let depth = async |queue: &dyn TaskQueue| timeout(PATIENCE, queue.depth()).await.ok();
    let grid = &api.grid;
    let (tasks, dead_tasks, reports) =
        tokio::join!(depth(&*grid.tasks), depth(&*grid.dead_tasks), depth(&*grid.reports));
    for (queue, answer) in [("tasks", tasks), ("dead_tasks", dead_tasks), ("reports", reports)] {
        match answer {
            Some(Ok(Depth { waiting, in_flight })) => {
                for (phase, count) in [("waiting", waiting), ("in_flight", in_flight)] {
                    let labels = vec![("queue", queue.to_owned()), ("phase", phase.to_owned())];
                    messages.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
                }
            }
            Some(Err(error)) => tracing::warn!(queue, error = with_causes(&error), "a queue does not tell its depth"),
            None => tracing::warn!(queue, "a queue does not tell its depth in time"),
        }
    }
}
