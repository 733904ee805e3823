//! `gridmill why`: the story of one item.

use grid_api::{Attempt, AttemptEnd, Reuse, Story};
use job_manager::view;

use crate::cli::ItemArgs;
use crate::client::Route;
use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::local;
use crate::place::Place;
use crate::text::{bytes, harmless};

/// Longest value of an identity's field that is shown.
const SHOWN_VALUE: usize = 200;

/// Tells the story of an item.
pub fn why(args: &ItemArgs, console: Console) -> Outcome {
    let place = Place::open(&args.place)?;
    let story = local::runtime()?.block_on(story(&place, &args.words))?;
    match console.json {
        true => console.document(&story)?,
        false => console.text(&told(&story))?,
    }
    Ok(Exit::Done)
}

async fn story(place: &Place, words: &[String]) -> Outcome<Story> {
    match place {
        Place::Here(here) => {
            let (view, stage, item) = local::item(&here.grid, words).await?;
            Ok(view::story(&here.grid, &view, &stage, item).await?)
        }
        Place::There(client) => {
            let (job, item) = local::job_and_item(words)?;
            let status = place.chosen(job).await?;
            let (stage, name) = local::item_of(&status, item)?;
            let route = Route::v1(["jobs", status.job.as_str(), "why"]).query("item", item);
            client.find(&route).await?.ok_or_else(|| local::no_item(&stage, name))
        }
    }
}

fn told(story: &Story) -> String {
    let mut lines =
        vec![format!("{}/{} (#{} of job {})", story.stage, story.item, story.index, story.job), story.outcome.clone()];
    lines.extend(story.waits.iter().map(|why| harmless(why)));
    for attempt in &story.attempts {
        lines.push(String::new());
        lines.push(attempt_words(attempt));
        lines.extend(end_words(&attempt.end));
    }
    lines.push(String::new());
    lines.push(reuse_words(&story.reuse));
    lines.join("\n")
}

fn attempt_words(attempt: &Attempt) -> String {
    let others = match attempt.task_items {
        1 => String::new(),
        items => format!(", in a task of {items} items"),
    };
    let copy = if attempt.is_copy { ", a copy of one that was too slow" } else { "" };
    format!("attempt {} at {} on {}{others}{copy}", attempt.attempt, attempt.started, attempt.worker)
}

fn end_words(end: &AttemptEnd) -> Vec<String> {
    match end {
        AttemptEnd::Committed { stdout_bytes, files: 0 } => {
            vec![format!("  committed, {} on stdout", bytes(*stdout_bytes))]
        }
        AttemptEnd::Committed { stdout_bytes, files } => {
            vec![format!("  committed, {} on stdout, {files} files", bytes(*stdout_bytes))]
        }
        AttemptEnd::Failed { together, failure } => {
            let blame = match together {
                1 => String::new(),
                items => format!(" (with {} others: which of them is to blame was not known yet)", items - 1),
            };
            let mut lines = vec![format!("  failed, reason {}: {}{blame}", failure.reason, harmless(&failure.message))];
            lines.extend(failure.stderr.lines().map(|line| format!("  | {}", harmless(line))));
            lines
        }
        AttemptEnd::HandedBack => vec!["  handed back before it was done".to_owned()],
    }
}

fn reuse_words(reuse: &Reuse) -> String {
    match reuse {
        Reuse::Taken { from } => {
            format!("its results were taken from job {from}: everything that they depend on is the same")
        }
        Reuse::Off => "not taken from an earlier job: the stage says `cache: false`".to_owned(),
        Reuse::NoEarlierJob => "not taken from an earlier job: there is none of this pipeline".to_owned(),
        Reuse::StageDiffers { from, field, now, then } => {
            format!(
                "not taken from job {from}: `{field}` differs\n  now:  {}\n  then: {}",
                shortened(now),
                shortened(then)
            )
        }
        Reuse::ItemIsNew { from } => {
            format!("not taken from job {from}: that had no result for an item of this key and content")
        }
    }
}

fn shortened(value: &str) -> String {
    let value = harmless(value);
    match value.char_indices().nth(SHOWN_VALUE) {
        None => value,
        Some((end, _)) => format!("{}..", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use grid_core::ids::{JobId, StageName};
    use grid_core::reason::{Failure, Reason};
    use job_manager::view::Fate;

    use super::*;

    #[test]
    fn a_story_is_told_attempt_by_attempt() {
        let failure = Failure { stderr: "no such claim\n".into(), ..Failure::new(Reason::Exit, "exit status 3") };
        let attempt = |attempt, task_items, end| Attempt {
            attempt,
            worker: "w".into(),
            started: "2026-01-01T00:00:00Z".into(),
            task_items,
            is_copy: false,
            end,
        };
        let story = Story {
            job: JobId::new("0190"),
            stage: StageName::new("clean"),
            item: "7".into(),
            index: 7,
            outcome: view::outcome(Fate::Dead, false).to_owned(),
            waits: Some("its turn has not come".into()),
            attempts: vec![
                attempt(1, 8, AttemptEnd::Failed { together: 8, failure: failure.clone() }),
                attempt(2, 4, AttemptEnd::HandedBack),
                attempt(3, 1, AttemptEnd::Failed { together: 1, failure }),
            ],
            reuse: Reuse::StageDiffers {
                from: JobId::new("0180"),
                field: "run".into(),
                now: "./b".into(),
                then: "./a".into(),
            },
        };
        let expected = "\
clean/7 (#7 of job 0190)
dead: it was given up on
its turn has not come

attempt 1 at 2026-01-01T00:00:00Z on w, in a task of 8 items
  failed, reason exit: exit status 3 (with 7 others: which of them is to blame was not known yet)
  | no such claim

attempt 2 at 2026-01-01T00:00:00Z on w, in a task of 4 items
  handed back before it was done

attempt 3 at 2026-01-01T00:00:00Z on w
  failed, reason exit: exit status 3
  | no such claim

not taken from job 0180: `run` differs
  now:  ./b
  then: ./a";
        assert_eq!(told(&story), expected);
        let copied = Attempt { is_copy: true, ..attempt(1, 2, AttemptEnd::HandedBack) };
        let words = "attempt 1 at 2026-01-01T00:00:00Z on w, in a task of 2 items, a copy of one that was too slow";
        assert_eq!(attempt_words(&copied), words);
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(shortened(&"é".repeat(SHOWN_VALUE + 1)), format!("{}..", "é".repeat(SHOWN_VALUE)));
    }
}
