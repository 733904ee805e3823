//! Which attempts of a stage have ended, shard by shard, from the manifests themselves: the truth about what is done.

use grid_core::ids::{AttemptKey, ItemIndex, JobId, StageName};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use infra::Result;
use infra::objects::ObjectStore;

/// Keys in one answer of a store; S3 gives 1,000.
const PAGE: usize = 1_000;

/// The attempts at tasks of one shard that have a manifest, ascending by first item, then by attempt.
pub async fn ended_attempts(
    objects: &dyn ObjectStore,
    job: &JobId,
    stage: &StageName,
    shard: u32,
) -> Result<Vec<AttemptKey>> {
    let first = shard.saturating_mul(SHARD_ITEMS);
    let folder = folder_of(job, stage, first);
    // Attempts count from 1, so this comes before every manifest of the shard.
    let mut after = layout::manifest(job, stage, AttemptKey { first, attempt: 0 });
    let mut found = Vec::new();
    loop {
        let page = objects.list(&folder, Some(&after), PAGE).await?;
        for meta in &page {
            let Some(key) = attempt_of(&meta.key[folder.len()..]) else { continue };
            if key.first / SHARD_ITEMS != shard {
                found.sort_unstable();
                return Ok(found);
            }
            found.push(key);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after.clone_from(&last.key),
            // Names do not sort by attempt once those have two digits.
            Some(_) | None => {
                found.sort_unstable();
                return Ok(found);
            }
        }
    }
}

/// The folder in which the manifests of the shard that begins at `first` lie.
fn folder_of(job: &JobId, stage: &StageName, first: ItemIndex) -> String {
    let key = layout::manifest(job, stage, AttemptKey { first, attempt: 1 });
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    key[..name].to_owned()
}

/// Reads `0000000012.3.json`.
fn attempt_of(name: &str) -> Option<AttemptKey> {
    let (first, attempt) = name.strip_suffix(".json")?.split_once('.')?;
    Some(AttemptKey { first: first.parse().ok()?, attempt: attempt.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_name_is_read_back() {
        let (job, stage) = (JobId::new("0190"), StageName::new("clean"));
        let key = AttemptKey { first: 8_200, attempt: 12 };
        let name = layout::manifest(&job, &stage, key);
        assert_eq!(attempt_of(&name[folder_of(&job, &stage, 8_192).len()..]), Some(key));
        assert_eq!(attempt_of("summary.json"), None);
    }
}
