//! `gridmill receipt`: the balance of a job.

use crate::cli::JobArgs;
use crate::console::Console;
use crate::exit::{Exit, Fault, Outcome};
use crate::place::Place;
use crate::progress::words::state_words;
use crate::{local, report};

/// Prints the balance of a job that has ended.
pub fn receipt(args: &JobArgs, console: Console) -> Outcome {
    let place = Place::open(&args.place)?;
    local::runtime()?.block_on(async {
        let status = place.chosen(args.job.as_deref()).await?;
        let Some(receipt) = place.receipt(&status.job).await? else {
            let words = format!("job {} is {} and has no receipt yet", status.job, state_words(status.state));
            return Err(Fault::failed(anyhow::anyhow!(words)));
        };
        match console.json {
            true => console.document(&receipt)?,
            false => {
                let costs = [report::requests(&receipt), report::cost(&receipt)].into_iter().flatten();
                let said: Vec<String> = std::iter::once(report::balance(&receipt))
                    .chain(costs)
                    .chain([report::verdict(&receipt)])
                    .collect();
                console.text(&said.join("\n\n"))?;
            }
        }
        Ok(Exit::Done)
    })
}
