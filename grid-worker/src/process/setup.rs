//! A stage's `setup`: once a runner and stage, before its first item.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use grid_core::ids::{JobId, StageName};
use grid_core::reason::{Failure, Reason};

use super::environment::{self, Variables};
use super::fault::{self, NotDone};
use super::launch::{Launcher, Stdin};
use super::stderr::Stderr;
use super::supervise::{Session, supervise};
use super::task::Execution;
use super::verdict::{Verdict, judge, with_last_words};

/// Setups that are remembered; a worker that outlives so many stages does the oldest again, which setups must bear as
/// they run once on every worker.
const MAX_REMEMBERED: usize = 4_096;

/// Which setups were done.
#[derive(Debug, Default)]
pub(super) struct Setups {
    stages: Mutex<BTreeMap<Prepared, Once>>,
}

/// The stage that a setup prepares for, with the values of parameters that it sees.
type Prepared = (JobId, StageName, BTreeMap<String, String>);

/// Locked while a setup runs.
type Once = Arc<Mutex<IsDone>>;

/// Whether a setup has succeeded.
#[derive(Debug, Default)]
struct IsDone(bool);

impl Setups {
    fn of(&self, prepared: Prepared) -> Once {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.len() >= MAX_REMEMBERED {
            // Job ids sort by time.
            stages.pop_first();
        }
        Arc::clone(stages.entry(prepared).or_default())
    }

    /// They are done again when the job comes back.
    pub(super) fn forget(&self, job: &JobId) {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, ..), _| of != job);
    }
}

/// Sees to it that the setup of the task's stage has been done. Tasks of one stage wait for each other here; when it
/// fails the task fails, and the next one tries again.
pub(super) fn ensure(execution: &mut Execution) -> Result<(), NotDone> {
    if execution.stage.setup.is_none() {
        return Ok(());
    }
    let submission = &execution.submission;
    let prepared = (submission.job.clone(), execution.stage.name.clone(), submission.params.clone());
    let stage = execution.shared.setups.of(prepared);
    let mut is_done = stage.lock().unwrap_or_else(PoisonError::into_inner);
    if execution.must_stop() {
        return Err(NotDone::Stopped);
    }
    if !is_done.0 {
        run(execution)?;
        is_done.0 = true;
    }
    Ok(())
}

fn run(execution: &mut Execution) -> Result<(), NotDone> {
    let (submission, stage) = (Arc::clone(&execution.submission), Arc::clone(&execution.stage));
    let Some(line) = &stage.setup else {
        return Ok(());
    };
    let as_setup = |failure: Failure| Failure {
        reason: Reason::Setup,
        message: format!("the setup of stage {} failed: {}", stage.name, failure.message),
        ..failure
    };
    let vars = execution.shared.stage_variables(&submission, &stage).map_err(as_setup)?;
    let mut launcher = Launcher::new(line, &submission, &stage, execution.message.memory_factor, vars);
    let mut item_vars = Variables::new();
    environment::deadline(&mut item_vars, stage.timeout);
    let running = launcher.start(None, item_vars, Stdin::Null).map_err(as_setup)?;
    let (mut said, mut printed) = (Stderr::default(), Stderr::default());
    let ended = supervise(
        running,
        Session {
            input: VecDeque::new(),
            stdout: &mut |bytes| {
                printed.take(bytes);
                Ok(())
            },
            stderr: &mut said,
            timeout: stage.timeout,
            grace: stage.grace,
            switch: &execution.switch,
            buffer: &mut execution.buffer,
        },
    )
    .map_err(|error| fault::own("wait for the stage's setup", &error))?;
    match judge(ended, stage.timeout, || execution.shared.memory.has_killed()) {
        Verdict::Success => Ok(()),
        Verdict::Stopped => Err(NotDone::Stopped),
        Verdict::Failed(failure) => {
            let words = if said.is_empty() { printed.last_words() } else { said.last_words() };
            Err(NotDone::Failed(as_setup(with_last_words(failure, words, execution.memory_limit()))))
        }
    }
}
