//! After the job: outputs, receipt, and what there is to say about failures.

use std::collections::BTreeMap;

use grid_api::{DeadLetter, JobState, Receipt};
use grid_core::ids::JobId;
use job_manager::view::JobView;
use serde::Serialize;

use super::Run;
use crate::deliver::{self, Memory, StageDelivery};
use crate::exit::{Exit, Fault, Outcome};
use crate::report;

/// The answer of `gridmill run --json`.
#[derive(Debug, Serialize)]
struct Answer {
    exit_code: u8,
    #[serde(flatten)]
    receipt: Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    outputs: Vec<StageDelivery>,
    /// The first few of every stage; `gridmill dead --json` has all.
    dead_letters: Vec<DeadLetter>,
}

/// Delivers, reports, and says how it went.
pub async fn finish(run: &Run<'_>, job: &JobId) -> Outcome {
    let view = JobView::open(&run.grid, job).await?;
    let exit = Exit::of_job(&view.status);
    let receipt = view.receipt().await?.ok_or_else(|| {
        Fault::failed(anyhow::anyhow!("job {job} has no receipt")).help("run the same command again: it is made anew")
    })?;
    let letters = first_dead(&view).await?;
    tell_failures(run, &view, &letters);
    let outputs = match view.status.state {
        JobState::Succeeded => deliver::deliver(&view, &run.out, Memory::State(run.state.path()), run.console).await?,
        JobState::Running
        | JobState::Paused
        | JobState::Committing
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Quarantined => Vec::new(),
    };
    tell_balance(run, &view, &receipt, &outputs);
    if run.console.json {
        let message = view.status.message.clone();
        let dead_letters = letters.into_values().flatten().collect();
        run.console.document(&Answer { exit_code: exit.code(), receipt, message, outputs, dead_letters })?;
    }
    Ok(exit)
}

/// The first few dead letters of every stage.
async fn first_dead(view: &JobView) -> Outcome<BTreeMap<String, Vec<DeadLetter>>> {
    let mut found = BTreeMap::new();
    for stage in view.status.stages.iter().filter(|stage| stage.dead > 0) {
        let mut letters = view.dead_letters(&stage.name);
        let mut first = Vec::new();
        while first.len() < report::SHOWN_DEAD
            && let Some(letter) = letters.next().await?
        {
            first.push(letter);
        }
        found.insert(stage.name.to_string(), first);
    }
    Ok(found)
}

fn tell_failures(run: &Run<'_>, view: &JobView, letters: &BTreeMap<String, Vec<DeadLetter>>) {
    for stage in view.status.stages.iter().filter(|stage| stage.dead > 0) {
        let shown = letters.get(stage.name.as_str()).map_or(&[][..], Vec::as_slice);
        let head = format!("{}: {} of {} items are dead", stage.name, stage.dead, stage.items);
        run.console.warn(&head);
        for letter in shown {
            run.console.say(report::dead_letter(letter));
        }
        let more = stage.dead.saturating_sub(shown.len() as u64);
        if more > 0 {
            run.console.say(format!("and {more} more: gridmill dead --stage {}", stage.name));
        }
    }
    if let Some(letter) = letters.values().flatten().next() {
        run.console.say(report::look_further(letter, run.state_as_given()));
    }
}

fn tell_balance(run: &Run<'_>, view: &JobView, receipt: &Receipt, outputs: &[StageDelivery]) {
    run.console.say("");
    run.console.say(report::balance(receipt));
    run.console.say("");
    run.console.say(report::verdict(receipt));
    if let Some(message) = &view.status.message {
        run.console.say(message);
    }
    report::without_items(view).iter().for_each(|words| run.console.warn(words));
    // A job that ended early does not balance, and says so by its state.
    if view.status.state == JobState::Quarantined {
        receipt.faults.iter().for_each(|fault| run.console.warn(format!("the receipt does not balance: {fault}")));
    }
    match view.status.state {
        JobState::Succeeded => run.console.say(report::delivered(outputs)),
        _ => run
            .console
            .say("no outputs were delivered; what was committed is kept, and the same command goes on from there"),
    }
}
