//! Runs one item in the foreground, with the streams of this process: for a person who wants to see what it does.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use grid_core::pipeline::{Command as CommandLine, InputAs, Per};
use grid_core::reason::{Failure, Reason};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::environment::{self, Variables};
use super::fault::{self, NotDone};
use super::input::{Staged, Stager};
use super::launch::{Launcher, item_environment};
use crate::runner::{ItemInput, TaskRun};

/// What the command's `GRIDMILL_RUN` is: no runner looks after it.
const COOKIE: &str = "replay";

/// Runs the one item of `task` with the environment that a worker would give it on top of `base_env`: first the stage's
/// setup, then its command. Standard input is the item's, or this process's where the stage has none. Blocks until it
/// has ended; `handle` drives what is read meanwhile. Nothing is kept.
pub fn run_here(task: TaskRun, base_env: &[(OsString, OsString)], handle: Handle) -> Result<ExitStatus, Failure> {
    let TaskRun { submission, stage, message, keys, mut inputs, scratch, .. } = task;
    if stage.per == Per::Worker {
        let words = "it is served by a co-process (`per: worker`), which cannot be run by hand: see its log instead";
        return Err(Failure::new(Reason::Internal, words));
    }
    let output = scratch.join("output");
    fs::create_dir_all(&output).map_err(|error| fault::own("make the output folder", &error))?;
    let has_input = !inputs.is_empty();
    let input = inputs.pop().unwrap_or(ItemInput::None);
    let key = keys(message.first);
    let name = key.name();
    let staged = stage_input(stage.input_as, has_input, &scratch, handle, &name, input)?;
    let mut vars = environment::of_stage(base_env, COOKIE, &submission, &stage)?;
    if let Some(setup) = &stage.setup {
        let launcher = Launcher::new(setup, &submission, &stage, 1.0, vars.clone());
        let ended = wait(launcher.command(None, Variables::new())?, setup)?;
        if !ended.success() {
            return Ok(ended);
        }
    }
    vars.extend(environment::of_task(&message, COOKIE, &output));
    if stage.checkpoint.is_some() {
        let folder = scratch.join("checkpoint");
        fs::create_dir_all(&folder).map_err(|error| fault::own("make the checkpoint folder", &error))?;
        environment::set(&mut vars, "GRIDMILL_CHECKPOINT_DIR", folder);
    }
    let launcher = Launcher::new(&stage.run, &submission, &stage, message.memory_factor, vars);
    let (key, mut item_vars) = match stage.per {
        Per::Bundle => (None, environment::of_bundle(&message)),
        Per::Item | Per::Worker => {
            let env = item_environment(&stage);
            (Some(&key), environment::of_item(&env, &submission.params, message.first, &name, &key)?)
        }
    };
    environment::deadline(&mut item_vars, stage.timeout);
    item_vars.extend(staged.vars);
    let mut command = launcher.command(key, item_vars)?;
    if has_input && stage.input_as == InputAs::Stdin {
        let file = File::open(input_file(&scratch)).map_err(|error| fault::own("read the input", &error))?;
        command.stdin(file);
    }
    wait(command, &stage.run)
}

/// Makes the input ready as files; what goes to standard input is a file, too, since nobody would feed a pipe.
fn stage_input(
    input_as: InputAs,
    has_input: bool,
    scratch: &Path,
    handle: Handle,
    name: &str,
    input: ItemInput,
) -> Result<Staged, Failure> {
    let stager = Stager {
        input_as: match input_as {
            InputAs::Stdin | InputAs::File => InputAs::File,
            InputAs::Files => InputAs::Files,
        },
        has_input,
        file: input_file(scratch),
        folder: scratch.join("inputs"),
        handle,
        kill: CancellationToken::new(),
    };
    match stager.stage(name, input) {
        Ok(staged) if input_as == InputAs::Stdin => Ok(Staged { vars: Variables::new(), ..staged }),
        Ok(staged) => Ok(staged),
        Err(NotDone::Failed(failure)) => Err(failure),
        Err(NotDone::Stopped) => Err(Failure::new(Reason::Cancelled, "it was stopped")),
    }
}

fn input_file(scratch: &Path) -> PathBuf {
    scratch.join("input")
}

fn wait(mut command: Command, line: &CommandLine) -> Result<ExitStatus, Failure> {
    command.status().map_err(|error| {
        let what = match line {
            CommandLine::Shell(_) => "the shell",
            CommandLine::Argv(_) => "the command",
        };
        Failure::new(Reason::Exit, format!("{what} cannot be started: {error}"))
    })
}
