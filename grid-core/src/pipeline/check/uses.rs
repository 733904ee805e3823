//! What is named by `by` and by templates must exist.

use std::collections::BTreeMap;

use super::Graph;
use crate::ids::StageName;
use crate::items::dims::{Dims, dims_of};
use crate::items::source::count_of_computed;
use crate::pipeline::fault::Collector;
use crate::pipeline::model::{ItemSource, Param, Per, Stage, TemplatePart};
use crate::pipeline::read::{Draft, StageDraft, Use};

/// What may be named in a template.
struct Scope<'d> {
    params: &'d BTreeMap<String, Param>,
    item: Result<Option<Dims>, &'static str>,
}

pub(super) fn check(draft: &Draft, graph: &Graph, faults: &mut Collector<'_>) {
    let mut known: BTreeMap<StageName, Dims> = BTreeMap::new();
    for &at in &graph.order {
        let stage = &draft.stages[at];
        let dims = if stage.has_source { dims_of(&stage.stage.items, |name| known.get(name).cloned()) } else { None };
        check_by(stage, &known, faults);
        check_templates(stage, &draft.params, dims.clone(), faults);
        if let Some(dims) = dims {
            known.insert(stage.stage.name.clone(), dims);
        }
    }
    let told: std::collections::BTreeSet<usize> = graph.order.iter().copied().collect();
    for (_, stage) in draft.stages.iter().enumerate().filter(|(at, _)| !told.contains(at)) {
        check_templates(stage, &draft.params, None, faults);
    }
}

/// Every stage that is grouped must have the dimensions.
fn check_by(draft: &StageDraft, known: &BTreeMap<StageName, Dims>, faults: &mut Collector<'_>) {
    for named in &draft.by {
        for upstream in &draft.upstream {
            let Some(dims) = known.get(&StageName::new(&upstream.name)) else {
                continue;
            };
            if !dims.may_have(&named.name) {
                let message = format!("the items of `{}` have no dimension `{}`", upstream.name, named.name);
                faults.nearest(&named.at, message, &named.name, dims.names.iter().map(String::as_str));
            }
        }
    }
}

fn check_templates(
    draft: &StageDraft,
    params: &BTreeMap<String, Param>,
    dims: Option<Dims>,
    faults: &mut Collector<'_>,
) {
    let in_process = match draft.stage.per {
        Per::Item => Ok(dims.clone()),
        Per::Bundle => Err("a process serves several items with `per: bundle`"),
        Per::Worker => Err("a process serves many items with `per: worker`, and is told each by NDJSON"),
    };
    let in_setup = Err("`setup` runs once a worker");
    let in_name = if draft.stage.per == Per::Bundle { in_process.clone() } else { Ok(dims) };
    check_uses(&draft.uses, &Scope { params, item: in_process }, faults);
    check_uses(&draft.setup_uses, &Scope { params, item: in_setup }, faults);
    if let Some((at, uses)) = &draft.output_name {
        check_uses(uses, &Scope { params, item: in_name }, faults);
        let tells_items_apart = uses.iter().any(|used| !matches!(used.part, TemplatePart::Param(_)));
        if draft.has_source && !tells_items_apart && !has_one_item(&draft.stage) {
            let help = match draft.stage.per {
                Per::Bundle => "leave `name` out",
                Per::Item | Per::Worker => "put `${{ item }}` or a `${{ key.DIMENSION }}` in it",
            };
            faults.help(at, "all items of the stage would have an output of this name", help);
        }
    }
}

fn check_uses(uses: &[Use], scope: &Scope<'_>, faults: &mut Collector<'_>) {
    for used in uses {
        match (&used.part, &scope.item) {
            (TemplatePart::Text(_), _) => {}
            (TemplatePart::Param(name), _) => {
                if !scope.params.contains_key(name) {
                    let message = format!("there is no parameter `{name}`");
                    faults.nearest(&used.at, message, name, scope.params.keys().map(String::as_str));
                }
            }
            (TemplatePart::Key(_) | TemplatePart::Item, Err(why)) => {
                faults.at(&used.at, format!("there is no single item here: {why}"));
            }
            (TemplatePart::Key(dim), Ok(Some(dims))) if !dims.may_have(dim) => {
                let message = format!("the items of this stage have no dimension `{dim}`");
                faults.nearest(&used.at, message, dim, dims.names.iter().map(String::as_str));
            }
            (TemplatePart::Key(_) | TemplatePart::Item, Ok(_)) => {}
        }
    }
}

fn has_one_item(stage: &Stage) -> bool {
    matches!(stage.items, ItemSource::All { fan_in: None, .. }) || count_of_computed(&stage.items) == Some(1)
}
