//! The files of a submission: which a caller may have read on its behalf, and what they are now.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grid_api::ProblemError;
use grid_core::identity::command_words;
use grid_core::items::missing_dimensions;
use grid_core::layout;
use grid_core::pipeline::Pipeline;
use infra::inputs::{PinOptions, resolve};
use tokio::time::timeout;

use super::Api;
use super::files::Received;
use super::problem::{Refusal, fault, input_fault, step};
use super::submission::Checked;
use crate::SubmitRequest;

/// Input that is read while the client waits, to know it by its content. What is more is known by what its store says of
/// it, which is as safe, but finds no earlier results where the same bytes lie elsewhere.
const MAX_READ_BYTES: u64 = 256 << 20;

/// How long a client waits at most until its files are found.
const PATIENCE: Duration = Duration::from_secs(120);

/// What jobs may read: the manager reads it with its own rights, which may be more than the submitter's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputPolicy {
    /// What `s3://` URIs must begin with: `s3://bucket/` or `s3://bucket/prefix/`. Any bucket where it is empty.
    pub allowed: Vec<String>,
    /// The grid's own objects: nobody's inputs, since they are those of all tenants.
    pub own: Option<OwnBucket>,
}

/// Where the grid keeps its own objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBucket {
    /// The bucket.
    pub bucket: String,
    /// What keys begin with; empty or with a slash at its end.
    pub prefix: String,
}

/// Top folders of the grid's own objects.
const OWN_FOLDERS: [&str; 6] = ["jobs/", "uploads/", "parts/", "blocks/", "pipelines/", "fleet/"];

impl InputPolicy {
    /// Whether a tenant's job may read what a URI names; the error is for people.
    pub fn check(&self, uri: &str, tenant: &str) -> Result<(), String> {
        match uri.split_once("://") {
            Some(("s3", place)) => self.check_s3(uri, place),
            Some(("grid", key)) if key.starts_with(&layout::early_uploads(tenant)) => Ok(()),
            Some(("grid", _)) => {
                Err(format!("`{uri}` is no upload of yours: take the `uri` that POST /v1/uploads answered"))
            }
            Some((scheme, _)) => Err(format!("`{scheme}://` cannot be read from here: use s3://BUCKET/KEY")),
            None => Err(format!("`{uri}` is no URI: upload the file, or name it as s3://BUCKET/KEY")),
        }
    }

    fn check_s3(&self, uri: &str, place: &str) -> Result<(), String> {
        let Some((bucket, key)) = place.split_once('/').filter(|(bucket, _)| !bucket.is_empty()) else {
            return Err(format!("`{uri}` names no object: write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/"));
        };
        if self.own.as_ref().is_some_and(|own| own.bucket == bucket && own.holds(key)) {
            return Err(format!("`{uri}` lies where the grid keeps its own objects"));
        }
        if self.allowed.is_empty() || self.allowed.iter().any(|prefix| uri.starts_with(prefix.as_str())) {
            return Ok(());
        }
        Err(format!("`{uri}` may not be read by jobs: they may read {}", self.allowed.join(", ")))
    }
}

impl OwnBucket {
    /// Whether some object of the grid can be meant by a key, a prefix or a glob.
    fn holds(&self, key: &str) -> bool {
        let wildcard = key.find(['*', '?', '[']);
        // A key that is no object is looked for as a folder.
        let (fixed, folder) = match wildcard {
            Some(at) => (&key[..at], key[..at].to_owned()),
            None => (key, format!("{}/", key.trim_end_matches('/')).trim_start_matches('/').to_owned()),
        };
        OWN_FOLDERS.iter().any(|own| {
            let own = format!("{}{own}", self.prefix);
            fixed.starts_with(&own) || own.starts_with(&folder)
        })
    }
}

/// Finds the files of a submission beside those that came along, and pins them.
pub(super) async fn pin(
    api: &Api,
    tenant: &str,
    checked: Checked,
    received: &Received,
) -> Result<SubmitRequest, Refusal> {
    let faults = not_allowed(&api.inputs, tenant, &checked);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    let too_long = || {
        let words = "finding the files took too long: name fewer of them, or a narrower prefix";
        Refusal::invalid(vec![fault("#/inputs", words)])
    };
    timeout(PATIENCE, pin_all(api, checked, received)).await.map_err(|_| too_long())?
}

async fn pin_all(api: &Api, checked: Checked, received: &Received) -> Result<SubmitRequest, Refusal> {
    let read = AtomicU64::new(0);
    let known = |uri: &str, size: u64, version: &str| {
        let is_read = read.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= MAX_READ_BYTES;
        (!is_read).then(|| by_version(uri, size, version))
    };
    let options = PinOptions { known: &known, on_bytes: &|_| {}, blocks: Some(&*api.grid.objects) };
    let mut faults: Vec<ProblemError> = Vec::new();
    let mut inputs = received.inputs.clone();
    for (name, uris) in &checked.inputs {
        match resolve(&api.grid.sources, uris, Path::new("/"), options).await {
            Ok(files) => drop(inputs.insert(name.clone(), files)),
            Err(error) => faults.push(input_fault(error, format!("#/inputs{}", step(name)))?),
        }
    }
    let mut lists = received.lists.clone();
    for (stage, uri) in &checked.lists {
        let pointer = format!("#/lists{}", step(stage));
        match resolve(&api.grid.sources, std::slice::from_ref(uri), Path::new("/"), options).await {
            Ok(mut files) => match (files.len(), files.pop()) {
                (1, Some(file)) => drop(lists.insert(stage.clone(), file)),
                (count, _) => faults.push(fault(pointer, format!("{uri} names {count} files, where a list is one"))),
            },
            Err(error) => faults.push(input_fault(error, pointer)?),
        }
    }
    if faults.is_empty() {
        let missing = missing_dimensions(&checked.pipeline, &inputs);
        faults.extend(missing.into_iter().map(|words| fault("#/pipeline", words)));
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    let Checked { pipeline, params, .. } = checked;
    let programs = programs(&pipeline, received);
    Ok(SubmitRequest { pipeline, params, inputs, lists, workdir: String::new(), programs })
}

/// The programs that came along and that commands name, by the word that names them.
fn programs(pipeline: &Pipeline, received: &Received) -> BTreeMap<String, String> {
    let words = pipeline.stages.iter().flat_map(command_words);
    let named = words.filter_map(|word| {
        let program = received.programs.get(word.strip_prefix("./").unwrap_or(word))?;
        let digest = program.digest.strip_prefix("blake3:").unwrap_or(&program.digest);
        Some((word.to_owned(), digest[..32].to_owned()))
    });
    named.collect()
}

fn not_allowed(policy: &InputPolicy, tenant: &str, checked: &Checked) -> Vec<ProblemError> {
    let inputs = checked.inputs.iter().flat_map(|(name, uris)| uris.iter().map(move |uri| ("#/inputs", name, uri)));
    let lists = checked.lists.iter().map(|(stage, uri)| ("#/lists", stage, uri));
    let wrong = |(at, name, uri): (&str, &String, &String)| {
        let words = policy.check(uri, tenant).err()?;
        Some(fault(format!("{at}{}", step(name)), words))
    };
    inputs.chain(lists).filter_map(wrong).collect()
}

/// Stands for the content of an object that is not read: where it lies, and which version it is.
fn by_version(uri: &str, size: u64, version: &str) -> String {
    let digest = blake3::hash(format!("{uri}\n{size}\n{version}").as_bytes());
    format!("version:{}", digest.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allowed: &[&str]) -> InputPolicy {
        let own = OwnBucket { bucket: "grid".into(), prefix: "prod/".into() };
        InputPolicy { allowed: allowed.iter().map(|it| (*it).to_owned()).collect(), own: Some(own) }
    }

    #[test]
    fn the_grids_own_objects_are_nobodys_inputs() {
        let policy = policy(&[]);
        let keys =
            ["prod/jobs/1/job.json", "prod/", "prod", "", "*", "p*", "prod/jobs", "prod/up*", "prod/?obs/x", "/"];
        for key in keys {
            assert!(policy.check(&format!("s3://grid/{key}"), "").is_err(), "{key}");
        }
        for key in ["prod/inputs/x", "jobs/x", "production/", "prod/job", "inputs/*", "prod/inputs/*.csv"] {
            assert_eq!(policy.check(&format!("s3://grid/{key}"), ""), Ok(()), "{key}");
        }
        assert_eq!(policy.check("s3://other/prod/jobs/x", ""), Ok(()));
    }

    #[test]
    fn only_what_is_allowed_is_read() {
        let policy = policy(&["s3://data/finance/", "s3://open/"]);
        for uri in ["s3://data/finance/a.csv", "s3://open/x"] {
            assert_eq!(policy.check(uri, ""), Ok(()), "{uri}");
        }
        for uri in
            ["s3://data/", "s3://data/finance", "s3://data/sales/x", "s3://opened/x", "s3://", "s3:///x", "s3://open"]
        {
            assert!(policy.check(uri, "").is_err(), "{uri}");
        }
    }

    #[test]
    fn uploads_are_read_by_their_tenant_and_nothing_else_by_its_scheme() {
        let policy = InputPolicy::default();
        let own = format!("grid://{}1/a.csv", layout::early_uploads("finance"));
        assert_eq!(policy.check(&own, "finance"), Ok(()));
        for other in ["", "fin", "finances"] {
            assert!(policy.check(&own, other).is_err(), "{other}");
        }
        for uri in
            ["grid://jobs/1/job.json", "grid://uploads/", "file:///etc/passwd", "http://x/", "a.csv", "/etc/passwd", ""]
        {
            assert!(policy.check(uri, "finance").is_err(), "{uri}");
        }
    }
}
