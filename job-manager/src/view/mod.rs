//! Reads a job for people: where it stands, what became of its items, what they wrote. Changes nothing, so that it may
//! be used beside a running grid.

mod attempts;
mod dead;
mod fates;
mod find;
mod items;
mod job;
mod jobs;
mod keys;
mod listing;
mod logs;
pub mod outputs;
mod story;
mod waits;
mod workers;

pub use attempts::ended_attempts;
pub use dead::DeadLetters;
pub use fates::{Fate, Fates};
pub use find::find_item;
pub use items::{DeadPage, ItemFilter, ItemPage, ItemPlace, list_dead, list_items};
pub use job::{JobView, receipt};
pub use jobs::{JobHead, NoSuchJob, all_jobs, choose, newest, submission};
pub(crate) use keys::Keys;
pub use listing::{Detail, JobFilter, JobPage, list_jobs, summary};
pub use logs::{FollowedLogs, ItemLog, Logs};
pub use story::{outcome, story};
pub use workers::{pools, workers};
