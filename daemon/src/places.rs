//! Where a grid has its things.

use clap::Args;
use infra::aws::settings::{BUCKET, PREFIX, REPORT_QUEUE, TASK_QUEUE};

/// Where a grid has what all its programs use.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// The bucket that holds the grid's objects.
    #[arg(long, env = BUCKET, value_name = "NAME")]
    pub bucket: Option<String>,
    /// What the keys of the grid's objects begin with.
    #[arg(long, env = PREFIX, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// The queue of task messages, by name or URL.
    #[arg(long, env = TASK_QUEUE, value_name = "QUEUE")]
    pub task_queue: Option<String>,
    /// The queue of the workers' reports, by name or URL.
    #[arg(long, env = REPORT_QUEUE, value_name = "QUEUE")]
    pub report_queue: Option<String>,
}

impl Places {
    /// One of them, by the name of its setting.
    pub fn place(&self, name: &str) -> Option<String> {
        match name {
            BUCKET => self.bucket.clone(),
            PREFIX => self.prefix.clone(),
            TASK_QUEUE => self.task_queue.clone(),
            REPORT_QUEUE => self.report_queue.clone(),
            _ => None,
        }
    }
}
