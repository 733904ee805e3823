//! A job from submission to end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::yard::{Yard, spoken};

pub const SWEEP: &str = "\
name: sweep
params:
  factor: {type: integer, default: 2}
stages:
  times:
    range: 1..3
    run: echo $((GRIDMILL_ITEM * ${{ params.factor }}))
  sum:
    all: times
    run: awk '{n += $1} END {print n}'
";

#[test]
fn a_key_stands_for_one_job() {
    let yard = Yard::without_worker(SWEEP);
    let submit = |line: &str| yard.gridmill(line).0.trim().to_owned();
    let first = submit("submit p.yaml --idempotency-key k");
    assert_eq!(submit("submit p.yaml --idempotency-key k"), first);
    let other = submit("submit p.yaml");
    assert_ne!(other, first);
    let (listed, _, _) = yard.gridmill("list --json");
    let jobs: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.iter().map(|job| job["job"].as_str().unwrap()).collect::<Vec<_>>(), [other.as_str(), &first]);
    let (_, said, code) = yard.gridmill("submit p.yaml --param factor=5 --idempotency-key k");
    assert!(code == 2 && said.contains("another body"), "{said}");
}

#[test]
fn a_job_is_paused_resumed_and_cancelled() {
    let yard = Yard::without_worker(SWEEP);
    let job = yard.json("submit p.yaml --json")["job"].as_str().unwrap().to_owned();
    assert_eq!(yard.json(&format!("pause {job} --json"))["state"], "paused");
    assert_eq!(yard.gridmill("list --only paused --json").0.lines().count(), 1);
    assert_eq!(yard.gridmill("list --only running --json").0.lines().count(), 0);
    // The newest job, and a part of an id.
    assert_eq!(yard.json("resume --json")["state"], "running");
    assert_eq!(yard.json(&format!("cancel {} --json", &job[24..]))["state"], "cancelled");
    let (_, said, code) = yard.gridmill("resume");
    assert!(code == 1 && said.contains("is cancelled: it cannot be resumed"), "{said}");
    let (answer, _, code) = yard.gridmill("status --watch --json");
    assert_eq!(code, 4);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["state"], "cancelled");
}

#[test]
fn faults_of_a_submission_come_before_anything_is_sent() {
    let yard = Yard::without_worker(SWEEP);
    let (_, said, code) = yard.gridmill("submit p.yaml --param factor=much --param colour=red");
    assert!(code == 2 && said.contains("factor") && said.contains("colour"), "{said}");
    yard.write("p.yaml", "name: x\nstagse: {}\n");
    let (_, said, code) = yard.gridmill("submit p.yaml");
    assert!(code == 2 && said.contains("p.yaml:2:1"), "{said}");
    assert_eq!(yard.gridmill("list --json").0, "");
}

#[test]
fn an_interrupt_leaves_the_job_running() {
    let yard = Yard::without_worker(SWEEP);
    let mut watching = yard.command("submit p.yaml --watch");
    let mut watching = watching.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watching.stderr.take().unwrap()).lines().map(Result::unwrap);
    // Lines come while it waits: by then it listens for signals.
    let line = said.find(|line| line.contains("0/3 items")).unwrap();
    assert!(line.starts_with("times: "), "{line}");
    let killed = Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = said.collect();
    let (_, _, code) = spoken(watching.wait_with_output().unwrap());
    assert_eq!(code, 130);
    assert!(rest.iter().any(|line| line.contains("goes on without this command")), "{rest:?}");
    assert_eq!(yard.json("status --json")["state"], "running");
    yard.works();
    assert_eq!(yard.gridmill("status --watch").2, 0);
}

#[test]
fn tokens_are_made_asked_for_and_revoked() {
    let yard = Yard::without_worker(SWEEP);
    let (secret, said, code) = yard.gridmill("token create --scope admin --note first");
    assert!(code == 0 && said.contains("shown once") && !said.contains(secret.trim()), "{said}");
    let (_, said, code) = yard.gridmill("list");
    assert!(code == 2 && said.contains("GRIDMILL_TOKEN"), "{said}");
    let with = |token: &str, line: &str| spoken(yard.command(line).env("GRIDMILL_TOKEN", token).output().unwrap());
    let (reader, said, code) = with(&secret, "token create --scope read --tenant finance --expires 1h");
    assert!(code == 0 && said.contains("may read for finance, until 2"), "{said}");
    assert_eq!(with(&reader, "list --json").2, 0);
    let (_, said, code) = with(&reader, "submit p.yaml");
    assert!(code == 2 && said.contains("an admin can make another one"), "{said}");
    let id = reader.split('_').nth(1).unwrap();
    let (listed, _, _) = with(&secret, "token list");
    assert!(listed.contains(id) && listed.contains("finance") && listed.contains("first"), "{listed}");
    assert!(!listed.contains(&reader[20..]), "no secrets: {listed}");
    assert_eq!(with(&secret, &format!("token revoke {id}")).2, 0);
    assert_eq!((with(&reader, "list").2, with(&secret, &format!("token revoke {id}")).2), (2, 2));
}

#[test]
fn the_first_token_needs_the_settings_of_a_manager() {
    let yard = Yard::without_worker(SWEEP);
    let mut command = yard.command("token list");
    for name in ["MANAGER", "BUCKET", "TASK_QUEUE", "DEAD_TASK_QUEUE", "REPORT_QUEUE", "TABLE"] {
        command.env_remove(format!("GRIDMILL_{name}"));
    }
    let (_, said, code) = spoken(command.output().unwrap());
    assert!(code == 2 && said.contains("missing settings GRIDMILL_BUCKET") && said.contains("--manager URL"), "{said}");
}
