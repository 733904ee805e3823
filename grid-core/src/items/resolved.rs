//! Dimensions that the pipeline file leaves open, checked when the files of the inputs are known: before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use super::dims::{Dims, FILE_DIM, PART_DIM, dims_of, slice_key};
use crate::ids::StageName;
use crate::pipeline::{Command, ItemSource, Pipeline, Stage, Template, TemplatePart};
use crate::submission::PinnedFile;

/// Every dimension that `by` or a template names and that the items cannot have, with these files; a sentence each.
/// The fields of a list file stay open: they are known when it is read.
pub fn missing_dimensions(pipeline: &Pipeline, inputs: &BTreeMap<String, Vec<PinnedFile>>) -> Vec<String> {
    let mut known: BTreeMap<&StageName, Dims> = BTreeMap::new();
    let mut faults = Vec::new();
    for stage in &pipeline.stages {
        let dims = match &stage.items {
            ItemSource::Split(split) => file_dims(inputs.get(&split.input).map_or(&[], Vec::as_slice)),
            other => dims_of(other, |name| known.get(name).cloned()).unwrap_or_default(),
        };
        if let ItemSource::Group { stages, by } = &stage.items {
            for (upstream, dim) in stages.iter().flat_map(|upstream| by.iter().map(move |dim| (upstream, dim))) {
                if known.get(upstream).is_some_and(|dims| !dims.may_have(dim)) {
                    faults.push(sentence(&format!("`{}` groups by `{dim}`", stage.name), upstream, dim));
                }
            }
        }
        for dim in named(stage).into_iter().filter(|dim| !dims.may_have(dim)) {
            faults.push(sentence(&format!("`{}` names `{dim}` in a template", stage.name), &stage.name, dim));
        }
        known.insert(&stage.name, dims);
    }
    faults
}

fn sentence(what: &str, stage: &StageName, dim: &str) -> String {
    format!(
        "stage {what}, which the items of `{stage}` do not have: an input's files have it when they lie in folders \
         `{dim}=VALUE`"
    )
}

/// What the slices of all these files have. Without any file there is no item that could lack something.
fn file_dims(files: &[PinnedFile]) -> Dims {
    let dims_of_file = |file: &PinnedFile| {
        slice_key(std::iter::once(file.name.as_str()), 0)
            .0
            .into_iter()
            .map(|(dim, _)| dim)
            .collect::<BTreeSet<String>>()
    };
    let Some(common) = files.iter().map(dims_of_file).reduce(|a, b| &a & &b) else {
        return Dims { names: vec![FILE_DIM.into(), PART_DIM.into()], is_open: true };
    };
    Dims { names: common.into_iter().collect(), is_open: false }
}

/// The dimensions that the stage's templates name.
fn named(stage: &Stage) -> BTreeSet<&str> {
    let run: &[Template] = match &stage.run {
        Command::Shell(template) => std::slice::from_ref(template),
        Command::Argv(templates) => templates,
    };
    let templates = run.iter().chain(stage.env.values()).chain(&stage.output.name);
    templates.flat_map(Template::expressions).filter_map(dim_of).collect()
}

fn dim_of(part: &TemplatePart) -> Option<&str> {
    if let TemplatePart::Key(dim) = part { Some(dim) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parse;
    use crate::submission::Compression;

    const PIPELINE: &str = "name: n
inputs: {in: {}}
stages:
  clean: {split: {input: in, by: files}, run: 'x ${{ key.region }}'}
  again: {each: clean, run: [x], output: {name: '${{ key.part }}'}}
  report: {group: again, by: [region, year], run: x}
";

    fn missing(files: &[&str]) -> Vec<String> {
        let pinned = |name: &&str| PinnedFile {
            uri: format!("file:///data/{name}"),
            name: (*name).to_owned(),
            size: 1,
            version: "1".into(),
            digest: "d".into(),
            compression: Compression::None,
        };
        let inputs = BTreeMap::from([("in".to_owned(), files.iter().map(pinned).collect())]);
        missing_dimensions(&parse(PIPELINE, "p.yaml").unwrap(), &inputs)
    }

    #[test]
    fn folders_give_the_dimensions_or_the_job_does_not_start() {
        assert_eq!(missing(&["region=eu/year=1/a", "year=2/region=us/b"]), Vec::<String>::new());
        assert_eq!(missing(&[]), Vec::<String>::new());
        assert_eq!(
            missing(&["region=eu/year=1/a", "region=eu/b"]),
            ["stage `report` groups by `year`, which the items of `again` do not have: an input's files have it when \
              they lie in folders `year=VALUE`"]
        );
        assert_eq!(missing(&["a", "region=eu/year=1/b"]).len(), 3);
    }
}
