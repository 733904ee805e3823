//! Wishes: a manager is told; in a state folder they are written down, unless a process is at work there.

use std::path::Path;

use grid_api::{JobState, Redrive};
use grid_core::ids::JobId;
use infra::embedded::StateDir;
use infra::{ErrorKind, Grid};
use job_manager::ManagerError;
use job_manager::control::{self, ControlError};

use super::{Here, Place};
use crate::client::Wish;
use crate::exit::{Fault, Outcome};

impl Place {
    /// Cancels, pauses or resumes a job. Answers the state that it is in now.
    pub async fn wish(&self, job: &JobId, wish: Wish) -> Outcome<JobState> {
        match self {
            Self::Here(here) => {
                let (_state, grid) = here.take()?;
                let state = match wish {
                    Wish::Cancel => control::cancel(&grid, job).await,
                    Wish::Pause => control::pause(&grid, job).await,
                    Wish::Resume => control::resume(&grid, job).await,
                };
                state.map_err(fault_of)
            }
            Self::There(client) => Ok(client.wish(job, wish).await?),
        }
    }

    /// Runs dead items again. Answers how many.
    pub async fn redrive(&self, job: &JobId, redrive: &Redrive) -> Outcome<u64> {
        match self {
            Self::Here(here) => {
                let (_state, grid) = here.take()?;
                let redriven = control::redrive(&grid, job, redrive.filter.as_deref(), &redrive.set).await;
                Ok(redriven.map_err(fault_of)?.items)
            }
            Self::There(client) => Ok(client.redrive(job, redrive).await?.items),
        }
    }
}

impl Here {
    /// The folder in our hands, for writing.
    fn take(&self) -> Outcome<(StateDir, Grid)> {
        StateDir::open(&self.state).map_err(|error| match error.kind {
            ErrorKind::Conflict => busy(&self.state),
            _ => error.into(),
        })
    }
}

fn busy(state: &Path) -> Fault {
    let process = infra::embedded::owner(state).map_or_else(String::new, |process| format!(" ({process})"));
    let words = format!("a process{process} is at work on the jobs in {}", state.display());
    Fault::usage(words).help("stop it with Ctrl-C, which loses nothing, and say this again")
}

fn fault_of(error: ControlError) -> Fault {
    match error {
        ControlError::Manager(error) => ManagerError::into(error),
        ControlError::Conflict { .. } => Fault::failed(error),
        ControlError::NotFound(_) | ControlError::Invalid(_) => Fault::usage(error),
    }
}
