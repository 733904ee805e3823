//! A job's own row: where the job stands. The leader writes it, and so does whoever wishes something of the job: which
//! of two writes came first is for the state table to say, and the second is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lifecycle::Ending;
use super::rows::{LoadError, META, StoredRow, is_zero, parse};
use super::state::{Job, JobState};
use crate::filter::Filter;
use crate::ids::StageName;
use crate::limits::WIRE_VERSION;
use crate::spending::Spending;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// [`WIRE_VERSION`].
    pub v: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it stands there, where that needs a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it came to an end, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// What the leader has still to do about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Ending>,
    /// The failed items that the leader has still to run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive: Option<Redrive>,
    /// The parameters that redrives have set; tasks name them by their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<BTreeMap<String, String>>,
    /// Items of every stage that had been given up on when this round began, and do not run again in it: they stop nothing of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_dead: BTreeMap<StageName, u64>,
    /// How often failed items of it were run again. Each round has a tombstone and a receipt of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
    /// What was asked of services for the ends of its rounds.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    pub spending: Spending,
}

/// Failed items to run again, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Redrive {
    /// Which ones; all without it.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Values of parameters for these items alone, in place of the job's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Their stages' memory limits are this many times what the pipeline says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_factor: Option<f64>,
}

/// What somebody wishes of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// It ends, and so does what runs of it.
    Cancel,
    /// Nothing more of it is handed out; what runs goes on to its end.
    Pause,
    /// It goes on after a pause.
    Resume,
    /// It has ended, and failed items of it run again.
    Redrive(Redrive),
}

impl Meta {
    /// The row of a job that was just accepted.
    pub fn new(pipeline: &str) -> Self {
        let pipeline = pipeline.to_owned();
        Self {
            v: WIRE_VERSION,
            pipeline,
            state: JobState::Running,
            message: None,
            finished_ms: None,
            owed: None,
            redrive: None,
            sets: Vec::new(),
            left_dead: BTreeMap::new(),
            round: 0,
            spending: Spending::NOTHING,
        }
    }

    /// Reads the row.
    pub fn read(body: &[u8]) -> Result<Self, LoadError> {
        parse(&StoredRow { sort: META.into(), body: body.to_vec() })
    }

    /// The row after a wish; the same one where the wish is fulfilled already. Refused, with the state that the job is
    /// in, where it comes too late.
    pub fn after(self, wish: &Wish, now_ms: u64) -> Result<Self, JobState> {
        match (wish, self.state) {
            (Wish::Cancel, JobState::Running | JobState::Paused) => Ok(Self {
                state: JobState::Cancelled,
                finished_ms: Some(now_ms),
                owed: Some(Ending::Stop),
                redrive: None,
                ..self
            }),
            (Wish::Redrive(redrive), JobState::Failed | JobState::Succeeded) if self.owed.is_none() => Ok(Self {
                state: JobState::Running,
                message: None,
                finished_ms: None,
                redrive: Some(redrive.clone()),
                round: self.round + 1,
                ..self
            }),
            (Wish::Redrive(redrive), JobState::Running) if self.redrive.as_ref() == Some(redrive) => Ok(self),
            (Wish::Pause, JobState::Running) => Ok(Self { state: JobState::Paused, ..self }),
            (Wish::Resume, JobState::Paused) => Ok(Self { state: JobState::Running, ..self }),
            (Wish::Cancel, JobState::Cancelled)
            | (Wish::Pause, JobState::Paused)
            | (Wish::Resume, JobState::Running) => Ok(self),
            (Wish::Cancel | Wish::Pause | Wish::Resume | Wish::Redrive(_), state) => Err(state),
        }
    }
}

impl Job {
    /// Its own row.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Takes over where the job stands from its own row, which somebody else has written.
    pub fn adopt(&mut self, meta: Meta) {
        self.meta = Meta { v: WIRE_VERSION, ..meta };
        self.dirty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(state: JobState) -> Meta {
        Meta { state, ..Meta::new("test") }
    }

    #[test]
    fn a_row_of_an_earlier_version_is_written_in_this_one() {
        let pipeline = crate::pipeline::Pipeline::new("test", Vec::new());
        let id = crate::ids::JobId::new("job");
        let submission = crate::submission::Submission::new(id, jiff::Timestamp::UNIX_EPOCH, "/", pipeline);
        let mut job = Job::new(std::sync::Arc::new(submission));
        job.adopt(Meta { v: 0, ..meta(JobState::Paused) });
        assert_eq!((job.meta().v, job.state()), (WIRE_VERSION, JobState::Paused));
    }

    #[test]
    fn a_wish_is_fulfilled_once_and_refused_when_it_comes_too_late() {
        let cancelled = Meta { finished_ms: Some(7), owed: Some(Ending::Stop), ..meta(JobState::Cancelled) };
        assert_eq!(meta(JobState::Running).after(&Wish::Cancel, 7), Ok(cancelled.clone()));
        assert_eq!(meta(JobState::Paused).after(&Wish::Cancel, 7), Ok(cancelled.clone()));
        assert_eq!(cancelled.clone().after(&Wish::Cancel, 9), Ok(cancelled));
        assert_eq!(meta(JobState::Running).after(&Wish::Pause, 7), Ok(meta(JobState::Paused)));
        assert_eq!(meta(JobState::Paused).after(&Wish::Pause, 7), Ok(meta(JobState::Paused)));
        assert_eq!(meta(JobState::Paused).after(&Wish::Resume, 7), Ok(meta(JobState::Running)));
        assert_eq!(meta(JobState::Running).after(&Wish::Resume, 7), Ok(meta(JobState::Running)));
    }

    #[test]
    fn nothing_is_wished_of_a_job_whose_items_have_all_ended() {
        for wish in [Wish::Cancel, Wish::Pause, Wish::Resume] {
            for state in [JobState::Committing, JobState::Succeeded, JobState::Failed, JobState::Quarantined] {
                assert_eq!(meta(state).after(&wish, 7), Err(state));
            }
        }
        assert_eq!(meta(JobState::Cancelled).after(&Wish::Resume, 7), Err(JobState::Cancelled));
    }

    #[test]
    fn failed_items_run_again_once_the_job_has_ended_and_its_end_is_written() {
        let redrive = Redrive { filter: Some("reason=oom".parse().unwrap()), ..Redrive::default() };
        let wish = Wish::Redrive(redrive.clone());
        let failed = Meta { message: Some("why".into()), finished_ms: Some(7), ..meta(JobState::Failed) };
        let again = Meta { redrive: Some(redrive), round: 1, ..meta(JobState::Running) };
        assert_eq!(failed.clone().after(&wish, 9), Ok(again.clone()));
        assert_eq!(again.clone().after(&wish, 9), Ok(again.clone()), "the same wish twice is one");
        assert_eq!(again.clone().after(&Wish::Redrive(Redrive::default()), 9), Err(JobState::Running));
        assert_eq!(again.after(&Wish::Cancel, 9).unwrap().redrive, None);
        let unwritten = Meta { owed: Some(Ending::Over), ..failed };
        assert_eq!(unwritten.after(&wish, 9), Err(JobState::Failed));
        assert_eq!(meta(JobState::Cancelled).after(&wish, 9), Err(JobState::Cancelled));
    }
}
