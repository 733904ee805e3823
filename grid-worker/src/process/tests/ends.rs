//! Stops, setup, co-processes, and what is left when gridmill itself is killed.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::super::guard::guard_main;
use super::*;

async fn until_exists(path: PathBuf) {
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_drain_lets_the_item_in_hand_finish_and_gives_the_others_back() {
    let trial = shell("touch started; while ! test -e go; do sleep 0.01; done; echo done");
    let (stop, started, go) = (trial.stop.clone(), trial.workdir().join("started"), trial.workdir().join("go"));
    let drain = async {
        until_exists(started).await;
        stop.drain.cancel();
        std::fs::write(go, "").unwrap();
    };
    let (ran, ()) = tokio::join!(trial.run(3), drain);
    assert_eq!(ran.items, [ok("done\n"), ItemRan::Unrun, ItemRan::Unrun]);
}

#[tokio::test]
async fn a_kill_ends_the_item_in_hand_and_gives_all_back() {
    let trial = shell("trap 'echo told > told; exit 0' TERM; echo partial; touch started; sleep 1000 & wait");
    let (stop, started) = (trial.stop.clone(), trial.workdir().join("started"));
    let kill = async {
        until_exists(started).await;
        stop.kill.cancel();
    };
    let (ran, ()) = tokio::join!(trial.run(2), kill);
    assert_eq!((ran.items, ran.pack.len()), (vec![ItemRan::Unrun, ItemRan::Unrun], 0));
    assert!(trial.workdir().join("told").exists());
}

#[tokio::test]
async fn a_task_whose_caller_went_away_is_ended() {
    let trial = shell("echo $$ > pid.new; mv pid.new pid; exec sleep 1000");
    let runner = runner();
    let pid = trial.workdir().join("pid");
    tokio::select! {
        _ = trial.run_on(&runner, 1, Vec::new()) => unreachable!("it sleeps"),
        () = until_exists(pid.clone()) => {}
    }
    while lives(pid.clone()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn setup_runs_once_a_stage_before_the_first_item() {
    let trial = shell("cat setup.log").with(|stage| {
        stage.setup = Some(Command::Shell(text("echo \"${GRIDMILL_ITEM-no item} $GRIDMILL_STAGE\" >> setup.log")));
    });
    let runner = runner();
    for _ in 0..2 {
        let ran = trial.run_on(&runner, 2, Vec::new()).await;
        assert_eq!(ran.items, [ok("no item work\n"), ok("no item work\n")]);
    }
}

#[tokio::test]
async fn a_setup_that_fails_fails_the_task_and_is_tried_again_by_the_next() {
    let trial = shell("echo done").with(|stage| {
        stage.setup = Some(Command::Shell(text("echo no licence >&2; test -e licence")));
    });
    let runner = runner();
    let ran = trial.run_on(&runner, 2, Vec::new()).await;
    let failure = Failure {
        reason: Reason::Setup,
        exit: Some(1),
        signal: None,
        message: "the setup of stage work failed: the command ended with exit status 1".into(),
        stderr: "no licence\n".into(),
    };
    assert_eq!(ran.items, [ItemRan::Failed(failure.clone()), ItemRan::Failed(failure)]);
    std::fs::write(trial.workdir().join("licence"), "").unwrap();
    assert_eq!(trial.run_on(&runner, 1, Vec::new()).await.items, [ok("done\n")]);
}

#[tokio::test]
async fn the_guard_ends_what_a_killed_runner_left() {
    // The runner is a process of its own here: this test program, in the part of `a_runner_to_be_killed`.
    let mut runner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_runner_to_be_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let said: Vec<String> = lines
        .map_while(Result::ok)
        .filter_map(|line| line.split_once("says ").map(|(_, said)| said.to_owned()))
        .take(2)
        .collect();
    runner.kill().unwrap();
    runner.wait().unwrap();
    let [guard, command] = &said[..] else { panic!("{said:?}") };
    let gone = |pid: &str| !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(pid);
    while !(gone(guard) && gone(command)) {
        tokio::task::yield_now().await;
    }
}

fn is_zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

#[tokio::test]
#[ignore = "a part of the_guard_ends_what_a_killed_runner_left"]
async fn a_runner_to_be_killed() {
    let runner = runner();
    let trial = shell("setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' & wait");
    let guard_pid = trial.workdir().join("guard");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec \"$@\" a_guard --ignored", guard_pid.display());
    let executable = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    // The test program takes its cookie from the environment, since its arguments are filters.
    let script = format!("for COOKIE; do :; done; export COOKIE; set -- {executable}; {script}");
    // Any command may read a guard's environment: it must have none.
    let told = format!("{{ cp /proc/$$/environ {0}.new; mv {0}.new {0}; exit; }}", guard_pid.display());
    let script = format!("test -z \"$(tr -d '\\0' < /proc/$$/environ)\" || {told}; {script}");
    runner.start_guard("/bin/sh".into(), vec!["-c".into(), script, "guard".into()]);
    let report = async {
        for file in [guard_pid, trial.workdir().join("pid")] {
            until_exists(file.clone()).await;
            let pid: u32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
            say(pid);
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(trial.run_on(&runner, 1, Vec::new()), report);
}

#[test]
#[ignore = "a part of the_guard_ends_what_a_killed_runner_left"]
fn a_guard() {
    guard_main(&std::env::var("COOKIE").unwrap());
}

#[allow(clippy::print_stdout, reason = "read by the test that started this process")]
fn say(what: u32) {
    println!("says {what}");
}
