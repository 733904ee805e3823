//! `gridmill replay`: one item again, here and now.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use grid_worker::process::run_here;

use crate::cli::ReplayArgs;
use crate::console::Console;
use crate::exit::{Exit, Fault, Outcome};
use crate::item_input::{self, Ready};
use crate::local;

/// Runs an item with this terminal attached: the same input, the same environment; nothing is committed. Ends with the
/// exit code of its command.
pub fn replay(args: &ReplayArgs, console: Console) -> Outcome {
    let grid = local::open(&args.state.state)?;
    let runtime = local::runtime()?;
    let (name, ready) = runtime.block_on(async {
        let (view, stage, item) = local::item(&grid, &args.words).await?;
        let name = format!("{stage}/#{item} of job {}", view.id());
        Ok::<_, Fault>((name, item_input::ready(&grid, &view, &stage, item).await?))
    })?;
    let Ready { task, folder } = ready;
    console.say(format!("replaying {name}; nothing is committed"));
    let environment: Vec<_> = std::env::vars_os().collect();
    let ended = run_here(task, &environment, runtime.handle().clone());
    drop(folder);
    let status = ended.map_err(|failure| Fault::failed(anyhow::anyhow!(failure.message)))?;
    console.say(format!("{name}: {status}"));
    Ok(Exit::Command(code(status)))
}

/// As a shell has it: 128 and the signal for what a signal has ended.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_becomes_the_code_that_a_shell_gives() {
        let codes = [0, 7 << 8, 9].map(|raw| code(ExitStatus::from_raw(raw)));
        assert_eq!(codes, [0, 7, 137]);
    }
}
