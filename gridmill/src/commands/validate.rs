//! `gridmill validate`.

use grid_core::pipeline::{Fault as PipelineFault, Pipeline};
use serde::Serialize;

use crate::cli::ValidateArgs;
use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::load;
use crate::text::counted;

/// The answer of `gridmill validate --json`.
#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<&'a str>,
    stages: Vec<&'a str>,
    outputs: Vec<&'a str>,
    faults: &'a [PipelineFault],
}

/// Checks a pipeline file.
pub fn validate(args: &ValidateArgs, console: Console) -> Outcome {
    let parsed = load::parse(&args.file)?;
    if console.json {
        let (pipeline, faults) = match &parsed {
            Ok(pipeline) => (Some(pipeline), &[][..]),
            Err(faults) => (None, faults.list()),
        };
        console.document(&answer(&args.file.display().to_string(), pipeline, faults))?;
    }
    match &parsed {
        Ok(pipeline) => {
            if !console.json {
                let stages = counted(pipeline.stages.len() as u64, "stage");
                console.say(format!("{}: the pipeline `{}` is sound, {stages}", args.file.display(), pipeline.name));
            }
            Ok(Exit::Done)
        }
        Err(faults) => {
            if !console.json {
                console.say(faults.render(console.colours));
            }
            Ok(Exit::Usage)
        }
    }
}

fn answer<'a>(file: &str, pipeline: Option<&'a Pipeline>, faults: &'a [PipelineFault]) -> Answer<'a> {
    let names = |pipeline: &'a Pipeline| pipeline.stages.iter().map(|stage| stage.name.as_str()).collect();
    let outputs = |pipeline: &'a Pipeline| pipeline.outputs.iter().map(|name| name.as_str()).collect();
    Answer {
        file: file.to_owned(),
        valid: pipeline.is_some(),
        pipeline: pipeline.map(|pipeline| pipeline.name.as_str()),
        stages: pipeline.map(names).unwrap_or_default(),
        outputs: pipeline.map(outputs).unwrap_or_default(),
        faults,
    }
}
