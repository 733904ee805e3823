//! `per: item`: what a command is given, what becomes of what it writes, how it ends.

use super::*;

#[tokio::test]
async fn items_run_one_after_the_other_and_their_outputs_are_packed_in_order() {
    let trial = shell("cat; printf %s ':done'");
    let ran = trial.feed(vec![bytes("one"), bytes(""), ItemInput::None, bytes("four")]).await;
    assert_eq!(ran.items, [ok("one:done"), ok(":done"), ok(":done"), ok("four:done")]);
    assert_eq!(pack_text(&ran), "one:done:done:donefour:done");
    assert_eq!((ran.log.len(), trial.progress.items_done.load(std::sync::atomic::Ordering::Relaxed)), (0, 4));
}

#[tokio::test]
async fn a_failed_item_leaves_nothing_in_the_pack_and_the_others_go_on() {
    let trial = shell(
        "echo out$GRIDMILL_INDEX; echo err$GRIDMILL_INDEX >&2; touch \"$GRIDMILL_OUTPUT_DIR/f\"; test $GRIDMILL_INDEX != 1",
    );
    let ran = trial.run(3).await;
    assert_eq!(pack_text(&ran), "out0\nout2\n");
    let failure = failures(&ran).remove(0);
    assert_eq!(
        failure,
        Failure {
            reason: Reason::Exit,
            exit: Some(1),
            signal: None,
            message: "the command ended with exit status 1".into(),
            stderr: "err1\n".into(),
        }
    );
    let log = String::from_utf8(ran.log).unwrap();
    assert_eq!(log.lines().count(), 3);
    assert_eq!(
        log.lines().nth(1).unwrap(),
        r#"{"item":1,"name":"i1,it%27s%201","head":"err1\n","tail":"","dropped_bytes":0}"#
    );
}

#[tokio::test]
async fn a_command_sees_the_whole_environment_and_nothing_of_an_outer_grid() {
    let mut trial = shell("env | grep -E 'GRIDMILL|AWS|HOME|MINE|^PWD' | sort");
    trial.params.insert("fiscal-year".into(), "2025".into());
    trial.first = 4;
    trial.attempt = 3;
    let mine = Template {
        parts: vec![
            TemplatePart::Text("<".into()),
            TemplatePart::Key("cost-centre".into()),
            TemplatePart::Param("fiscal-year".into()),
        ],
    };
    trial.stage.env.insert("MINE".into(), mine);
    let runner = runner();
    let ran = trial.run_on(&runner, 2, Vec::new()).await;
    let text = pack_text(&ran);
    let second: Vec<&str> =
        text.lines().skip(text.lines().count() / 2).filter(|line| !line.starts_with("GRIDMILL_DEADLINE=")).collect();
    let workdir = trial.workdir().to_str().unwrap();
    assert_eq!(
        second,
        [
            "AWS_BATCH_JOB_ARRAY_INDEX=5",
            "AWS_BATCH_JOB_ATTEMPT=3",
            "GRIDMILL_ATTEMPT=3",
            "GRIDMILL_INDEX=5",
            "GRIDMILL_ITEM=i5,it%27s%205",
            "GRIDMILL_JOB=job-1",
            "GRIDMILL_KEY_COST_CENTRE=it's 5",
            "GRIDMILL_KEY_ITEM=i5",
            &format!("GRIDMILL_OUTPUT_DIR={workdir}/scratch.0/output"),
            "GRIDMILL_PARAM_FISCAL_YEAR=2025",
            &format!("GRIDMILL_RUN={}", runner.cookie()),
            "GRIDMILL_STAGE=work",
            &format!("GRIDMILL_TASK={}", task_name(4, 3)),
            "GRIDMILL_TASK_NONCE=0",
            "HOME=/nowhere",
            "MINE=<it's 52025",
            &format!("PWD={workdir}"),
        ]
    );
    let deadline = text.lines().find_map(|line| line.strip_prefix("GRIDMILL_DEADLINE=")).unwrap();
    let left = deadline.parse::<jiff::Timestamp>().unwrap().duration_since(jiff::Timestamp::now());
    assert!(left.as_secs() <= 60, "{deadline}");
}

#[tokio::test]
async fn values_are_quoted_for_a_shell_and_left_alone_in_arguments() {
    let template = || Template {
        parts: vec![TemplatePart::Text("x".into()), TemplatePart::Key("cost-centre".into()), TemplatePart::Item],
    };
    let mut string = text("printf '%s|' ");
    string.parts.extend(template().parts);
    let by_shell = Trial::of(Command::Shell(string)).run(2).await;
    assert_eq!(pack_text(&by_shell), "xit's 0i0,it%27s%200|xit's 1i1,it%27s%201|");
    let direct = Trial::of(Command::Argv(vec![text("printf"), text("%s|"), template()])).run(2).await;
    assert_eq!(pack_text(&direct), "xit's 0i0,it%27s%200|xit's 1i1,it%27s%201|");
}

#[tokio::test]
async fn a_program_is_found_as_a_shell_finds_it() {
    let missing = argv(&["frobnicate-the-ledger"]).failure().await;
    assert_eq!(exit(&missing), (Reason::Exit, Some(127)));
    assert!(missing.message.contains("`frobnicate-the-ledger` was not found in PATH"), "{}", missing.message);
    let missing = argv(&["./clean"]).failure().await;
    assert_eq!(exit(&missing), (Reason::Exit, Some(127)));
    let by_shell = shell("frobnicate-the-ledger").failure().await;
    assert_eq!(exit(&by_shell), (Reason::Exit, Some(127)));

    let trial = argv(&["./clean", "a b"]);
    std::fs::write(trial.workdir().join("clean"), "#!/bin/sh\necho \"$1 in $(pwd)\"\n").unwrap();
    assert_eq!(exit(&trial.failure().await), (Reason::Exit, Some(126)));
    make_executable(&trial.workdir().join("clean"));
    assert_eq!(pack_text(&trial.run(1).await), format!("a b in {}\n", trial.workdir().display()));

    std::fs::write(trial.workdir().join("clean"), "#!/no/such/interpreter\n").unwrap();
    let failure = trial.failure().await;
    assert_eq!(exit(&failure), (Reason::Exit, Some(127)));
    assert!(failure.message.contains("interpreter"), "{}", failure.message);
    std::fs::write(trial.workdir().join("clean"), "echo no first line\n").unwrap();
    assert_eq!(exit(&trial.failure().await), (Reason::Exit, Some(126)));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let trial = argv(&["true"]);
    let mut task = trial.task(1, Vec::new());
    Arc::get_mut(&mut task.submission).unwrap().workdir = "/no/such/folder".into();
    let failure = failures(&runner().run(task).await).remove(0);
    assert_eq!(failure.reason, Reason::Internal);
    assert!(failure.message.contains("/no/such/folder"), "{}", failure.message);
}

#[tokio::test]
async fn each_end_has_its_reason() {
    assert_eq!(exit(&shell("exit 75").failure().await), (Reason::Exit, Some(75)));
    let failure = shell("kill -SEGV $$").failure().await;
    assert_eq!((failure.reason, failure.signal), (Reason::Signal, Some(11)));
    let failure = shell("kill -KILL $$").failure().await;
    assert_eq!((failure.reason, failure.signal), (Reason::Signal, Some(9)));
}

#[tokio::test]
async fn binary_output_is_kept_byte_by_byte() {
    let all: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let trial = argv(&["cat"]);
    let ran = trial.feed(vec![ItemInput::Bytes(all.clone().into())]).await;
    assert_eq!(ran.items, [ItemRan::Ok { stdout: (300_000, crc32fast::hash(&all)), files: vec![] }]);
    assert!(pack(&ran) == all);
}

#[tokio::test]
async fn a_command_need_not_read_its_input() {
    let input = || ItemInput::Bytes(vec![b'x'; 1 << 20].into());
    let ran = shell("exec <&-; echo done").feed(vec![input(), input()]).await;
    assert_eq!(ran.items, [ok("done\n"), ok("done\n")]);
    let stream = Box::pin(futures::stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 1 << 16]))));
    let ran = shell("head -c 3").feed(vec![ItemInput::Stream(stream)]).await;
    assert_eq!(ran.items, [ok("xxx")]);
}

#[tokio::test]
async fn a_grandchild_that_holds_standard_output_neither_delays_the_item_nor_survives_it() {
    let trial = shell("sleep 1000 & echo $! > pid; echo done");
    let ran = trial.run(1).await;
    assert_eq!(ran.items, [ok("done\n")]);
    assert!(!lives(trial.workdir().join("pid")));
}

/// A process has no environment while a program is put in the place of another.
#[tokio::test]
async fn a_daemon_that_is_executed_again_and_again_does_not_survive_its_task() {
    let trial =
        shell("printf '#!/bin/sh\\nexec \"$0\"\\n' > again; chmod +x again; setsid ./again & echo $! > pid; echo done");
    assert_eq!(trial.run(1).await.items, [ok("done\n")]);
    assert!(!lives(trial.workdir().join("pid")));
}

#[tokio::test]
async fn a_daemon_does_not_survive_its_task() {
    let trial = shell(
        "setsid sh -c 'sh -c \"sleep 1000 & echo \\$! > pid.new; mv pid.new pid\" & wait' & while ! test -e pid; do sleep 0.01; done; echo done",
    );
    let ran = trial.run(1).await;
    assert_eq!(ran.items, [ok("done\n")]);
    assert!(!lives(trial.workdir().join("pid")));
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_after_its_grace() {
    let trial = shell("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done").with(|stage| {
        stage.timeout = Duration::from_millis(50);
        stage.grace = Duration::from_millis(50);
    });
    let failure = trial.failure().await;
    assert_eq!((failure.reason, failure.signal), (Reason::Timeout, Some(9)));
    assert!(!lives(trial.workdir().join("pid")));
}

#[tokio::test]
async fn a_command_is_given_its_grace_to_end_in_order() {
    let trial = shell("trap 'echo saved > state; exit 0' TERM; sleep 1000 & wait").with(|stage| {
        stage.timeout = Duration::from_millis(300);
    });
    assert_eq!(exit(&trial.failure().await), (Reason::Timeout, Some(0)));
    assert_eq!(std::fs::read_to_string(trial.workdir().join("state")).unwrap(), "saved\n");
}

fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_value_that_no_environment_can_carry_fails_its_item_alone() {
    let trial = shell("echo ok");
    let mut task = trial.task(2, Vec::new());
    task.keys = Arc::new(|index| Key(vec![("d".into(), if index == 0 { "a\0b" } else { "ab" }.into())]));
    let ran = runner().run(task).await;
    assert_eq!(failures(&ran)[0].reason, Reason::Input);
    assert_eq!(ran.items[1], ok("ok\n"));
}

#[tokio::test]
async fn only_the_dimensions_of_an_item_are_in_its_environment() {
    let trial = shell("env | grep -c GRIDMILL_KEY_ || true");
    let mut task = trial.task(3, Vec::new());
    task.keys = Arc::new(|index| Key((0..2 - index).map(|dim| (format!("d{dim}"), "x".into())).collect()));
    assert_eq!(pack_text(&runner().run(task).await), "2\n1\n0\n");
}

#[tokio::test]
async fn items_may_choose_their_programs() {
    let program = Template { parts: vec![TemplatePart::Key("program".into())] };
    let trial = Trial::of(Command::Argv(vec![program, text("x")]));
    let mut task = trial.task(3, Vec::new());
    task.keys = Arc::new(|index| Key(vec![("program".into(), ["echo", "no-such", "printf"][index as usize].into())]));
    let ran = runner().run(task).await;
    assert_eq!((pack_text(&ran).as_str(), failures(&ran)[0].exit), ("x\nx", Some(127)));
}
