//! `gridmill submit`: a pipeline and its files go to a job manager.

mod along;
mod files;

use grid_api::{JobSummary, ParamValue, PipelineSource, SubmitJob};
use grid_core::ids::JobId;
use grid_core::pipeline::Pipeline;
use hyper::header::HeaderValue;
use uuid::Uuid;

use crate::cli::SubmitArgs;
use crate::client::{Client, Form, Route};
use crate::console::{Console, answer};
use crate::ending::{Delivered, Ending};
use crate::exit::{Exit, Fault, Outcome};
use crate::load::{self, Loaded};
use crate::place::{self, Place};
use crate::watch::{Watched, watch};
use crate::{local, report};
use along::Along;

/// What a command says that has no manager to submit to.
const INSTEAD: &str = "; `gridmill run` runs a pipeline on this machine, without a manager";

/// Submits a job; waits for its end and fetches its outputs where that is asked for.
pub fn submit(args: &SubmitArgs, console: Console) -> Outcome {
    let client = place::needed(args.manager.given(), INSTEAD)?;
    let key = key(args.idempotency_key.as_deref())?;
    let loaded = load::load(&args.pipeline, console)?;
    local::runtime()?.block_on(async {
        let accepted = send(&client, &loaded, &key, console).await?;
        if args.watch {
            console.say(format!("job {} at {}", accepted.job, client.address()));
            let place = Place::There(Box::new(client));
            return follow(&place, &accepted.job, &loaded.pipeline, console).await;
        }
        match console.json {
            true => console.document(&accepted)?,
            false => {
                answer(|out| writeln!(out, "{}", accepted.job))?;
                console.say(format!("accepted: `gridmill status {} --watch` shows its progress", accepted.job));
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

async fn send(client: &Client, loaded: &Loaded, key: &HeaderValue, console: Console) -> Outcome<JobSummary> {
    let along = Along::gather(loaded).await?;
    let inputs = along.upload(client, console).await?;
    let params = loaded.params.iter().map(|(name, value)| (name.clone(), ParamValue::Text(value.clone())));
    let body = SubmitJob {
        pipeline: Some(PipelineSource::Text(loaded.text.clone())),
        params: params.collect(),
        inputs,
        ..SubmitJob::default()
    };
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

/// Shows a job until it ends, and says how it ended.
async fn follow(place: &Place, job: &JobId, pipeline: &Pipeline, console: Console) -> Outcome {
    if let Watched::Interrupted = watch(place, job, console).await? {
        return Ok(Exit::Interrupted);
    }
    let ending = Ending::of(place, job).await?;
    ending.tell_failures(place, console);
    let later = format!("its outputs: gridmill outputs {job} --fetch DIR{}", report::flags(place));
    let delivered = match ending.has_succeeded() {
        true => Delivered::Later(later),
        false => Delivered::No("it has no outputs; what was committed is kept: `gridmill redrive` goes on from there"),
    };
    ending.conclude(pipeline, delivered, console)
}
