//! Machines that come, and that are taken away beside running commands: nothing is lost, nothing runs twice, and no command is
//! ended by it.

use std::time::Duration;

use anyhow::{Context, ensure};
use gridmill_tests::fleet::{Daemon, Fleet, Instance, get};
use serde_json::{Value, json};

use super::{MINUTES, fetched, local, receipt, stage, submit, until};

/// Notices that workers get in one job: `GRIDMILL_NOTICES` says how many.
const NOTICES: usize = 50;

/// Workers at a time.
const WORKERS: usize = 5;

/// Machines at least that the law takes away beside running commands: `GRIDMILL_SCALE_INS` says how many.
const SCALE_INS: usize = 20;

/// Items of a wave that end soon.
const WAVE: u32 = 60;

/// Items that say when they begin and when they end, so that one that was ended in between is seen.
fn told(fleet: &Fleet, items: u32, secs: &str) -> String {
    let (began, ended) = (fleet.path("began"), fleet.path("ended"));
    let run = format!(
        "echo x >> {}; sleep {secs}; echo $((GRIDMILL_KEY_ITEM * GRIDMILL_KEY_ITEM)); echo x >> {}",
        began.display(),
        ended.display()
    );
    super::numbered(items, &run)
}

/// How many items have begun, and how many of them have ended by themselves.
fn lines(fleet: &Fleet) -> anyhow::Result<(usize, usize)> {
    let count = |name: &str| std::fs::read(fleet.path(name)).map(|text| text.len() / 2);
    Ok((count("began")?, count("ended")?))
}

/// How many the environment asks for.
fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

struct Hired {
    instance: Instance,
    worker: Daemon,
}

fn hire(fleet: &Fleet, nth: usize) -> anyhow::Result<Hired> {
    let instance = Instance::new(&format!("i-{nth:017}"))?;
    let worker = fleet.worker_on(&format!("worker-{nth}"), &instance, &["--drain-secs", "60"])?;
    Ok(Hired { instance, worker })
}

/// The group waits for a worker that is told to drain: it is kept waiting while an item runs, and let go when that has ended.
pub fn a_group_that_ends_an_instance_waits_for_its_worker() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let first = hire(&fleet, 1)?;
    let gate = fleet.path("gate");
    let run = format!("while [ ! -e {} ]; do sleep 0.1; done; echo over", gate.display());
    let job = submit(&manager, &super::numbered(1, &run))?;
    until(&manager.address, &job, |status| stage(status, 0, "running") == 1)?;
    first.instance.is_told("autoscaling/target-lifecycle-state", "Terminated");
    let waits = "RecordLifecycleActionHeartbeat workers/drain/i-00000000000000001";
    while first.instance.actions() != [waits] {
        std::thread::sleep(Duration::from_millis(50));
    }
    fleet.write("gate", "")?;
    ensure!(first.worker.end()?.success(), "it ends well");
    let actions = first.instance.actions();
    let last = actions.last().context("there is one")?;
    assert_eq!(last, "CompleteLifecycleAction workers/drain/i-00000000000000001 CONTINUE");
    assert!(actions[..actions.len() - 1].iter().all(|action| action == waits), "{actions:?}");

    let _second = hire(&fleet, 2)?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!(end["state"], "succeeded", "{end}");
    assert_eq!(stage(&receipt(&manager.address, &job)?, 0, "attempts"), 1, "the item ended where it had begun");
    Ok(())
}

/// The worker's doctor asks what a draining worker asks, of an instance that is nobody's.
pub fn a_worker_says_whether_its_group_would_wait() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let group = Instance::new("i-1")?;
    let said = fleet.check_of_worker(&group)?;
    for right in ["wait", "let go"] {
        ensure!(said.contains(&format!("ok         group workers, hook drain, {right}: allowed")), "{said}");
    }
    let of_nobody = ["RecordLifecycleActionHeartbeat", "CompleteLifecycleAction"]
        .map(|action| format!("{action} workers/drain/i-00000000000000000"));
    assert_eq!(group.actions(), [of_nobody[0].clone(), format!("{} CONTINUE", of_nobody[1])]);
    Ok(())
}

/// The worker has its role's credentials by a secret; a command has neither, and is told nothing else of the instance.
pub fn a_worker_has_its_role_by_a_secret_that_no_command_knows() -> anyhow::Result<()> {
    const SECRET: &str = "a-secret-that-was-made-when-the-instance-booted";
    let fleet = Fleet::new()?;
    let manager = fleet.manager("manager")?;
    let instance = Instance::new("i-1")?;
    instance.is_told("iam/security-credentials/", "worker-role");
    let credentials = json!({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2025-01-01T00:00:00Z",
        "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "test", "Expiration": "2099-01-01T00:00:00Z"});
    instance.is_told("iam/security-credentials/worker-role", &credentials.to_string());
    let metadata = fleet.metadata_of(&instance, SECRET)?;
    ensure!(
        fleet.worker_behind("stranger", &metadata, "another-secret").is_err(),
        "without the secret there is no role"
    );
    let _worker = fleet.worker_behind("worker", &metadata, SECRET)?;
    let ask = "echo ${AWS_CONTAINER_AUTHORIZATION_TOKEN-none} ${AWS_CONTAINER_CREDENTIALS_FULL_URI-none}";
    let job = submit(&manager, &super::numbered(1, ask))?;
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!(end["state"], "succeeded", "{end}");
    let outputs = fetched(&fleet, &manager.address, &job)?;
    assert_eq!(outputs.values().next().context("it has an output")?, b"none none\n");
    let status = |path: &str| Ok::<u16, anyhow::Error>(get(&metadata.address, path)?.status);
    assert_eq!(status("/credentials")?, 401);
    assert_eq!(status("/latest/meta-data/iam/security-credentials/worker-role")?, 404);
    Ok(())
}

/// Spot notices come all the time, and every worker that gets one is replaced.
pub fn spot_notices_under_load_end_no_command_and_change_no_byte() -> anyhow::Result<()> {
    let notices = number("GRIDMILL_NOTICES").unwrap_or(NOTICES);
    let fleet = Fleet::new()?;
    let items = 40 * notices as u32;
    let pipeline = told(&fleet, items, "0.4");
    let manager = fleet.manager("manager")?;
    let mut workers = (0..WORKERS).map(|nth| hire(&fleet, nth)).collect::<anyhow::Result<Vec<Hired>>>()?;
    let job = submit(&manager, &pipeline)?;
    let mut given = 0;
    while given < notices {
        let status = until(&manager.address, &job, |status| {
            status["state"] != "running" || stage(status, 0, "running") >= WORKERS as u64
        })?;
        ensure!(status["state"] == "running", "the job was over after {given} notices: {status}");
        // All but one at a time, as when a kind of machine is wanted elsewhere.
        let taken = (WORKERS - 1).min(notices - given);
        workers[..taken].iter().for_each(|hired| hired.instance.is_reclaimed());
        for _ in 0..taken {
            let status = workers.remove(0).worker.end()?;
            ensure!(status.success(), "a worker that drains ends well: {status}");
            workers.push(hire(&fleet, WORKERS + given)?);
            given += 1;
        }
    }
    let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
    assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), u64::from(items)), "{end}");
    assert_eq!(lines(&fleet)?, (items as usize, items as usize), "begun and ended, each once");
    let receipt = receipt(&manager.address, &job)?;
    assert_eq!((&receipt["balanced"], &receipt["stages"][0]["failures"]), (&json!(true), &json!({})), "{receipt}");
    // The same without the waiting.
    fleet.write("p.yaml", told(&fleet, items, "0"))?;
    assert_eq!(fetched(&fleet, &manager.address, &job)?, local(&fleet, &[])?);
    Ok(())
}

/// Machines of the pool as people see them: there and on their way.
fn machines(manager: &str) -> anyhow::Result<u64> {
    let pools = get(manager, "/v1/pools")?.json()?;
    let groups = pools["entries"][0]["groups"].as_array().context(format!("a pool with groups: {pools}"))?;
    let count = |field: &str| groups.iter().filter_map(|group| group[field].as_u64()).sum::<u64>();
    Ok(count("machines") + count("coming"))
}

/// Waits until there are so few machines.
fn shrinks_to(manager: &Daemon, most: u64) -> anyhow::Result<()> {
    let give_up = std::time::Instant::now() + MINUTES;
    loop {
        let there = machines(&manager.address)?;
        if there <= most {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < give_up, "{there} machines stay");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// From no worker to the end of a job and back to none, three times: none is started or ended by hand.
pub fn processes_come_with_the_work_and_go_without_losing_any() -> anyhow::Result<()> {
    let fleet = Fleet::new()?;
    let manager =
        fleet.manager_with("manager", &["--fleet", "processes", "--max-machines", "3", "--machine-slots", "2"])?;
    let mut items = 0;
    for round in 1..=3 {
        // Another command each time: what an earlier job has made is not made again.
        let pipeline = told(&fleet, 20 + round, &format!("0.2{round}"));
        let job = submit(&manager, &pipeline)?;
        let end = fleet.end_of(&|| vec![manager.address.clone()], &job, MINUTES)?;
        items += 20 + round;
        assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), u64::from(20 + round)), "{end}");
        assert_eq!(receipt(&manager.address, &job)?["balanced"], true);
        shrinks_to(&manager, 0)?;
        assert_eq!(lines(&fleet)?, (items as usize, items as usize), "begun and ended, each once");
    }
    Ok(())
}

/// A wave of work, of which one item lasts until its gate is opened; the others, for so long.
fn wave(fleet: &Fleet, nth: usize, secs: &str) -> String {
    let gate = fleet.path(&format!("gate-{nth}"));
    let (began, ended) = (fleet.path("began"), fleet.path("ended"));
    let held = format!(
        "echo x >> {}; until [ -e {} ]; do sleep 0.1; done; echo held; echo x >> {}",
        began.display(),
        gate.display(),
        ended.display()
    );
    // Other commands each time, since what an earlier job has made is not made again.
    format!("{}  held: {{list: [one], run: '{held}'}}\n", told(fleet, WAVE, &format!("{secs}; : wave {nth}")))
}

/// Machines that the law has ended because they were idle, as the manager's log tells. One that is slow to come may be ended for
/// that, too: it is not counted.
fn scale_ins(fleet: &Fleet) -> anyhow::Result<usize> {
    let log = std::fs::read_to_string(fleet.path("manager.log"))?;
    let said = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_one = |fields: &Value| fields["message"] == "ending a machine" && fields["because"] == "Idle";
    Ok(said.filter(|said| is_one(&said["fields"])).count())
}

/// Waves of work, one into the other: the machines of each go when it is over, beside an item that still runs and those of the
/// next one.
pub fn scale_ins_under_load_end_no_command_and_change_no_byte() -> anyhow::Result<()> {
    let wanted = number("GRIDMILL_SCALE_INS").unwrap_or(SCALE_INS);
    let fleet = Fleet::new()?;
    let manager =
        fleet.manager_with("manager", &["--fleet", "processes", "--max-machines", "12", "--machine-slots", "1"])?;
    let mut jobs = Vec::new();
    while scale_ins(&fleet)? < wanted {
        ensure!(jobs.len() <= wanted, "a wave without a machine that goes");
        jobs.push(surge(&fleet, &manager, jobs.len())?);
    }
    fleet.write(&format!("gate-{}", jobs.len() - 1), "")?;
    for job in &jobs {
        let end = fleet.end_of(&|| vec![manager.address.clone()], job, MINUTES)?;
        assert_eq!((&end["state"], stage(&end, 0, "ok")), (&json!("succeeded"), u64::from(WAVE)), "{end}");
        let receipt = receipt(&manager.address, job)?;
        let failures = receipt["stages"].as_array().context("it has stages")?.iter().map(|stage| &stage["failures"]);
        assert!(receipt["balanced"] == true && failures.into_iter().all(|failed| *failed == json!({})), "{receipt}");
    }
    let items = jobs.len() * (WAVE as usize + 1);
    assert_eq!(lines(&fleet)?, (items, items), "begun and ended, each once");
    for (nth, job) in jobs.iter().enumerate() {
        fleet.write("p.yaml", wave(&fleet, nth, "0"))?;
        assert_eq!(fetched(&fleet, &manager.address, job)?, local(&fleet, &[])?);
        std::fs::remove_dir_all(fleet.path("there"))?;
        std::fs::remove_dir_all(fleet.path("here"))?;
    }
    eprintln!("{} machines were taken away, {items} items in {} jobs", scale_ins(&fleet)?, jobs.len());
    Ok(())
}

/// Submits a wave, lets what lasted of the one before end, and waits until the machines that only this one needed have gone.
fn surge(fleet: &Fleet, manager: &Daemon, nth: usize) -> anyhow::Result<String> {
    let job = submit(manager, &wave(fleet, nth, "0.7"))?;
    until(&manager.address, &job, |status| stage(status, 0, "ok") > 0)?;
    if nth > 0 {
        fleet.write(&format!("gate-{}", nth - 1), "")?;
    }
    until(&manager.address, &job, |status| stage(status, 0, "ok") == u64::from(WAVE))?;
    shrinks_to(manager, 1)?;
    let status = until(&manager.address, &job, |_| true)?;
    assert_eq!((stage(&status, 2, "running"), &status["state"]), (1, &json!("running")), "{status}");
    Ok(job)
}
