//! What the items of a stage are called.

use std::sync::Arc;

use grid_core::ids::{ItemIndex, StageItems, StageName};
use grid_core::items::Key;
use grid_core::job::Job;
use grid_core::pipeline::ItemSource;
use grid_core::wire::KeySource;
use infra::objects::ObjectStore;
use infra::plan::PlanReader;
use infra::{Error, ErrorKind, Result, keys};

/// Reads the keys of a job's items.
#[derive(Debug)]
pub(crate) struct Keys {
    plans: PlanReader,
}

impl Keys {
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { plans: PlanReader::new(objects) }
    }

    /// The keys of items `first .. first + count` of a stage.
    pub async fn of(&self, job: &Job, stage: &StageName, first: ItemIndex, count: u32) -> Result<Vec<Key>> {
        let mut found = Vec::with_capacity(count as usize);
        for source in sources(job, stage, first, count) {
            found.extend(keys::keys(&self.plans, job.submission(), &source).await?);
        }
        match found.len() == count as usize {
            true => Ok(found),
            false => Err(Error::new(ErrorKind::Invalid, format!("stage {stage} has no {count} items from #{first}"))),
        }
    }
}

/// Where the keys of some items come from, in order.
fn sources(job: &Job, stage: &StageName, first: ItemIndex, count: u32) -> Vec<KeySource> {
    let own = || vec![KeySource::Items(StageItems { stage: stage.clone(), first, count })];
    match job.submission().pipeline.stage(stage).map(|stage| &stage.items) {
        Some(ItemSource::Each(_)) => chained(job, stage, first, count),
        Some(ItemSource::All { .. }) => {
            let outputs = chained(job, stage, first, count);
            // The combiners below the root of a tree are nobody's output.
            if outputs.len() == count as usize { outputs } else { (first..first + count).map(combiner).collect() }
        }
        Some(ItemSource::Split(_) | ItemSource::Matrix(_) | ItemSource::Range(_) | ItemSource::List(_)) => own(),
        Some(ItemSource::Group { .. }) | None => own(),
    }
}

/// The parts of a stage's key runs that lie in `first .. first + count`.
fn chained(job: &Job, stage: &StageName, first: ItemIndex, count: u32) -> Vec<KeySource> {
    let end = first.saturating_add(count);
    let part = |(run, source): (StageItems, KeySource)| {
        let (from, to) = (run.first.max(first), run.first.saturating_add(run.count).min(end));
        (from < to).then(|| part_of(source, from - run.first, to - from))
    };
    job.key_runs(stage).into_iter().filter_map(part).collect()
}

fn part_of(source: KeySource, skip: u32, count: u32) -> KeySource {
    match source {
        KeySource::Given(key) => KeySource::Given(key),
        KeySource::Items(items) => {
            KeySource::Items(StageItems { first: items.first.saturating_add(skip), count, ..items })
        }
    }
}

fn combiner(item: ItemIndex) -> KeySource {
    KeySource::Given(Key(vec![("part".into(), item.to_string())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_run_of_keys_begins_later_and_is_shorter() {
        let stage = StageName::new("clean");
        let run = KeySource::Items(StageItems { stage: stage.clone(), first: 10, count: 90 });
        assert_eq!(part_of(run, 5, 2), KeySource::Items(StageItems { stage, first: 15, count: 2 }));
    }
}
