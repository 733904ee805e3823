//! The program `grid-worker`: a worker as a process, on a grid that its settings name.

mod daemon;

use std::process::ExitCode;

use clap::Parser;

use crate::daemon::settings::{Cli, Special};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.special {
        Some(Special::Guard { cookie }) => {
            grid_worker::process::guard_main(&cookie);
            ExitCode::SUCCESS
        }
        Some(Special::Metadata(settings)) => daemon::metadata::serve_metadata(&settings),
        None if cli.settings.check => daemon::check(&cli.settings),
        None => daemon::start(cli.settings),
    }
}
