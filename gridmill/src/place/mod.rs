//! Where jobs are: in a state folder of this machine, or with a job manager. Both are asked the same, and answer the same.

mod choose;
mod dead;
mod logs;
mod wishes;

use std::env;
use std::path::{Path, PathBuf};

use grid_api::{JobState, JobStatus, JobSummary, Receipt};
use grid_core::ids::JobId;
use infra::Grid;
use job_manager::view::{self, JobView};

pub use logs::Whose;

use crate::cli::{ManagerArgs, PlaceArgs};
use crate::client::{Address, AddressFault, Client, ClientError, Token};
use crate::exit::{Fault, Outcome};
use crate::local;
use crate::runner::Runner;

/// Where a token is looked for.
const TOKEN: &str = "GRIDMILL_TOKEN";

/// Where jobs are.
pub enum Place {
    /// In a state folder.
    Here(Here),
    /// With a manager.
    There(Box<Client>),
}

/// A state folder, for reading.
pub struct Here {
    /// What is in it.
    pub grid: Grid,
    /// The folder as the user named it.
    pub state: PathBuf,
}

impl Place {
    /// Opens a state folder, or makes ready to ask a manager: that is not asked yet.
    pub fn open(args: &PlaceArgs) -> Outcome<Self> {
        match args {
            PlaceArgs::State(state) => Here::open(state).map(Self::Here),
            PlaceArgs::Manager(manager) => client(manager).map(Box::new).map(Self::There),
        }
    }

    /// Whether somebody runs the jobs that are there.
    pub fn runner(&self) -> Runner {
        match self {
            Self::Here(here) => Runner::of(&here.state),
            Self::There(_) => Runner::Here,
        }
    }

    /// Where a job stands.
    pub async fn status(&self, job: &JobId) -> Outcome<JobStatus> {
        match self {
            Self::Here(here) => Ok(JobView::open(&here.grid, job).await?.status),
            Self::There(client) => Ok(client.status(job).await?),
        }
    }

    /// The newest jobs, the newest first, at most so many; those of one state or all.
    pub async fn newest(&self, only: Option<JobState>, most: usize) -> Outcome<Vec<JobStatus>> {
        match self {
            Self::Here(here) => here.newest(only, most).await,
            Self::There(client) => {
                let jobs = client.jobs_with_stages(only).take(most).await?;
                Ok(jobs.into_iter().map(status_of).collect())
            }
        }
    }

    /// The balance of a job; `None` before it has ended.
    pub async fn receipt(&self, job: &JobId) -> Outcome<Option<Receipt>> {
        match self {
            Self::Here(here) => Ok(JobView::open(&here.grid, job).await?.receipt().await?),
            Self::There(client) => match client.receipt(job).await {
                Ok(receipt) => Ok(Some(receipt)),
                Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// What a list that was asked for stages says of a job.
fn status_of(summary: JobSummary) -> JobStatus {
    let JobSummary { job, pipeline, tenant: _, state, submitted, finished, message, stages } = summary;
    JobStatus { job, pipeline, state, message, submitted, finished, stages: stages.unwrap_or_default() }
}

impl Here {
    fn open(state: &Path) -> Outcome<Self> {
        Ok(Self { grid: local::open(state)?, state: state.to_owned() })
    }

    async fn newest(&self, only: Option<JobState>, most: usize) -> Outcome<Vec<JobStatus>> {
        let mut found = Vec::new();
        for head in view::all_jobs(&self.grid).await?.iter().rev() {
            if found.len() == most {
                break;
            }
            let status = JobView::open(&self.grid, &head.job).await?.status;
            if only.is_none_or(|only| status.state == only) {
                found.push(status);
            }
        }
        Ok(found)
    }
}

/// A manager, with the token of the environment.
pub fn client(args: &ManagerArgs) -> Outcome<Client> {
    let token = env::var(TOKEN).ok().filter(|token| !token.trim().is_empty());
    let made = || -> Result<Client, AddressFault> {
        let address = Address::parse(&args.url)?;
        Client::new(address, token.as_deref().map(Token::new).transpose()?, args.plain)
    };
    made().map_err(|fault| Fault::from(ClientError::from(fault)))
}

/// The manager that a command cannot do without.
pub fn needed(args: Option<ManagerArgs>, instead: &str) -> Outcome<Client> {
    match args {
        Some(args) => client(&args),
        None => Err(Fault::usage("no job manager is named")
            .help(format!("say which with --manager URL, or set GRIDMILL_MANAGER{instead}"))),
    }
}
