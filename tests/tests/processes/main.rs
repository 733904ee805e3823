//! Jobs through real managers and workers, each a process of its own, on a server that speaks AWS's language.
//!
//! Ignored unless asked for: `tests/servers` starts a server for them. By hand: build `gridmill`, `job-manager` and
//! `grid-worker`, start a server, set `AWS_ENDPOINT_URL`, then `cargo test -p gridmill-tests --test processes -- --ignored`.
//! `GRIDMILL_KILLS` says how many processes are killed in one job, `GRIDMILL_SEED` which; `GRIDMILL_NOTICES` how many workers get
//! a spot notice, `GRIDMILL_SCALE_INS` how many are taken away by the law.

mod checkpoints;
mod copies;
mod doors;
mod machines;
mod names;
mod strangers;
mod wishes;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use grid_core::random::Random;
use gridmill_tests::fleet::{Daemon, Fleet, get, post, tree};
use serde_json::{Value, json};

use self::checkpoints::an_item_goes_on_from_its_checkpoint_on_another_worker;
use self::copies::a_copy_ends_what_the_first_execution_never_does;
use self::doors::{
    a_manager_says_which_back_end_it_waits_for, nobody_is_listened_to_beyond_this_machine_before_there_is_a_token,
};
use self::machines::{
    a_group_that_ends_an_instance_waits_for_its_worker, a_worker_has_its_role_by_a_secret_that_no_command_knows,
    a_worker_says_whether_its_group_would_wait, processes_come_with_the_work_and_go_without_losing_any,
    scale_ins_under_load_end_no_command_and_change_no_byte, spot_notices_under_load_end_no_command_and_change_no_byte,
};
use self::names::files_of_awkward_names_arrive_as_they_are;
use self::strangers::{
    a_stranger_reads_what_is_documented_and_delivers_twice,
    the_aws_command_line_reads_what_is_documented_and_delivers_twice,
};
use self::wishes::{
    a_job_that_is_cancelled_ends_and_the_next_one_runs, a_table_that_is_lost_is_made_again_and_the_job_goes_on,
    what_failed_is_redriven_and_nothing_else_runs_again,
};

const MINUTES: Duration = Duration::from_secs(600);

/// Files in, lines made larger, grouped by file, added up.
const CLAIMS: &str = "
name: claims
inputs:
  claims: {format: csv, header: true}
stages:
  clean: {split: {input: claims, by: records, count: 50}, run: ./clean}
  per_file: {group: clean, by: [file], run: 'sort -t, -k1,1n'}
  total: {all: per_file, run: 'awk -F, \"{ sum += \\$2 } END { print NR, sum }\"'}
";

fn numbered(items: u32, run: &str) -> String {
    format!(
        "name: numbered\nstages:\n  work: {{range: 1..{items}, run: '{run}'}}\n  sum: {{all: work, fan_in: 50, run: cat}}\n"
    )
}

fn claims(fleet: &Fleet) -> anyhow::Result<()> {
    fleet.write("p.yaml", CLAIMS)?;
    fleet.write("clean", "#!/bin/sh\nexec awk -F, 'NR > 1 { print $1 \",\" $2 * 3 }'\n")?;
    let mut permissions = std::fs::metadata(fleet.path("clean"))?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(fleet.path("clean"), permissions)?;
    std::fs::create_dir(fleet.path("in"))?;
    // Names that shells, URLs and forms stumble over.
    for (nth, name) in ["plain.csv", "with space.csv", "umläut & ампер%20.csv", "quote'\"s;.csv"].iter().enumerate()
    {
        let rows: String = (0..200).map(|row| format!("{row},{}\n", row * (nth + 1))).collect();
        fleet.write(&format!("in/{name}"), format!("id,amount\n{rows}"))?;
    }
    Ok(())
}

fn submit(manager: &Daemon, pipeline: &str) -> anyhow::Result<String> {
    let answer = post(&manager.address, "/v1/jobs", &json!({"pipeline": pipeline}))?;
    ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(answer.json()?["job"].as_str().context("it has an id")?.to_owned())
}

fn stage(status: &Value, at: usize, field: &str) -> u64 {
    status["stages"][at][field].as_u64().unwrap_or_default()
}

/// Waits until a job's status is as wished; asks again after a moment, as a person would.
fn until(manager: &str, job: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let give_up = std::time::Instant::now() + MINUTES;
    loop {
        let answer = get(manager, &format!("/v1/jobs/{job}"))?.json()?;
        if is(&answer) {
            return Ok(answer);
        }
        ensure!(std::time::Instant::now() < give_up, "it never comes: {answer}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn receipt(manager: &str, job: &str) -> anyhow::Result<Value> {
    get(manager, &format!("/v1/jobs/{job}/receipt"))?.json()
}

fn fetched(fleet: &Fleet, manager: &str, job: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let url = format!("http://{manager}");
    fleet.succeeds(&["outputs", job, "--fetch", "there", "--manager", &url])?;
    tree(&fleet.path("there"))
}

fn local(fleet: &Fleet, words: &[&str]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    fleet.succeeds(&[&["run", "p.yaml", "--out", "here"], words].concat())?;
    tree(&fleet.path("here"))
}

fn a_submitted_pipeline_gives_the_bytes_of_a_local_run() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    claims(&fleet)?;
    let manager = fleet.manager("manager")?;
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?);
    let url = format!("http://{}", manager.address);
    let told = fleet.succeeds(&["submit", "p.yaml", "--input", "claims=in", "--watch", "--json", "--manager", &url])?;
    let job = get(&manager.address, "/v1/jobs")?.json()?["entries"][0]["job"].as_str().context(told)?.to_owned();
    let there = fetched(&fleet, &manager.address, &job)?;
    assert_eq!(there, local(&fleet, &["--input", "claims=in"])?);
    assert!(there.contains_key("total.txt"), "{:?}", there.keys());
    Ok(())
}

fn whoever_is_killed_the_outputs_are_those_of_a_local_run() -> anyhow::Result<()> {
    let kills: u32 = std::env::var("GRIDMILL_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let seed: u64 = std::env::var("GRIDMILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let fleet = Fleet::new()?;
    let items = 100 + 40 * kills;
    let work = numbered(items, "sleep 0.1; echo $((GRIDMILL_KEY_ITEM * GRIDMILL_KEY_ITEM))");
    // The job lasts until all are killed who shall be.
    let gate = fleet.path("gate");
    let pipeline =
        format!("{work}  last: {{list: [one], run: 'until [ -e {} ]; do sleep 0.1; done'}}\n", gate.display());
    fleet.write("p.yaml", &pipeline)?;
    let managers = RefCell::new(vec![fleet.manager("manager-0")?, fleet.manager("manager-1")?]);
    let mut workers = vec![fleet.worker("worker-0")?, fleet.worker("worker-1")?, fleet.worker("worker-2")?];
    let job = submit(&managers.borrow()[0], &pipeline)?;
    let mut random = Random::from_seed(seed);
    let mut done = 0;
    for _ in 0..kills {
        // Something must have happened since the last one.
        let last = managers.borrow().last().map(|manager| manager.address.clone()).context("there is one")?;
        let has_moved = |ok: u64| ok > done || ok == u64::from(items);
        let status = until(&last, &job, |status| has_moved(stage(status, 0, "ok")))?;
        done = stage(&status, 0, "ok");
        let victim = random.below(4);
        if victim != 0 {
            let at = random.below(workers.len() as u64) as usize;
            workers.remove(at).kill()?;
            workers.push(fleet.worker(&format!("worker-{at}"))?);
        }
        if victim <= 1 {
            let at = random.below(2) as usize;
            managers.borrow_mut().remove(at).kill()?;
            managers.borrow_mut().push(fleet.manager(&format!("manager-{at}"))?);
        }
    }
    fleet.write("gate", "")?;
    let addresses = || managers.borrow().iter().map(|manager| manager.address.clone()).collect();
    let end = fleet.end_of(&addresses, &job, MINUTES)?;
    assert_eq!(end["state"], "succeeded", "{end}");
    let address = managers.borrow()[0].address.clone();
    assert_eq!(receipt(&address, &job)?["balanced"], true);
    assert_eq!(fetched(&fleet, &address, &job)?, local(&fleet, &[])?);
    Ok(())
}

fn a_task_message_that_is_delivered_twice_changes_nothing() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let job = submit(&manager, &numbered(30, "echo $GRIDMILL_KEY_ITEM"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let grid = runtime.block_on(infra::aws::open(&fleet.settings()?))?;
    let copied = runtime.block_on(async {
        let received = grid.tasks.receive(10, Duration::from_secs(1), Duration::from_secs(20)).await?;
        let bodies: Vec<String> = received.iter().map(|message| message.body.clone()).collect();
        ensure!(!bodies.is_empty(), "no task waits");
        for _ in 0..3 {
            grid.tasks.send(&bodies).await?.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        Ok(bodies.len())
    })?;
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?);
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok"), stage(&end, 0, "dead")), (&json!("succeeded"), 30, 0), "{end}");
    let receipt = receipt(&manager.address, &job)?;
    assert_eq!(receipt["balanced"], true);
    assert!(copied > 0 && stage(&receipt, 0, "attempts") <= 30, "{receipt}");
    Ok(())
}

fn a_job_of_a_hundred_thousand_items_balances() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let _workers = (fleet.worker("worker-1")?, fleet.worker("worker-2")?);
    let pipeline = "name: many\nstages:\n  work: {range: 1..100000, per: bundle, run: [\"true\"]}\n";
    let job = submit(&manager, pipeline)?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), 100_000), "{end}");
    assert_eq!(receipt(&manager.address, &job)?["balanced"], true);
    Ok(())
}

// One server is enough: what they differ in, the contracts tell.
gridmill_tests::on_ministack! {
    a_submitted_pipeline_gives_the_bytes_of_a_local_run
    whoever_is_killed_the_outputs_are_those_of_a_local_run
    a_task_message_that_is_delivered_twice_changes_nothing
    a_job_that_is_cancelled_ends_and_the_next_one_runs
    what_failed_is_redriven_and_nothing_else_runs_again
    a_table_that_is_lost_is_made_again_and_the_job_goes_on
    an_item_goes_on_from_its_checkpoint_on_another_worker
    nobody_is_listened_to_beyond_this_machine_before_there_is_a_token
    a_manager_says_which_back_end_it_waits_for
    a_copy_ends_what_the_first_execution_never_does
    a_group_that_ends_an_instance_waits_for_its_worker
    a_worker_has_its_role_by_a_secret_that_no_command_knows
    a_worker_says_whether_its_group_would_wait
    spot_notices_under_load_end_no_command_and_change_no_byte
    processes_come_with_the_work_and_go_without_losing_any
    scale_ins_under_load_end_no_command_and_change_no_byte
    files_of_awkward_names_arrive_as_they_are
    a_stranger_reads_what_is_documented_and_delivers_twice
    the_aws_command_line_reads_what_is_documented_and_delivers_twice
    a_job_of_a_hundred_thousand_items_balances
}
