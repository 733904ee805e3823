//! Where everything lies in the bucket (INTERFACE §4): the only place that spells object keys.

use std::collections::BTreeMap;

use crate::ids::{AttemptKey, ItemIndex, JobId, MachineId, StageName};
use crate::limits::SHARD_ITEMS;

/// The folder of all jobs.
pub const JOBS: &str = "jobs/";

/// The folder of a job.
pub fn job_folder(job: &JobId) -> String {
    format!("{JOBS}{job}/")
}

/// The submission as accepted; immutable.
pub fn submission(job: &JobId) -> String {
    format!("jobs/{job}/job.json")
}

/// A raw upload, or what was read from standard input.
pub fn upload(job: &JobId, input: &str, file: &str) -> String {
    format!("jobs/{job}/input/{input}/{file}")
}

/// A file for the folder in which commands run, by its path there.
pub fn program(job: &JobId, path: &str) -> String {
    format!("jobs/{job}/program/{path}")
}

/// A file that was uploaded before the job that reads it. The tenant is in hex, so that one's names are no prefix of
/// another's.
pub fn early_upload(tenant: &str, upload: &str, file: &str) -> String {
    format!("uploads/{}/{upload}/{file}", tenant_folder(tenant))
}

/// What `grid://` URIs of a tenant's uploads begin with, behind the scheme.
pub fn early_uploads(tenant: &str) -> String {
    format!("uploads/{}/", tenant_folder(tenant))
}

/// A part of a file that is uploaded to a store without uploads of its own; removed when the file is complete.
pub fn upload_part(upload: &str, number: u32) -> String {
    format!("parts/{upload}/{number:05}")
}

/// The text of a version of a pipeline that a tenant has put; created once.
pub fn pipeline(tenant: &str, name: &str, version: u32) -> String {
    format!("pipelines/{}/{name}/{version:010}", tenant_folder(tenant))
}

/// `t` and the bytes of the tenant's name.
fn tenant_folder(tenant: &str) -> String {
    tenant.bytes().fold("t".to_owned(), |folder, byte| format!("{folder}{byte:02x}"))
}

/// The order about a machine of the fleet, while there is one.
pub fn machine_order(machine: &MachineId) -> String {
    format!("fleet/{machine}/order.json")
}

/// What the leader of a grid with a fleet writes anew from time to time, so that workers see that there is one.
pub fn manager_sign() -> String {
    "fleet/manager.json".to_owned()
}

/// The digests of a file's blocks (see [`blocks`](crate::blocks)), under the digest of the file; created once. A file that
/// is divided in another way needs another key.
pub fn blocks(digest: &str) -> String {
    format!("blocks/{digest}")
}

/// Items `chunk * SHARD_ITEMS ..` of a planned stage; immutable.
pub fn plan_chunk(job: &JobId, stage: &StageName, chunk: u32) -> String {
    format!("jobs/{job}/{stage}/plan/{chunk:06}.json")
}

/// What was planned in all: written last, once.
pub fn plan_summary(job: &JobId, stage: &StageName) -> String {
    format!("jobs/{job}/{stage}/plan/summary.json")
}

/// The upstream attempts of one task, where they are too many for its message; immutable.
pub fn task_inputs(job: &JobId, stage: &StageName, key: AttemptKey) -> String {
    format!("jobs/{job}/{stage}/plan/inputs/{}/{key}.json", spread(job, stage, key.first))
}

/// What one execution of an attempt wrote; visible only through the manifest that names it.
pub fn data(job: &JobId, stage: &StageName, key: AttemptKey, nonce: &str) -> String {
    format!("jobs/{job}/{stage}/data/{}/{key}-{nonce}", spread(job, stage, key.first))
}

/// How an attempt ended; created once.
pub fn manifest(job: &JobId, stage: &StageName, key: AttemptKey) -> String {
    format!("jobs/{job}/{stage}/done/{}/{key}.json", spread(job, stage, key.first))
}

/// Standard error of an attempt's items.
pub fn log(job: &JobId, stage: &StageName, key: AttemptKey, nonce: &str) -> String {
    format!("jobs/{job}/{stage}/logs/{}/{key}-{nonce}.ndjson", spread(job, stage, key.first))
}

/// What the checkpoints of an item begin with; those of other values of parameters (`set`, what a redrive has set) are apart.
pub fn checkpoints(job: &JobId, stage: &StageName, item: ItemIndex, set: &BTreeMap<String, String>) -> String {
    let spread = spread(job, stage, item);
    if set.is_empty() {
        return format!("jobs/{job}/{stage}/checkpoints/{spread}/{item:010}/");
    }
    let set = digest(set);
    format!("jobs/{job}/{stage}/checkpoints/{spread}/{item:010}-{set}/")
}

/// A checkpoint of an item, by the attempt and its number, counted along its attempts: names sort from old to new. Created
/// once; `folder` is that of [`checkpoints`].
pub fn checkpoint(folder: &str, attempt: u32, number: u32, nonce: &str) -> String {
    format!("{folder}{attempt:010}.{number:010}-{nonce}")
}

/// The number of the checkpoint of that name.
pub fn checkpoint_number(key: &str) -> Option<u32> {
    let (_, name) = key.rsplit_once('/')?;
    name.split_once('.')?.1.split_once('-')?.0.parse().ok()
}

/// Tells the workers that a round of a job was stopped; created once.
pub fn tombstone(job: &JobId, round: u32) -> String {
    format!("jobs/{job}/cancelled{}", of_round(round))
}

/// How a round of a job ended: its balance; created once.
pub fn receipt(job: &JobId, round: u32) -> String {
    format!("jobs/{job}/receipt{}.json", of_round(round))
}

/// Which failed items are run again in a round, and how; created once, before any of them is handed out.
pub fn redrive(job: &JobId, round: u32) -> String {
    format!("jobs/{job}/redrive{}.json", of_round(round))
}

/// The first round, in which nothing is run again, has no number.
fn of_round(round: u32) -> String {
    if round == 0 { String::new() } else { format!(".{round}") }
}

/// Two hash digits, the same for all items of a shard, so that the store can spread the load (3,500 writes a second a
/// prefix on S3).
fn spread(job: &JobId, stage: &StageName, item: ItemIndex) -> String {
    let mut hash = crc32fast::Hasher::new();
    hash.update(job.as_str().as_bytes());
    hash.update(stage.as_str().as_bytes());
    hash.update(&(item / SHARD_ITEMS).to_le_bytes());
    format!("{:02x}", hash.finalize() & 0xff)
}

/// Names a set of values; nothing is read back from it.
fn digest(set: &BTreeMap<String, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in set.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_sort_from_old_to_new_and_apart_by_what_a_redrive_has_set() {
        let (job, stage) = (JobId::new("0190"), StageName::new("clean"));
        let plain = checkpoints(&job, &stage, 7, &BTreeMap::new());
        let set = |value: &str| checkpoints(&job, &stage, 7, &BTreeMap::from([("a".into(), value.into())]));
        assert!(plain.starts_with("jobs/0190/clean/checkpoints/") && plain.ends_with("/0000000007/"));
        assert!(set("1") != set("2") && !set("1").starts_with(&plain));
        let names =
            [(1, 2), (1, 10), (2, 3), (10, 4)].map(|(attempt, number)| checkpoint(&plain, attempt, number, "f0"));
        assert!(names.is_sorted());
        assert_eq!(names.each_ref().map(|name| checkpoint_number(name)), [Some(2), Some(10), Some(3), Some(4)]);
        assert_eq!(checkpoint_number(&plain), None);
    }

    #[test]
    fn a_manifest_lies_where_the_interface_says() {
        let job = JobId::new("0190");
        let key = manifest(&job, &StageName::new("clean"), AttemptKey { first: 12, attempt: 3 });
        let (prefix, rest) = key.split_at("jobs/0190/clean/done/".len());
        assert_eq!(prefix, "jobs/0190/clean/done/");
        assert_eq!(&rest[2..], "/0000000012.3.json");
    }

    #[test]
    fn every_round_has_a_tombstone_and_a_receipt_of_its_own() {
        let job = JobId::new("0190");
        assert_eq!([tombstone(&job, 0), tombstone(&job, 1)], ["jobs/0190/cancelled", "jobs/0190/cancelled.1"]);
        assert_eq!([receipt(&job, 0), receipt(&job, 12)], ["jobs/0190/receipt.json", "jobs/0190/receipt.12.json"]);
        assert_eq!(redrive(&job, 1), "jobs/0190/redrive.1.json");
    }
}
