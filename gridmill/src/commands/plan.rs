//! `gridmill plan`: what a run would do, before anything runs. Nothing is written, but by a pilot.

mod pilot;
mod quote;

use std::collections::BTreeMap;

use grid_core::ids::{JobId, StageName};
use grid_core::items::source::count_of_computed;
use grid_core::limits::{MAX_STAGED_INPUT_BYTES, SHARD_ITEMS};
use grid_core::pipeline::{ItemSource, List, Per, Pipeline, Stage};
use grid_core::quote::{Range, Size};
use grid_core::submission::Submission;
use infra::grid::Sources;
use infra::inputs::PinOptions;
use job_manager::planner::{self, PlanError};
use serde::Serialize;

use self::quote::{History, Quote};

use crate::cli::PlanArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Fault, Outcome};
use crate::load::{self, Loaded};
use crate::{inputs, local, text};

/// What a stage would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct StagePlan {
    stage: StageName,
    from: String,
    /// Items; at most so many where `items_are_exact` is not set.
    items: u64,
    items_are_exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    /// Tasks at least: bundles as full as they can be; at most one an item.
    least_tasks: u64,
    /// Memory that one slot needs at most: input read ahead, and what the stage allows its commands.
    memory_bytes: u64,
    /// Slot time, where earlier jobs tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_secs: Option<Range>,
}

/// The answer of `gridmill plan --json`.
#[derive(Serialize)]
struct Answer<'a> {
    pipeline: &'a str,
    stages: &'a [StagePlan],
    quote: &'a Quote,
}

/// Shows what would be done.
pub fn plan(args: &PlanArgs, console: Console) -> Outcome {
    let pilot = pilot::run(args, console)?;
    let loaded = load::load(&args.pipeline, console)?;
    let runtime = local::runtime()?;
    let (pipeline, mut stages) = runtime.block_on(plans(loaded))?;
    let history = runtime.block_on(History::of(&args.place, &pipeline.name, pilot.as_ref()))?;
    for stage in &mut stages {
        stage.slot_secs = history.slot_secs(&stage.stage, Size { items: stage.items, bytes: stage.bytes });
    }
    let known: Vec<(Range, u64)> = stages.iter().filter_map(|stage| Some((stage.slot_secs?, stage.items))).collect();
    let unknown = stages.iter().filter(|stage| stage.slot_secs.is_none()).map(|stage| stage.stage.clone()).collect();
    let quote = Quote::new(&history, &known, unknown, args);
    if console.json {
        console.document(&Answer { pipeline: &pipeline.name, stages: &stages, quote: &quote })?;
        return Ok(Exit::Done);
    }
    console.text(&format!("{}\n{}", shown(&stages), quote.shown()))?;
    Ok(Exit::Done)
}

async fn plans(loaded: Loaded) -> Outcome<(Pipeline, Vec<StagePlan>)> {
    let sources = local::files();
    // What a file is does not matter for the plan, so it is not read for it.
    let options = PinOptions { known: &|_, _, _| Some(String::new()), ..PinOptions::default() };
    let inputs::Pinned { inputs, lists } = inputs::pin(&sources, &loaded, None, options).await?;
    let Loaded { pipeline, params, folder, .. } = loaded;
    let (now, workdir) = (jiff::Timestamp::now(), folder.to_string_lossy());
    let submission =
        Submission { params, inputs, lists, ..Submission::new(JobId::new("plan"), now, workdir, pipeline) };
    let mut stages = Vec::new();
    let mut known: BTreeMap<StageName, (u64, bool)> = BTreeMap::new();
    for stage in &submission.pipeline.stages {
        let plan = stage_plan(&sources, &submission, stage, &known).await?;
        known.insert(stage.name.clone(), (outputs_of(stage, plan.items), plan.items_are_exact));
        stages.push(plan);
    }
    Ok((submission.pipeline, stages))
}

async fn stage_plan(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    known: &BTreeMap<StageName, (u64, bool)>,
) -> Outcome<StagePlan> {
    let upstream = stage.items.upstream().iter().filter_map(|name| known.get(name));
    let (above, is_exact) = upstream.fold((0, true), |(sum, exact), (items, known)| (sum + items, exact && *known));
    let counted = |from: String, items, items_are_exact| (from, items, items_are_exact, None, None);
    let (from, items, items_are_exact, bytes, records) = match &stage.items {
        ItemSource::Split(split) => {
            let summary = planner::count(sources, submission, stage).await.map_err(refused)?;
            (format!("input {}", split.input), u64::from(summary.items), true, Some(summary.bytes), summary.records)
        }
        ItemSource::List(List::File(path)) => {
            let summary = planner::count(sources, submission, stage).await.map_err(refused)?;
            (format!("list {path}"), u64::from(summary.items), true, None, None)
        }
        ItemSource::Matrix(_) => counted("matrix".into(), computed(stage), true),
        ItemSource::Range(_) => counted("range".into(), computed(stage), true),
        ItemSource::List(List::Inline(_)) => counted("list".into(), computed(stage), true),
        ItemSource::Each(stages) => counted(format!("each {}", names(stages)), above, is_exact),
        // How many groups there are is known once the keys upstream are.
        ItemSource::Group { stages, by } => {
            counted(format!("group {} by {}", names(stages), by.join(", ")), above, above == 0)
        }
        ItemSource::All { stages, fan_in } => {
            counted(format!("all {}", names(stages)), combiners(above, *fan_in), is_exact || fan_in.is_none())
        }
    };
    Ok(StagePlan {
        stage: stage.name.clone(),
        from,
        items,
        items_are_exact,
        bytes,
        records,
        least_tasks: items.div_ceil(u64::from(SHARD_ITEMS)),
        memory_bytes: memory(stage, items, bytes),
        slot_secs: None,
    })
}

/// Combiners over so many inputs: one, or a tree of them.
fn combiners(inputs: u64, fan_in: Option<u32>) -> u64 {
    let fan_in = u64::from(fan_in.unwrap_or(u32::MAX).max(2));
    let mut width = inputs.div_ceil(fan_in).max(1);
    let mut all = width;
    while width > 1 {
        width = width.div_ceil(fan_in);
        all += width;
    }
    all
}

/// Of a stage's items, those that others read: of a tree of combiners only the root.
fn outputs_of(stage: &Stage, items: u64) -> u64 {
    if matches!(stage.items, ItemSource::All { .. }) { items.min(1) } else { items }
}

fn computed(stage: &Stage) -> u64 {
    count_of_computed(&stage.items).unwrap_or(0)
}

fn names(stages: &[StageName]) -> String {
    stages.iter().map(StageName::as_str).collect::<Vec<&str>>().join(", ")
}

/// What one slot holds in memory: the input that is read ahead (streamed when it is large), and the limit of the
/// command, where the pipeline sets one.
fn memory(stage: &Stage, items: u64, bytes: Option<u64>) -> u64 {
    let per_item = bytes.unwrap_or(0) / items.max(1);
    let ahead = match stage.per {
        Per::Item | Per::Bundle | Per::Worker => per_item.min(MAX_STAGED_INPUT_BYTES),
    };
    ahead + stage.resources.memory.map_or(0, |memory| memory.0)
}

fn shown(stages: &[StagePlan]) -> String {
    let columns = [
        Column::Text("stage"),
        Column::Text("from"),
        Column::Number("items"),
        Column::Number("bytes"),
        Column::Number("records"),
        Column::Number("tasks"),
        Column::Number("memory a slot"),
        Column::Number("slot time"),
    ];
    let unknown = || "-".to_owned();
    let rows = stages.iter().map(|plan| {
        let items = text::count(plan.items);
        vec![
            plan.stage.to_string(),
            plan.from.clone(),
            if plan.items_are_exact { items } else { format!("<= {items}") },
            plan.bytes.map_or_else(unknown, text::bytes),
            plan.records.map_or_else(unknown, text::count),
            tasks(plan),
            if plan.memory_bytes == 0 { unknown() } else { text::bytes(plan.memory_bytes) },
            plan.slot_secs.map_or_else(unknown, |range| quote::between(range, text::seconds)),
        ]
    });
    table(&columns, rows)
}

/// `1-400`: bundles follow what is measured, from as full as they can be to one an item.
fn tasks(plan: &StagePlan) -> String {
    match plan.least_tasks == plan.items {
        true => text::count(plan.items),
        false => format!("{}-{}", text::count(plan.least_tasks), text::count(plan.items)),
    }
}

fn refused(error: PlanError) -> Fault {
    match error {
        PlanError::Input(words) => Fault::usage(words),
        PlanError::Unsound(words) => Fault::failed(anyhow::anyhow!(words)),
        PlanError::Store(error) => Fault::from(error).while_doing("failed to plan"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::PipelineArgs;

    const QUIET: Console = Console { json: false, bars: false, colours: false };

    #[test]
    fn a_tree_has_a_combiner_for_every_fan_in_inputs_and_one_root() {
        assert_eq!([0, 1, 7].map(|inputs| combiners(inputs, None)), [1, 1, 1]);
        assert_eq!([1, 2, 3, 10].map(|inputs| combiners(inputs, Some(2))), [1, 1, 3, 11]);
    }

    #[test]
    fn a_plan_counts_items_bytes_and_records_and_writes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("in.txt"), "a\nb\nc\nd\ne\n").expect("written");
        let pipeline = "\
name: test
inputs:
  lines: {format: text, default: [in.txt]}
stages:
  count:
    split: {input: lines, by: lines, count: 2}
    run: wc -l
  each:
    each: count
    run: cat
  sweep:
    range: 1..20000
    run: 'true'
  report:
    all: [each, sweep]
    run: cat
";
        fs::write(dir.path().join("p.yaml"), pipeline).expect("written");
        let args = PipelineArgs { file: dir.path().join("p.yaml"), input: vec![], param: vec![] };
        let loaded = load::load(&args, QUIET).expect("it is sound");
        let (_, stages) = local::runtime().expect("threads").block_on(plans(loaded)).expect("it can be planned");
        let numbers: Vec<_> = stages.iter().map(|plan| (plan.stage.as_str(), plan.items, plan.bytes)).collect();
        assert_eq!(numbers, [("count", 3, Some(10)), ("each", 3, None), ("sweep", 20_000, None), ("report", 1, None)]);
        assert_eq!(tasks(&stages[2]), "3-20,000");
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 2);
    }
}
