//! `gridmill rebuild`: a lost state table, made again from the objects.

use std::env;
use std::time::Duration;

use infra::Grid;
use infra::embedded::StateDir;
use job_manager::rebuild::{
    Existing, RebuildConfig, RebuildError, RebuildNews, Rebuilt, RebuiltJob, Unfinished, rebuild as rebuild_table,
};
use serde_json::json;

use crate::cli::RebuildArgs;
use crate::console::Console;
use crate::exit::{Exit, Fault, Outcome};
use crate::text::counted;
use crate::{local, logfile};

/// How long one look at queues elsewhere waits: as long as they allow.
const POLL: Duration = Duration::from_secs(20);

/// Makes the table again, and says of every job what became of it.
pub fn rebuild(args: &RebuildArgs, console: Console) -> Outcome {
    let rebuilt = if args.aws { elsewhere(args, console) } else { here(args, console) }?;
    console.say(summary(&rebuilt));
    Ok(if rebuilt.broken > 0 { Exit::Failed } else { Exit::Done })
}

fn here(args: &RebuildArgs, console: Console) -> Outcome<Rebuilt> {
    let folder = &args.state.state;
    if !folder.join("objects").is_dir() {
        let fault = Fault::usage(format!("{} holds no objects of gridmill", folder.display()));
        return Err(fault.help("name the state folder with --state DIR, or say --aws for a grid on AWS"));
    }
    let runtime = local::runtime()?;
    let (state, grid) = runtime.block_on(async { StateDir::open(folder) })?;
    logfile::start(state.path())?;
    // The queue of a grid in one process is gone with its process.
    runtime.block_on(work(&grid, args, Duration::ZERO, console))
}

fn elsewhere(args: &RebuildArgs, console: Console) -> Outcome<Rebuilt> {
    let settings = infra::aws::Settings::from_vars(|name| env::var(name).ok()).map_err(Fault::usage)?;
    local::runtime()?.block_on(async {
        let grid = infra::aws::open(&settings).await?;
        work(&grid, args, POLL, console).await
    })
}

async fn work(grid: &Grid, args: &RebuildArgs, poll: Duration, console: Console) -> Outcome<Rebuilt> {
    let existing = match (args.missing, args.replace) {
        (true, _) => Existing::Keep,
        (false, true) => Existing::Replace,
        (false, false) => Existing::Refuse,
    };
    let unfinished = if args.paused { Unfinished::Pause } else { Unfinished::Run };
    let config = RebuildConfig { existing, unfinished, poll };
    let mut unwritten = None;
    let told = |news| {
        if let Err(fault) = tell(&news, console) {
            unwritten.get_or_insert(fault);
        }
    };
    let rebuilt = rebuild_table(grid, &config, told).await.map_err(fault)?;
    unwritten.map_or(Ok(rebuilt), Err)
}

fn tell(news: &RebuildNews, console: Console) -> Outcome<()> {
    let (job, became) = match news {
        RebuildNews::Led(name) => {
            console.say(format!("{name} led a short while ago: waiting in case it is gone"));
            return Ok(());
        }
        RebuildNews::InHand(tasks) => {
            console.say(format!(
                "waiting for {} in the hands of workers; drained workers give them back",
                counted(*tasks, "task")
            ));
            return Ok(());
        }
        RebuildNews::Job(RebuiltJob { job, state, manifests, rows }) => {
            let words =
                format!("{job} {}: {}, {}", state.as_str(), counted(*manifests, "manifest"), counted(*rows, "row"));
            let document =
                json!({"job": job, "became": "rebuilt", "state": state, "manifests": manifests, "rows": rows});
            return answer(console, &words, &document);
        }
        RebuildNews::Broken(job, why) => {
            console.warn(format!("{job} cannot be made again: {why}"));
            return if console.json {
                console.line(&json!({"job": job, "became": "broken", "why": why}))
            } else {
                Ok(())
            };
        }
        RebuildNews::Kept(job) => (job, "kept"),
        RebuildNews::NeverAccepted(job) => (job, "never_accepted"),
    };
    let words =
        if became == "kept" { "is in the table already" } else { "was never accepted: only files of it are there" };
    answer(console, &format!("{job} {words}"), &json!({"job": job, "became": became}))
}

fn answer(console: Console, words: &str, document: &serde_json::Value) -> Outcome<()> {
    if console.json { console.line(document) } else { console.text(words) }
}

fn summary(rebuilt: &Rebuilt) -> String {
    let Rebuilt { jobs, unfinished, kept, broken } = rebuilt;
    let mut words = format!("{} made again, {unfinished} of them not ended", counted(*jobs, "job"));
    if *kept > 0 {
        words.push_str(&format!(", {kept} left as they were"));
    }
    if *broken > 0 {
        words.push_str(&format!(", {broken} cannot be made again"));
    }
    words
}

fn fault(error: RebuildError) -> Fault {
    match error {
        RebuildError::NotEmpty(_) => Fault::usage(error)
            .help("--missing makes again what the table does not have, --replace writes all of it anew"),
        RebuildError::Led(_) => Fault::usage(error).help("stop every job manager, then run this again"),
        RebuildError::LeadLost(_) => {
            Fault::back_end(error).help("stop every job manager, then run this again with --missing: it goes on")
        }
        RebuildError::Manager(error) => {
            let fault = Fault::from(error);
            if fault.remedy().is_some() { fault } else { fault.help("run this again with --missing: it goes on") }
        }
    }
}
