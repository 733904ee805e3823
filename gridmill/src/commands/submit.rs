//! `gridmill submit`: a pipeline and its files go to a job manager.

mod along;
mod files;

use std::collections::BTreeSet;
use std::path::PathBuf;

use grid_api::{JobSummary, ParamValue, PipelineSource, SubmitBudget, SubmitJob};
use grid_core::terms::{Budget, Terms};
use hyper::header::HeaderValue;
use uuid::Uuid;

use crate::cli::SubmitArgs;
use crate::client::{Client, Form, Route};
use crate::console::{Console, answer};
use crate::deliver::{OutFolder, fetch};
use crate::ending::{Delivered, Ending};
use crate::exit::{Exit, Fault, Outcome};
use crate::load::{self, Loaded};
use crate::place::{self, Place};
use crate::watch::{Watched, watch};
use crate::{local, report};
use along::Along;

/// What a command says that has no manager to submit to.
const INSTEAD: &str = "; `gridmill run` runs a pipeline on this machine, without a manager";

/// What is said where a job has no outputs.
const NO_OUTPUTS: &str = "it has no outputs; what was committed is kept: `gridmill redrive` goes on from there";

/// Submits a job; waits for its end and fetches its outputs where that is asked for.
pub fn submit(args: &SubmitArgs, console: Console) -> Outcome {
    let client = place::needed(args.manager.given(), INSTEAD)?;
    let key = key(args.idempotency_key.as_deref())?;
    let loaded = load::load(&args.pipeline, console)?;
    let out = args.fetch.as_deref().map(OutFolder::open).transpose()?;
    local::runtime()?.block_on(async {
        let along = Along::gather(&loaded).await?;
        let body = body(&loaded, args);
        let accepted = send(&client, body, &along, &key, console).await?;
        if args.watch || out.is_some() {
            console.say(format!("job {} at {}", accepted.job, client.address()));
            let place = Place::There(Box::new(client));
            if let Watched::Interrupted = watch(&place, &accepted.job, console).await? {
                return Ok(Exit::Interrupted);
            }
            let ending = Ending::of(&place, &accepted.job).await?;
            ending.tell_failures(&place, console);
            let delivered = deliver(&place, &ending, out.as_ref(), &along.local_files(), console).await?;
            return ending.conclude(&loaded.pipeline, delivered, console);
        }
        match console.json {
            true => console.document(&accepted)?,
            false => {
                answer(|out| writeln!(out, "{}", accepted.job))?;
                let flags = report::flags(&Place::There(Box::new(client)));
                console.say(format!("accepted: `gridmill status {} --watch{flags}` shows its progress", accepted.job));
            }
        }
        Ok(Exit::Done)
    })
}

/// By this a manager knows that a second try is the same submission.
fn key(given: Option<&str>) -> Outcome<HeaderValue> {
    let key = given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    HeaderValue::from_str(&key).map_err(|_| {
        Fault::usage("an idempotency key has printable ASCII characters only").help("leave it out: then one is made")
    })
}

/// What is submitted, but for its files.
fn body(loaded: &Loaded, args: &SubmitArgs) -> SubmitJob {
    let params = loaded.params.iter().map(|(name, value)| (name.clone(), ParamValue::Text(value.clone())));
    let Terms { deadline, budget, priority } = args.terms.terms();
    SubmitJob {
        pipeline: Some(PipelineSource::Text(loaded.text.clone())),
        params: params.collect(),
        tenant: args.terms.tenant.clone(),
        deadline_secs: deadline.map(|deadline| deadline.as_secs_f64()),
        budget: budget.map(|Budget { usd, on_exceed }| SubmitBudget { usd, on_exceed }),
        priority: priority.map(|priority| i8::from(priority).into()),
        ..SubmitJob::default()
    }
}

async fn send(
    client: &Client,
    body: SubmitJob,
    along: &Along,
    key: &HeaderValue,
    console: Console,
) -> Outcome<JobSummary> {
    let body = SubmitJob { inputs: along.upload(client, console).await?, ..body };
    let route = Route::v1(["jobs"]);
    if along.is_empty() {
        return Ok(client.post_once(&route, &body, key).await?);
    }
    let mut form = Form::new();
    form.json("job", serde_json::to_string(&body).map_err(Fault::failed)?);
    let size = along.add_to(&mut form);
    let (_counter, on_bytes) = along::counter(console, "submitting", size);
    Ok(client.post_form(&route, form, key, &on_bytes).await?)
}

/// What becomes of the outputs.
async fn deliver(
    place: &Place,
    ending: &Ending,
    out: Option<&OutFolder>,
    inputs: &BTreeSet<PathBuf>,
    console: Console,
) -> Outcome<Delivered> {
    let job = &ending.status.job;
    match (ending.has_succeeded(), out, place) {
        (true, Some(out), Place::There(client)) => Ok(Delivered::To(fetch(client, job, out, inputs, console).await?)),
        (true, _, _) => {
            Ok(Delivered::Later(format!("its outputs: gridmill outputs {job} --fetch DIR{}", report::flags(place))))
        }
        (false, _, _) => Ok(Delivered::No(NO_OUTPUTS)),
    }
}
