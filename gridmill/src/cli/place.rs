//! The flags that say where jobs are.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};

use crate::client::PlainHttp;

/// Where the local state lies.
#[derive(Args, Clone, Debug)]
pub struct StateArgs {
    /// The folder that holds the state of the local grid
    #[arg(long, value_name = "DIR", default_value = ".gridmill", env = "GRIDMILL_STATE")]
    pub state: PathBuf,
}

/// Where jobs are: in a local state folder, or with a job manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceArgs {
    /// In the state folder of `run`.
    State(PathBuf),
    /// With a manager.
    Manager(ManagerArgs),
}

/// A job manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerArgs {
    /// Its address.
    pub url: String,
    /// Where a token may go unencrypted.
    pub plain: PlainHttp,
}

/// The flags behind [`PlaceArgs`].
#[derive(Args, Clone, Debug)]
struct PlaceFlags {
    #[command(flatten)]
    state: StateArgs,

    #[command(flatten)]
    manager: ManagerFlags,
}

/// The flags that say which manager.
#[derive(Args, Clone, Debug)]
pub struct ManagerFlags {
    /// Ask the job manager at this address, not the state folder; a token for it is taken from GRIDMILL_TOKEN
    #[arg(long, value_name = "URL", env = "GRIDMILL_MANAGER")]
    pub manager: Option<String>,

    /// Send the token over plain HTTP to another machine, where everybody on the way can read it
    #[arg(long, env = "GRIDMILL_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,
}

impl ManagerFlags {
    /// The manager, if one is named.
    pub fn given(&self) -> Option<ManagerArgs> {
        let url = self.manager.clone().filter(|url| !url.is_empty())?;
        let plain = if self.allow_plain_http { PlainHttp::Anywhere } else { PlainHttp::Loopback };
        Some(ManagerArgs { url, plain })
    }
}

impl Args for PlaceArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        PlaceFlags::augment_args(command)
            .mut_arg("manager", |arg| arg.help_heading("Where the jobs are"))
            .mut_arg("allow_plain_http", |arg| arg.help_heading("Where the jobs are"))
            .mut_arg("state", |arg| arg.help_heading("Where the jobs are"))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PlaceArgs {
    /// The manager, unless the state folder is named on the command line and the manager in the environment only.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = PlaceFlags::from_arg_matches(matches)?;
        let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        Ok(match flags.manager.given() {
            Some(manager) if typed("manager") || !typed("state") => Self::Manager(manager),
            Some(_) | None => Self::State(flags.state.state),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
