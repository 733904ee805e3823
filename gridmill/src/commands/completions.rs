//! `gridmill completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::console::answer;
use crate::exit::{Exit, Outcome};

/// Prints the completion script of a shell.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gridmill", &mut script);
    answer(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}
