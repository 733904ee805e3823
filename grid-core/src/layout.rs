//! Where everything lies in the bucket (INTERFACE §4): the only place that spells object keys.

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

/// Tells the workers that a job is cancelled.
pub fn tombstone(job: &JobId) -> String {
    format!("jobs/{job}/cancelled")
}

/// The balance of a finished job.
pub fn receipt(job: &JobId) -> String {
    format!("jobs/{job}/receipt.json")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_lies_where_the_interface_says() {
        let job = JobId::new("0190");
        let key = manifest(&job, &StageName::new("clean"), AttemptKey { first: 12, attempt: 3 });
        let (prefix, rest) = key.split_at("jobs/0190/clean/done/".len());
        assert_eq!(prefix, "jobs/0190/clean/done/");
        assert_eq!(&rest[2..], "/0000000012.3.json");
    }
}
