//! A job as it was submitted: the pipeline with values for its parameters and files for its inputs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::limits::WIRE_VERSION;
use crate::pipeline::Pipeline;

/// The content of `job.json`; immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// [`WIRE_VERSION`].
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// When it was accepted.
    pub submitted: Timestamp,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// A value for every parameter.
    pub params: BTreeMap<String, String>,
    /// The files of every input, pinned, in reading order.
    pub inputs: BTreeMap<String, Vec<PinnedFile>>,
    /// The files of every `list: FILE`, pinned, by stage name.
    #[serde(default)]
    pub lists: BTreeMap<String, PinnedFile>,
    /// The folder in which commands run: that of the pipeline file. Empty when the job came over HTTP: then a worker makes
    /// a folder that holds [`program_files`](Self::program_files).
    pub workdir: String,
    /// The programs of that folder that commands name, with the digests that they had: a changed one makes other
    /// results.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, String>,
    /// The files that came along with the submission, ascending by path; they lie under
    /// [`layout::program`](crate::layout::program).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub program_files: Vec<ProgramFile>,
    /// On whose behalf; empty where there are no tenants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
}

impl Submission {
    /// A submission without parameters, inputs, programs and a tenant; its commands run in the folder `workdir`.
    pub fn new(job: JobId, submitted: Timestamp, workdir: impl Into<String>, pipeline: Pipeline) -> Self {
        Self {
            v: WIRE_VERSION,
            job,
            submitted,
            pipeline,
            params: BTreeMap::new(),
            inputs: BTreeMap::new(),
            lists: BTreeMap::new(),
            workdir: workdir.into(),
            programs: BTreeMap::new(),
            program_files: Vec::new(),
            tenant: String::new(),
        }
    }

    /// When it was accepted, Unix milliseconds.
    pub fn submitted_ms(&self) -> u64 {
        u64::try_from(self.submitted.as_millisecond()).unwrap_or(0)
    }

    /// When the job is due, Unix milliseconds; `None` without a deadline.
    pub fn due_ms(&self) -> Option<u64> {
        let deadline = self.pipeline.terms.deadline?;
        Some(self.submitted_ms().saturating_add(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)))
    }

    /// When a task has to start at the latest that takes so many seconds and is to end before the job is due, Unix milliseconds;
    /// `None` without a deadline.
    pub fn start_by_ms(&self, task_secs: f64) -> Option<u64> {
        Some(self.due_ms()?.saturating_sub((task_secs * 1e3) as u64))
    }
}

/// A file for the folder in which commands run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile {
    /// Its path in that folder, `/` between its parts; never absolute, never `.` or `..`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// `blake3:` and the hex digits of its digest.
    pub digest: String,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A file of an input, pinned: reading it fails with reason `input` when it is no longer the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PinnedFile {
    /// `file:///..` or `s3://bucket/key`; the scheme chooses the store.
    pub uri: String,
    /// The item's dimension `file`: the path relative to the folder or glob it was found under, else the file name.
    pub name: String,
    /// Bytes as stored (compressed, if so).
    pub size: u64,
    /// What the store says about this version: modification time in nanoseconds, or ETag.
    pub version: String,
    /// BLAKE3 of the stored bytes, or the store's own checksum: what the file *is*, wherever and whenever it lies.
    pub digest: String,
    /// How it is compressed, seen by its first bytes.
    pub compression: Compression,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// bzip2, any number of streams.
    Bzip2,
}

impl Compression {
    /// Told by the first bytes of a file; six are enough.
    pub fn sniff(first_bytes: &[u8]) -> Self {
        match first_bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
                Self::Bzip2
            }
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::terms::Terms;

    #[test]
    fn a_task_starts_in_time_for_it_to_end_when_the_job_is_due() {
        let mut job = Submission::new(JobId::new("job"), Timestamp::UNIX_EPOCH, "/", Pipeline::new("test", Vec::new()));
        job.submitted = Timestamp::from_millisecond(1_000).unwrap();
        assert_eq!((job.due_ms(), job.start_by_ms(1.5)), (None, None));
        job.pipeline.terms = Terms { deadline: Some(Duration::from_secs(60)), ..Terms::default() };
        assert_eq!((job.due_ms(), job.start_by_ms(1.5)), (Some(61_000), Some(59_500)));
        assert_eq!(job.start_by_ms(100.0), Some(0), "it is late already");
    }
}
