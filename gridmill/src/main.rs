//! The command `gridmill`: parses the command line, does what it says, and ends with the code of the contract.

mod cli;
mod client;
mod commands;
mod console;
mod deliver;
mod ending;
mod exit;
mod inputs;
mod item_input;
mod load;
mod local;
mod logfile;
mod place;
mod programs;
mod progress;
mod report;
mod runner;
mod signals;
mod text;
mod watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    commands::dispatch(cli::Cli::parse())
}
