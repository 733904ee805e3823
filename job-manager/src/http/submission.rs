//! What a submission says, checked: the pipeline, its parameters, and where every file is looked for. All faults of one
//! request come in one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_api::{PipelineSource, ProblemError, Registered, SubmitBudget, SubmitJob};
use grid_core::limits::MAX_PIPELINE_BYTES;
use grid_core::pipeline::{self, DEFAULT_POOL, ItemSource, List, Pipeline};
use grid_core::terms::{Budget, LEAST_BUDGET, MOST_BUDGET, Priority, Terms};
use infra::notify::Notifier;

use super::Api;
use super::access::{Caller, shortened};
use super::files::Received;
use super::problem::{Refusal, fault, step};
use crate::notices::refused_queues;
use crate::pipelines;

/// The latest deadline, in seconds: three years.
const MOST_DEADLINE_SECS: f64 = 1e8;

/// Longest name of a tenant, a pipeline or an event.
pub(super) const MAX_NAME_BYTES: usize = 64;

/// A submission whose files are not looked for yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    pub pipeline: Pipeline,
    /// A value for every parameter.
    pub params: BTreeMap<String, String>,
    /// Where the files of every input are.
    pub inputs: BTreeMap<String, Vec<String>>,
    /// Where the list file of every stage is that has one.
    pub lists: BTreeMap<String, String>,
}

/// On whose behalf a job is submitted: as the caller's token says, or as the caller does where it says nothing.
pub(super) fn tenant_of(caller: &Caller, asked: Option<&str>) -> Result<String, Refusal> {
    match (&caller.tenant, asked) {
        (Some(own), None) => Ok(own.clone()),
        (Some(own), Some(asked)) if own == asked => Ok(own.clone()),
        (Some(own), Some(_)) => Err(Refusal::forbidden(format!("your token acts for tenant `{own}` only"))),
        (None, None) => Ok(String::new()),
        (None, Some(asked)) if is_plain_name(asked) => Ok(asked.to_owned()),
        (None, Some(asked)) => {
            let words = format!(
                "{} is no tenant's name: 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`",
                shortened(asked)
            );
            Err(Refusal::invalid(vec![fault("#/tenant", words)]))
        }
    }
}

/// The tenant that a request names: itself, or in the pipeline that it brings.
pub(super) fn named_tenant(body: &SubmitJob) -> Option<String> {
    // What is wrong with the file is told when it is checked.
    let in_file = || pipeline::parse(&text_of(body.pipeline.as_ref()?), "pipeline").ok()?.tenant;
    body.tenant.clone().or_else(in_file)
}

/// The terms that a request sets, and what is wrong with them.
fn terms_of(body: &SubmitJob) -> (Terms, Vec<ProblemError>) {
    let mut faults = Vec::new();
    let mut check = |is_right: bool, pointer: &str, words: String| {
        if !is_right {
            faults.push(fault(pointer, words));
        }
    };
    let deadline = body.deadline_secs.map(|secs| {
        let words = format!("a deadline is more than 0 and at most {MOST_DEADLINE_SECS} seconds");
        check(secs > 0.0 && secs <= MOST_DEADLINE_SECS, "#/deadline_secs", words);
        Duration::try_from_secs_f64(secs).unwrap_or_default()
    });
    let budget = body.budget.map(|SubmitBudget { usd, on_exceed }| {
        let words = format!("a budget is from {LEAST_BUDGET} to {MOST_BUDGET} dollars");
        check((LEAST_BUDGET..=MOST_BUDGET).contains(&usd), "#/budget/usd", words);
        Budget { usd, on_exceed }
    });
    let step = body.priority.map(|step| (i8::try_from(step).ok().and_then(Priority::new), step));
    if let Some((None, step)) = step {
        check(false, "#/priority", format!("`{step}` is not a priority: write a whole number from -5 to 5"));
    }
    (Terms { deadline, budget, priority: step.and_then(|(priority, _)| priority) }, faults)
}

impl Checked {
    /// Checks everything that can be known without looking for files, but for those that came along.
    pub async fn of(api: &Api, tenant: &str, body: SubmitJob, received: &Received) -> Result<Self, Refusal> {
        let pipeline = match (&body.pipeline, &body.registered) {
            (Some(source), None) => parse(source)?,
            (None, Some(registered)) => kept(api, tenant, registered).await?,
            (Some(_), Some(_)) | (None, None) => {
                let words = "give either `pipeline` or `registered`, and not both";
                return Err(Refusal::invalid(vec![fault("#/pipeline", words)]));
            }
        };
        if let Some(named) = pipeline.tenant.as_deref().filter(|named| *named != tenant && body.tenant.is_none()) {
            let words =
                format!("the pipeline runs on behalf of tenant `{named}`, and this is submitted for `{tenant}`");
            return Err(Refusal::invalid(vec![fault("#/pipeline", words)]));
        }
        Self::with(&*api.grid.notifier, pipeline, body, received)
    }

    fn with(
        notifier: &dyn Notifier,
        mut pipeline: Pipeline,
        body: SubmitJob,
        received: &Received,
    ) -> Result<Self, Refusal> {
        let (terms, mut faults) = terms_of(&body);
        let given = body.params.into_iter().map(|(name, value)| (name, value.into_text())).collect();
        let (params, wrong) = check_params(&pipeline, &given);
        faults.extend(wrong);
        let inputs = body.inputs.into_iter().map(|(name, uris)| (name, uris.into_vec())).collect();
        let inputs = check_inputs(&pipeline, inputs, received, &mut faults);
        let lists = check_lists(&pipeline, body.lists, received, &mut faults);
        check_pools(&pipeline, &mut faults);
        faults.extend(refused_queues(notifier, &pipeline).map(|words| fault("#/pipeline", words)));
        pipeline.terms = terms.or(pipeline.terms);
        if faults.is_empty() { Ok(Self { pipeline, params, inputs, lists }) } else { Err(Refusal::invalid(faults)) }
    }
}

/// A pipeline that the tenant has put before.
async fn kept(api: &Api, tenant: &str, registered: &Registered) -> Result<Pipeline, Refusal> {
    let Registered { name, version } = registered;
    let found = match (is_plain_name(name), version) {
        (false, _) => None,
        (true, None) => pipelines::newest(&api.grid, tenant, name).await?,
        (true, Some(version)) => pipelines::version(&api.grid, tenant, name, *version).await?,
    };
    let unknown = || {
        let words = format!("no pipeline {} of that version was put", shortened(name));
        Refusal::invalid(vec![fault("#/registered", words)])
    };
    let text = pipelines::text(&api.grid, tenant, &found.ok_or_else(unknown)?).await?;
    parse(&PipelineSource::Text(text))
}

/// Whether a pipeline or an event may be called so.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

/// The text of a pipeline file.
pub(super) fn text_of(source: &PipelineSource) -> String {
    match source {
        PipelineSource::Text(text) => text.clone(),
        PipelineSource::Json(map) => {
            serde_json::to_string_pretty(map).expect("a document that was read has string keys and finite numbers")
        }
    }
}

/// Parses a pipeline file.
pub(super) fn parse(source: &PipelineSource) -> Result<Pipeline, Refusal> {
    let text = text_of(source);
    if text.len() > MAX_PIPELINE_BYTES {
        let words = format!("a pipeline has at most {MAX_PIPELINE_BYTES} bytes, and this one has {}", text.len());
        return Err(Refusal::invalid(vec![fault("#/pipeline", words)]));
    }
    pipeline::parse(&text, "pipeline").map_err(|faults| {
        let one = |it: &pipeline::Fault| {
            let help = it.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            fault("#/pipeline", format!("line {}, column {}: {}{help}", it.line, it.column, it.message))
        };
        Refusal::invalid(faults.list().iter().map(one).collect())
    })
}

fn check_params(
    pipeline: &Pipeline,
    given: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, Vec<ProblemError>) {
    let mut faults = Vec::new();
    let mut at = |name: &str, message: String| faults.push(fault(format!("#/params{}", step(name)), message));
    for (name, value) in given {
        if let Err(wrong) = pipeline.check_param(name, value) {
            at(name, wrong);
        }
    }
    for (name, param) in &pipeline.params {
        if param.default.is_none() && !given.contains_key(name) {
            at(name, format!("the parameter `{name}` has no default and must be given"));
        }
    }
    (pipeline.resolve_params(given).unwrap_or_default(), faults)
}

/// A pool is a task queue of its own, and the manager has one queue: what it cannot hand out is refused, not given to workers
/// that were not meant.
fn check_pools(pipeline: &Pipeline, faults: &mut Vec<ProblemError>) {
    for stage in pipeline.stages.iter().filter(|stage| stage.pool != DEFAULT_POOL) {
        let words = format!(
            "stage {} wants workers of the pool `{}`, and this grid has the pool `{DEFAULT_POOL}` only: leave `pool` out",
            stage.name, stage.pool
        );
        faults.push(fault("#/pipeline", words));
    }
}

fn check_inputs(
    pipeline: &Pipeline,
    mut given: BTreeMap<String, Vec<String>>,
    received: &Received,
    faults: &mut Vec<ProblemError>,
) -> BTreeMap<String, Vec<String>> {
    for name in received.inputs.keys() {
        let pointer = format!("part:input.{name}");
        match (pipeline.inputs.contains_key(name), given.remove(name)) {
            (true, None) => {}
            (true, Some(_)) => faults.push(fault(pointer, "the input comes as files and by URI: give it in one way")),
            (false, _) => faults.push(fault(pointer, format!("the pipeline has no input `{name}`"))),
        }
    }
    let mut at = |name: &str, message: String| faults.push(fault(format!("#/inputs{}", step(name)), message));
    for name in given.keys().filter(|name| !pipeline.inputs.contains_key(*name)) {
        let known: Vec<&str> = pipeline.inputs.keys().map(String::as_str).collect();
        at(name, format!("the pipeline has no input `{name}`; it has: {}", known.join(", ")));
    }
    let mut inputs = BTreeMap::new();
    for (name, input) in pipeline.inputs.iter().filter(|(name, _)| !received.inputs.contains_key(*name)) {
        let uris = given.remove(name).unwrap_or_else(|| input.default.clone());
        if uris.is_empty() {
            at(name, format!("the input `{name}` has no files: give their URIs, or upload them"));
        }
        inputs.insert(name.clone(), uris);
    }
    inputs
}

fn check_lists(
    pipeline: &Pipeline,
    mut given: BTreeMap<String, String>,
    received: &Received,
    faults: &mut Vec<ProblemError>,
) -> BTreeMap<String, String> {
    let mut lists = BTreeMap::new();
    let mut came: BTreeSet<&str> = received.lists.keys().map(String::as_str).collect();
    for stage in &pipeline.stages {
        if let ItemSource::List(List::File(path)) = &stage.items
            && !came.remove(stage.name.as_str())
        {
            let uri = given.remove(stage.name.as_str()).unwrap_or_else(|| path.clone());
            lists.insert(stage.name.to_string(), uri);
        }
    }
    for name in came {
        faults.push(fault(format!("part:list.{name}"), format!("no stage `{name}` reads a list file")));
    }
    for name in given.keys() {
        faults.push(fault(format!("#/lists{}", step(name)), format!("no stage `{name}` reads a list file")));
    }
    lists
}
