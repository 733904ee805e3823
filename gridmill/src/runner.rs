//! Whether somebody runs the jobs of a state folder: a job that was killed still says `running` in its rows.

use std::path::Path;

use grid_api::JobState;

use crate::progress::words::state_words;

/// What is said of a job that has not ended and that nobody runs.
pub const INTERRUPTED: &str = "interrupted";

/// Whether a process runs the jobs of a state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// One does.
    Here,
    /// None does.
    Gone,
}

impl Runner {
    /// That of a state folder.
    pub fn of(state: &Path) -> Self {
        match infra::embedded::owner(state) {
            Some(_) => Self::Here,
            None => Self::Gone,
        }
    }

    /// What is said of a job's state.
    pub fn state_words(self, state: JobState) -> &'static str {
        match (state, self) {
            (JobState::Running | JobState::Committing, Self::Gone) => INTERRUPTED,
            (state, _) => state_words(state),
        }
    }
}
