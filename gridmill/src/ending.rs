//! How a job has ended: its receipt, its first dead letters, and what is said about them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use grid_api::{DeadLetter, JobState, JobStatus, Receipt};
use grid_core::ids::JobId;
use grid_core::pipeline::Pipeline;
use serde::Serialize;

use crate::console::Console;
use crate::deliver::StageDelivery;
use crate::exit::{Exit, Fault, Outcome};
use crate::place::Place;
use crate::report;

/// What is known of a job that has ended.
#[derive(Debug)]
pub struct Ending {
    /// Where it stands for good.
    pub status: JobStatus,
    receipt: Receipt,
    /// The first few of every stage.
    letters: BTreeMap<String, Vec<DeadLetter>>,
}

/// What became of the outputs.
#[derive(Debug)]
pub enum Delivered {
    /// They lie in a folder.
    To(Vec<StageDelivery>),
    /// There are none that could be delivered; what to do about it.
    No(&'static str),
    /// Nobody asked for them yet; how to.
    Later(String),
}

/// The answer of `gridmill run --json` and `submit --watch --json`.
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

impl Ending {
    /// Gathers what is known of a job that has ended.
    pub async fn of(place: &Place, job: &JobId) -> Outcome<Self> {
        let status = place.status(job).await?;
        let receipt = place.receipt(job).await?.ok_or_else(|| {
            Fault::failed(anyhow::anyhow!("job {job} has no receipt"))
                .help("run the same command again: it is made anew")
        })?;
        let letters = first_dead(place, &status).await?;
        Ok(Self { status, receipt, letters })
    }

    /// Whether there are outputs to deliver.
    pub fn has_succeeded(&self) -> bool {
        self.status.state == JobState::Succeeded
    }

    /// Says what failed, and where to look further.
    pub fn tell_failures(&self, place: &Place, console: Console) {
        for stage in self.status.stages.iter().filter(|stage| stage.dead > 0) {
            let shown = self.letters.get(stage.name.as_str()).map_or(&[][..], Vec::as_slice);
            console.warn(format!("{}: {} of {} items are dead", stage.name, stage.dead, stage.items));
            for letter in shown {
                console.say(report::dead_letter(letter));
            }
            let more = stage.dead.saturating_sub(shown.len() as u64);
            if more > 0 {
                console.say(format!("and {more} more: gridmill dead --stage {}", stage.name));
            }
        }
        if let Some(letter) = self.letters.values().flatten().next() {
            console.say(report::look_further(letter, place));
        }
    }

    /// Says how the job ended, and gives the answer. The exit code is that of the job.
    pub fn conclude(self, pipeline: &Pipeline, delivered: Delivered, console: Console) -> Outcome {
        let (status, receipt) = (&self.status, self.receipt);
        console.say("");
        console.say(report::balance(&receipt));
        console.say("");
        console.say(report::verdict(&receipt));
        if let Some(cost) = report::cost(&receipt) {
            console.say(cost);
        }
        if let Some(message) = &status.message {
            console.say(message);
        }
        report::without_items(status, pipeline).iter().for_each(|words| console.warn(words));
        // A job that ended early does not balance, and says so by its state.
        if status.state == JobState::Quarantined {
            receipt.faults.iter().for_each(|fault| console.warn(format!("the receipt does not balance: {fault}")));
        }
        let outputs = match delivered {
            Delivered::To(outputs) => {
                console.say(report::delivered(&outputs));
                outputs
            }
            Delivered::No(words) => {
                console.say(words);
                Vec::new()
            }
            Delivered::Later(words) => {
                console.say(words);
                Vec::new()
            }
        };
        let exit = Exit::of_job(status);
        if console.json {
            let dead_letters = self.letters.into_values().flatten().collect();
            let message = status.message.clone();
            console.document(&Answer { exit_code: exit.code(), receipt, message, outputs, dead_letters })?;
        }
        Ok(exit)
    }
}

/// The first few dead letters of every stage.
async fn first_dead(place: &Place, status: &JobStatus) -> Outcome<BTreeMap<String, Vec<DeadLetter>>> {
    let mut found = BTreeMap::new();
    for stage in status.stages.iter().filter(|stage| stage.dead > 0) {
        let mut first = Vec::new();
        let visited = place.each_dead(status, Some(&stage.name), |letter| {
            first.push(letter);
            Ok(if first.len() < report::SHOWN_DEAD { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        });
        visited.await?;
        found.insert(stage.name.to_string(), first);
    }
    Ok(found)
}
