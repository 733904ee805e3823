//! What is said when a job has ended: its balance, where its outputs lie, what failed and where to look further.

use std::env;
use std::path::Path;

use grid_api::{
    CopiesReceipt, DeadLetter, JobState, JobStatus, OperationReceipt, Receipt, SlotTimeReceipt, StageReceipt,
};
use grid_core::pipeline::{ItemSource, Pipeline, Stage};
use jiff::Timestamp;

use crate::client::Address;
use crate::console::{Column, table};
use crate::deliver::StageDelivery;
use crate::place::Place;
use crate::text::{bytes, count, counted, harmless, seconds};

/// Dead letters shown of each failed stage.
pub const SHOWN_DEAD: usize = 3;

/// Lines of standard error shown of each.
const SHOWN_LINES: usize = 5;

/// The balance: one line a stage, in = ok + skipped + dead (+ not run, where the job ended before); then one for every stage of
/// which tasks were copied.
pub fn balance(receipt: &Receipt) -> String {
    let unfinished = receipt.stages.iter().any(|stage| stage.not_run > 0);
    let reused = receipt.stages.iter().any(|stage| stage.reused > 0);
    let mut columns = vec![Column::Text("stage"), Column::Number("in"), Column::Number("ok")];
    columns.extend(reused.then_some(Column::Number("(reused)")));
    columns.extend([Column::Number("skipped"), Column::Number("dead")]);
    columns.extend(unfinished.then_some(Column::Number("not run")));
    columns.extend(["tasks", "read", "written", "busy"].map(Column::Number));
    let rows = table(&columns, receipt.stages.iter().map(|stage| balance_row(stage, reused, unfinished)));
    let copies = receipt.stages.iter().filter_map(copies).map(|line| format!("\n{line}"));
    rows + &copies.collect::<String>()
}

fn balance_row(stage: &StageReceipt, reused: bool, unfinished: bool) -> Vec<String> {
    let mut row = vec![stage.name.to_string(), count(stage.items), count(stage.ok)];
    row.extend(reused.then(|| format!("({})", count(stage.reused))));
    row.extend([count(stage.skipped), count(stage.dead)]);
    row.extend(unfinished.then(|| count(stage.not_run)));
    row.extend([count(stage.attempts), bytes(stage.bytes_in), bytes(stage.bytes_out), seconds(stage.busy_secs)]);
    row
}

/// What was executed a second time since it was slow.
fn copies(stage: &StageReceipt) -> Option<String> {
    let CopiesReceipt { started, won, lost_secs } = stage.copies?;
    let lost = seconds(lost_secs);
    Some(format!("{}: copies of slow tasks: {} started, {} won; {lost} lost", stage.name, count(started), count(won)))
}

/// What was asked of services, and its list price; nothing where the receipt does not say.
pub fn requests(receipt: &Receipt) -> Option<String> {
    let told = receipt.requests.as_ref()?;
    if told.total == 0 {
        return Some("no requests to services: all of it ran on this machine".to_owned());
    }
    let columns = [Column::Text("operation"), Column::Number("requests"), Column::Number("billed as")];
    let row = |kind: &OperationReceipt| vec![kind.operation.clone(), count(kind.requests), count(kind.units)];
    let rows = table(&columns, told.operations.iter().map(row));
    let (total, usd) = (counted(told.total, "request"), &told.usd);
    let unpriced = match told.unpriced.as_slice() {
        [] => String::new(),
        unpriced => format!(", without {}", unpriced.join(", ")),
    };
    Some(format!("{rows}\n{total}, ${usd} by the list prices of {} as of {}{unpriced}", told.region, told.as_of))
}

/// What the job cost, in one line; nothing where slot time has no price.
pub fn cost(receipt: &Receipt) -> Option<String> {
    let (slots, usd) = (receipt.slot_time.as_ref()?, receipt.usd.as_ref()?);
    let SlotTimeReceipt { secs, usd_per_hour, usd: slot_usd } = slots;
    let slot_time = format!("${slot_usd} for {} of slot time at ${usd_per_hour} an hour", seconds(*secs));
    match receipt.requests.as_ref().filter(|told| told.total > 0) {
        Some(told) => Some(format!("${usd} in all: {slot_time}, ${} for requests", told.usd)),
        None => Some(slot_time),
    }
}

/// How the job ended, in one line.
pub fn verdict(receipt: &Receipt) -> String {
    let state = crate::progress::words::state_words(receipt.state);
    let mut words = format!("job {} {state}", receipt.job);
    if let Some(took) = took(receipt) {
        words = format!("{words} in {took}");
    }
    let items: u64 = receipt.stages.iter().map(|stage| stage.items).sum();
    let dead: u64 = receipt.stages.iter().map(|stage| stage.dead).sum();
    match (receipt.state, items, dead) {
        (JobState::Succeeded, 0, _) => format!("{words}: there was nothing to do, the inputs hold no items"),
        (JobState::Succeeded, _, 1..) => format!("{words}, with {}", counted(dead, "dead letter")),
        (_, _, _) => words,
    }
}

/// The stages for which nothing was found in what the user gave: seldom what was meant.
pub fn without_items(status: &JobStatus, pipeline: &Pipeline) -> Vec<String> {
    let is_empty = |stage: &&Stage| {
        let found = status.stages.iter().find(|found| found.name == stage.name);
        found.is_some_and(|found| found.planned && found.items == 0)
    };
    let words = |stage: &Stage| match &stage.items {
        ItemSource::Split(split) => Some(format!("{} has no items: input `{}` is empty", stage.name, split.input)),
        ItemSource::List(_) => Some(format!("{} has no items: its list is empty", stage.name)),
        ItemSource::Matrix(_)
        | ItemSource::Range(_)
        | ItemSource::Each(_)
        | ItemSource::Group { .. }
        | ItemSource::All { .. } => None,
    };
    pipeline.stages.iter().filter(is_empty).filter_map(words).collect()
}

/// The time between submission and end.
fn took(receipt: &Receipt) -> Option<String> {
    let submitted: Timestamp = receipt.submitted.parse().ok()?;
    let finished: Timestamp = receipt.finished.parse().ok()?;
    Some(seconds(finished.duration_since(submitted).as_secs_f64().max(0.0)))
}

/// Where the outputs lie.
pub fn delivered(deliveries: &[StageDelivery]) -> String {
    let line = |delivery: &StageDelivery| match delivery.paths.as_slice() {
        [] => format!("{}: no output", delivery.stage),
        paths => {
            let paths: Vec<String> = paths.iter().map(|path| shown(path)).collect();
            let amount = format!("{}, {}", counted(delivery.files, "file"), bytes(delivery.bytes));
            format!("{}: {} ({amount})", delivery.stage, paths.join(", "))
        }
    };
    deliveries.iter().map(line).collect::<Vec<String>>().join("\n")
}

/// A path as the user would write it: relative where it lies below the working folder.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok());
    relative.filter(|path| !path.as_os_str().is_empty()).unwrap_or(path).display().to_string()
}

/// A dead letter for people: what, why, and the last words of its command.
pub fn dead_letter(letter: &DeadLetter) -> String {
    let failure = &letter.failure;
    let mut text = format!(
        "{}/{} (#{}, attempt {}): {}",
        letter.stage,
        letter.item,
        letter.index,
        letter.attempt,
        harmless(&failure.message)
    );
    let lines: Vec<&str> = failure.stderr.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        text = format!("{text}\n  | {}", harmless(line));
    }
    text
}

/// The commands that look further.
pub fn look_further(letter: &DeadLetter, place: &Place) -> String {
    let item = quoted(&format!("{}/#{}", letter.stage, letter.index));
    let flags = flags(place);
    let mut commands = vec![format!("why {item}"), format!("logs {item}")];
    if let Place::Here(_) = place {
        commands.push(format!("replay {item}"));
    }
    commands.push("dead".to_owned());
    let lines = commands.iter().map(|command| format!("\n  gridmill {command}{flags}"));
    format!("look further:{}", lines.collect::<String>())
}

/// What leads another command to the same place.
pub fn flags(place: &Place) -> String {
    let named = env::var("GRIDMILL_MANAGER").ok().filter(|url| !url.is_empty());
    flags_beside(place, named.as_deref())
}

/// The same where the environment names that manager, or none.
fn flags_beside(place: &Place, named: Option<&str>) -> String {
    match place {
        Place::Here(here) if here.state == Path::new(".gridmill") && named.is_none() => String::new(),
        Place::Here(here) => format!(" --state {}", quoted(&here.state.display().to_string())),
        Place::There(client) if named.is_some_and(|url| Address::parse(url).as_ref() == Ok(client.address())) => {
            String::new()
        }
        Place::There(client) => format!(" --manager {}", quoted(&client.address().to_string())),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use grid_core::ids::{JobId, StageName};
    use grid_core::reason::{Failure, Reason};

    use grid_api::RequestsReceipt;

    use super::*;
    use crate::client::{Client, PlainHttp};
    use crate::place::Here;

    fn stage(name: &str, items: u64, dead: u64) -> StageReceipt {
        StageReceipt {
            name: StageName::new(name),
            items,
            ok: items - dead,
            reused: 0,
            skipped: 0,
            dead,
            not_run: 0,
            attempts: 4,
            failures: Default::default(),
            bytes_planned: 2_048,
            bytes_in: 2_048,
            records: None,
            bytes_out: 10,
            busy_secs: 1.5,
            copies: None,
        }
    }

    fn receipt(stages: Vec<StageReceipt>) -> Receipt {
        Receipt {
            v: 1,
            job: JobId::new("0190"),
            pipeline: "p".into(),
            state: JobState::Succeeded,
            message: None,
            submitted: "2026-01-01T00:00:00Z".into(),
            finished: "2026-01-01T00:01:05Z".into(),
            balanced: true,
            faults: vec![],
            stages,
            requests: None,
            slot_time: None,
            usd: None,
        }
    }

    #[test]
    fn requests_are_told_with_their_price_and_none_are_told_as_none() {
        let told = RequestsReceipt {
            total: 0,
            usd: "0".into(),
            region: "us-east-1".into(),
            as_of: "2024-11-01".into(),
            unpriced: vec![],
            operations: vec![],
        };
        let of = |told| requests(&Receipt { requests: told, ..receipt(vec![]) });
        assert_eq!(of(None), None);
        assert_eq!(of(Some(told.clone())).unwrap(), "no requests to services: all of it ran on this machine");
        let operation = OperationReceipt { operation: "S3 PutObject".into(), requests: 3, units: 3 };
        let told = RequestsReceipt { total: 3, usd: "0.000015".into(), operations: vec![operation], ..told };
        let words = of(Some(told)).unwrap();
        assert!(words.ends_with("3 requests, $0.000015 by the list prices of us-east-1 as of 2024-11-01"), "{words}");
        assert!(words.contains("S3 PutObject"), "{words}");
    }

    #[test]
    fn a_job_that_cost_something_says_what_for() {
        let slots = SlotTimeReceipt { secs: 5_400.0, usd_per_hour: "0.04".into(), usd: "0.06".into() };
        let free = receipt(vec![]);
        let told = Receipt { slot_time: Some(slots), usd: Some("0.06".into()), ..receipt(vec![]) };
        assert_eq!(
            (cost(&free), cost(&told).as_deref()),
            (None, Some("$0.06 for 1h30m of slot time at $0.04 an hour"))
        );
        let requests = RequestsReceipt {
            total: 3,
            usd: "0.000015".into(),
            region: "us-east-1".into(),
            as_of: "2024-11-01".into(),
            unpriced: vec![],
            operations: vec![],
        };
        let both = Receipt { requests: Some(requests), usd: Some("0.060015".into()), ..told };
        let words = "$0.060015 in all: $0.06 for 1h30m of slot time at $0.04 an hour, $0.000015 for requests";
        assert_eq!(cost(&both).as_deref(), Some(words));
    }

    fn letter() -> DeadLetter {
        let failure = Failure {
            exit: Some(3),
            stderr: "a\nb\nc\nd\ne\nbad \u{1b}[31mclaim".into(),
            ..Failure::new(Reason::Exit, "the command ended with exit status 3")
        };
        DeadLetter {
            stage: StageName::new("clean"),
            item: "claims.csv,7".into(),
            index: 7,
            key: Default::default(),
            attempt: 2,
            failure,
            input: None,
        }
    }

    #[test]
    fn the_balance_adds_up_line_by_line() {
        let shown = balance(&receipt(vec![stage("clean", 1_000, 2), stage("report", 1, 0)]));
        let expected = "\
stage      in   ok  skipped  dead  tasks     read  written  busy
clean   1,000  998        0     2      4  2.0 KiB     10 B  1.5s
report      1    1        0     0      4  2.0 KiB     10 B  1.5s";
        assert_eq!(shown, expected);
    }

    #[test]
    fn reused_and_unfinished_items_have_columns_when_there_are_any() {
        let mut clean = stage("clean", 10, 0);
        (clean.ok, clean.reused, clean.not_run) = (7, 5, 3);
        let shown = balance(&receipt(vec![clean]));
        assert!(
            shown.lines().next().is_some_and(|head| head.contains("(reused)") && head.contains("not run")),
            "{shown}"
        );
    }

    #[test]
    fn a_job_without_items_says_so() {
        let verdict = verdict(&receipt(vec![stage("clean", 0, 0)]));
        assert_eq!(verdict, "job 0190 succeeded in 1m05s: there was nothing to do, the inputs hold no items");
    }

    #[test]
    fn dead_letters_are_in_the_verdict() {
        assert_eq!(verdict(&receipt(vec![stage("a", 9, 2)])), "job 0190 succeeded in 1m05s, with 2 dead letters");
    }

    #[test]
    fn a_dead_letter_shows_the_last_words_of_its_command_and_nothing_that_steers_the_terminal() {
        let expected = "\
clean/claims.csv,7 (#7, attempt 2): the command ended with exit status 3
  | b
  | c
  | d
  | e
  | bad \u{241b}[31mclaim";
        assert_eq!(dead_letter(&letter()), expected);
    }

    #[test]
    fn the_commands_that_look_further_can_be_pasted_into_a_shell() {
        let at = |state: &str| Place::Here(Here { grid: infra::memory::grid(), state: PathBuf::from(state) });
        let here = look_further(&letter(), &at(".gridmill"));
        assert!(here.contains("\n  gridmill why 'clean/#7'\n"), "{here}");
        let elsewhere = look_further(&letter(), &at("my state"));
        assert!(elsewhere.contains("gridmill logs 'clean/#7' --state 'my state'"), "{elsewhere}");
        let address = Address::parse("https://grid.example").expect("it is one");
        let client = Client::new(address, None, PlainHttp::Loopback).expect("it needs no token");
        let there = Place::There(Box::new(client));
        assert!(!look_further(&letter(), &there).contains("replay"));
        let flags = [None, Some("https://grid.example"), Some("https://other.example")];
        let flags = flags.map(|named| (flags_beside(&there, named), flags_beside(&at(".gridmill"), named)));
        let (manager, state) = (" --manager https://grid.example".to_owned(), " --state .gridmill".to_owned());
        let none = String::new;
        assert_eq!(flags, [(manager.clone(), none()), (none(), state.clone()), (manager, state)]);
    }

    #[test]
    fn outputs_are_listed_with_their_place() {
        let paths = vec![PathBuf::from("/x/out/clean")];
        let delivery = StageDelivery { stage: StageName::new("clean"), paths, files: 1, bytes: 4 };
        let empty = StageDelivery { stage: StageName::new("none"), paths: vec![], files: 0, bytes: 0 };
        assert_eq!(delivered(&[delivery, empty]), "clean: /x/out/clean (1 file, 4 B)\nnone: no output");
    }
}
