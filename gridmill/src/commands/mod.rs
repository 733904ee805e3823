//! What each command does: one file a command.

mod completions;
mod dead;
mod doctor;
mod fleet;
mod list;
mod logs;
mod outputs;
mod plan;
mod rebuild;
mod receipt;
mod redrive;
mod replay;
mod run;
mod status;
mod submit;
mod token;
mod validate;
mod why;
mod wishes;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::client::Wish;
use crate::console::Console;
use crate::exit::{Exit, Outcome};

/// Does what the command line says.
pub fn dispatch(cli: Cli) -> ExitCode {
    let console = Console::detect(cli.json);
    let exit = match execute(cli.command, console) {
        Ok(exit) => exit,
        Err(fault) => {
            console.fault(&fault);
            fault.exit
        }
    };
    exit.into()
}

fn execute(command: Command, console: Console) -> Outcome {
    match command {
        Command::Validate(args) => validate::validate(&args, console),
        Command::Plan(args) => plan::plan(&args, console),
        Command::Schema => {
            console.document(&grid_core::pipeline::schema())?;
            Ok(Exit::Done)
        }
        Command::Completions { shell } => completions::completions(shell),
        Command::Run(args) => run::run(&args, console),
        Command::Submit(args) => submit::submit(&args, console),
        Command::List(args) => list::list(&args, console),
        Command::Status(args) => status::status(&args, console),
        Command::Cancel(args) => wishes::fulfil(&args, Wish::Cancel, console),
        Command::Pause(args) => wishes::fulfil(&args, Wish::Pause, console),
        Command::Resume(args) => wishes::fulfil(&args, Wish::Resume, console),
        Command::Redrive(args) => redrive::redrive(&args, console),
        Command::Receipt(args) => receipt::receipt(&args, console),
        Command::Workers(args) => fleet::workers(&args, console),
        Command::Token(command) => token::token(&command, console),
        Command::Pools(args) => fleet::pools(&args, console),
        Command::Doctor(args) => doctor::doctor(&args, console),
        Command::Dead(args) => dead::dead(&args, console),
        Command::Why(args) => why::why(&args, console),
        Command::Logs(args) => logs::logs(&args, console),
        Command::Replay(args) => replay::replay(&args, console),
        Command::Outputs(args) => outputs::outputs(&args, console),
        Command::Rebuild(args) => rebuild::rebuild(&args, console),
        Command::Guard { cookie } => {
            grid_worker::process::guard_main(&cookie);
            Ok(Exit::Done)
        }
    }
}
