//! What must hold between the parts of a pipeline: references, the graph, and what templates name.

mod graph;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use self::graph::Graph;
use super::fault::Collector;
use super::model::{Format, ItemSource, Per, Pipeline, Split};
use super::read::{Draft, StageDraft};
use crate::ids::StageName;
use crate::split::rule::FOR_BINARY;

/// Tells what is wrong between the parts; the pipeline, unless any fault was told at all.
pub(super) fn check(mut draft: Draft, faults: &mut Collector<'_>) -> Option<Pipeline> {
    let graph = Graph::of(&draft.stages, faults);
    for stage in &draft.stages {
        check_input(stage, &draft, faults);
        check_upstream(stage, &draft.stages, &graph, faults);
    }
    uses::check(&draft, &graph, faults);
    let outputs = outputs(&draft, &graph, faults);
    if !faults.is_empty() {
        return None;
    }
    let drafts = std::mem::take(&mut draft.stages);
    let mut stages: BTreeMap<usize, StageDraft> = drafts.into_iter().enumerate().collect();
    let stages = graph.order.iter().filter_map(|at| stages.remove(at)).map(|draft| draft.stage).collect();
    let Draft { name, params, inputs, terms, tenant, .. } = draft;
    Some(Pipeline { name, params, inputs, stages, outputs, terms, tenant })
}

fn check_input(stage: &StageDraft, draft: &Draft, faults: &mut Collector<'_>) {
    let Some(named) = &stage.input else {
        return;
    };
    let Some(input) = draft.inputs.get(&named.name) else {
        let message = format!("there is no input `{}`", named.name);
        faults.nearest(&named.at, message, &named.name, draft.inputs.keys().map(String::as_str));
        return;
    };
    let ItemSource::Split(Split { by, .. }) = &stage.stage.items else {
        return;
    };
    if input.format == Format::Binary && by.counts_records() {
        let message = format!("the input `{}` is binary: it has no lines and no records", named.name);
        faults.help(&named.at, message, format!("split it {FOR_BINARY}"));
    }
}

/// Outputs of `per: bundle` have no borders between items: only a stage that takes everything can follow.
fn check_upstream(stage: &StageDraft, stages: &[StageDraft], graph: &Graph, faults: &mut Collector<'_>) {
    if !stage.has_source || !matches!(stage.stage.items, ItemSource::Each(_) | ItemSource::Group { .. }) {
        return;
    }
    for named in &stage.upstream {
        let upstream = graph.position(&named.name).map(|at| &stages[at].stage);
        if upstream.is_some_and(|upstream| upstream.per == Per::Bundle) {
            let message =
                format!("the outputs of `{}` have no borders between items: it runs `per: bundle`", named.name);
            faults.help(&named.at, message, "only `all` can follow it; or let it run `per: item` or `per: worker`");
        }
    }
}

fn outputs(draft: &Draft, graph: &Graph, faults: &mut Collector<'_>) -> Vec<StageName> {
    let Some(listed) = &draft.outputs else {
        let consumed: BTreeSet<&str> =
            draft.stages.iter().flat_map(|stage| &stage.upstream).map(|named| named.name.as_str()).collect();
        let names = graph.order.iter().map(|&at| &draft.stages[at].stage.name);
        return names.filter(|name| !consumed.contains(name.as_str())).cloned().collect();
    };
    for named in listed {
        if graph.position(&named.name).is_none() {
            let message = format!("there is no stage `{}`", named.name);
            faults.nearest(&named.at, message, &named.name, draft.stages.iter().map(|s| s.stage.name.as_str()));
        }
    }
    listed.iter().map(|named| StageName::new(&named.name)).collect()
}
