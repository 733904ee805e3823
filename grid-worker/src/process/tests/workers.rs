//! `per: worker`.

use grid_core::units::ByteSize;

use super::*;

/// A co-process in Python; the rest of the loop is the test's own.
fn server(body: &str) -> Option<Trial> {
    if !std::process::Command::new("python3").arg("--version").output().is_ok_and(|it| it.status.success()) {
        return None;
    }
    let trial = argv(&["python3", "-u", "server.py"]).with(|stage| stage.per = Per::Worker);
    let lines: Vec<String> = body.lines().map(|line| format!("    {line}")).collect();
    let script = format!(
        "import sys, json, os, time\nsaid = lambda **reply: print(json.dumps(reply))\nn = 0\nfor line in sys.stdin:\n    r = json.loads(line)\n    n += 1\n{}\nopen('ended', 'w').write('in order')\n",
        lines.join("\n")
    );
    std::fs::write(trial.workdir().join("server.py"), script).unwrap();
    Some(trial)
}

#[tokio::test]
async fn one_process_serves_items_across_tasks_and_ends_at_shutdown() {
    let Some(trial) = server("said(item=r['item'], output='%d:%s:%s|' % (n, r['index'], r['input']))") else { return };
    let runner = runner();
    let first = trial.run_on(&runner, 2, vec![bytes("a"), bytes("b")]).await;
    let second = trial.run_on(&runner, 1, vec![bytes("c")]).await;
    assert_eq!((pack_text(&first), pack_text(&second)), ("1:0:a|2:1:b|".into(), "3:0:c|".into()));
    assert!(!trial.workdir().join("ended").exists());
    runner.shutdown().await;
    assert!(trial.workdir().join("ended").exists());
}

#[tokio::test]
async fn a_request_says_everything_of_its_item() {
    let Some(trial) =
        server("r['output_dir'] = os.path.basename(r['output_dir'])\nsaid(item=r['item'], output=json.dumps(r))")
    else {
        return;
    };
    assert_eq!(
        pack_text(&trial.feed(vec![bytes("é\n")]).await),
        r#"{"item": "i0,it%27s%200", "index": 0, "attempt": 1, "key": {"item": "i0", "cost-centre": "it's 0"}, "output_dir": "output", "input": "\u00e9\n"}"#
    );
}

#[tokio::test]
async fn large_and_binary_data_travel_as_files() {
    let body = "data = open(r['input_file'], 'rb').read()\npath = os.path.join(r['output_dir'], 'o')\nopen(path, 'wb').write(data)\nopen(path + '2', 'w').write('file')\nsaid(item=r['item'], output_file=path)";
    let Some(trial) = server(body) else { return };
    let large = vec![b'x'; 100_000];
    let ran =
        trial.feed(vec![ItemInput::Bytes(Bytes::from_static(b"\xff\0")), ItemInput::Bytes(large.clone().into())]).await;
    let names: Vec<Vec<&str>> = ran
        .items
        .iter()
        .map(|item| match item {
            ItemRan::Ok { files, .. } => files.iter().map(|file| file.name.as_str()).collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [["o2"], ["o2"]]);
    assert!(pack(&ran) == [b"\xff\0file", &large[..], b"file"].concat());
}

#[tokio::test]
async fn an_error_fails_its_item_and_the_process_goes_on() {
    let body = "if n == 1: said(item=r['item'], error='no such account')\nelif n == 2: said(item=r['item'], error='busy', retry=True)\nelse: said(item=r['item'], output=str(n))";
    let Some(trial) = server(body) else { return };
    let ran = trial.feed(vec![bytes("a"), bytes("b"), bytes("c")]).await;
    let failed =
        |exit, message: &str| ItemRan::Failed(Failure { exit: Some(exit), ..Failure::new(Reason::Exit, message) });
    assert_eq!(ran.items, [failed(1, "no such account"), failed(75, "busy"), ok("3")]);
}

#[tokio::test]
async fn a_breach_of_the_protocol_fails_the_item_in_hand_and_a_new_process_serves_the_next() {
    let body = "i = r['index']\nif i == 0: print('hello')\nelif i == 1: said(item='other', output='x')\nelif i == 2: said(item=r['item'], output='x'); print('more')\nelif i == 3: sys.stderr.write('dying'); os._exit(3)\nelif i == 4: os.kill(os.getpid(), 11)\nelif i == 5: sys.stdout.write(json.dumps(dict(item=r['item'], output='a')) + '\\nmore\\n')\nelse: said(item=r['item'], output=str(n))";
    let Some(trial) = server(body) else { return };
    let ran =
        trial.feed(vec![bytes("a"), bytes("b"), bytes("c"), bytes("d"), bytes("e"), bytes("f"), bytes("g")]).await;
    let reasons: Vec<_> = failures(&ran).iter().map(|failure| (failure.reason, failure.exit, failure.signal)).collect();
    // The surplus line of the third may come together with its answer or after it, and then with the fourth.
    assert_eq!(reasons.len(), if matches!(ran.items[2], ItemRan::Ok { .. }) { 5 } else { 6 });
    assert_eq!(reasons[..2], [(Reason::Output, None, None), (Reason::Output, None, None)]);
    assert_eq!(reasons[reasons.len() - 2..], [(Reason::Signal, None, Some(11)), (Reason::Output, None, None)]);
    assert_eq!(ran.items[6], ok("1"));
}

#[tokio::test]
async fn a_process_that_exits_is_named_with_its_status() {
    let Some(trial) = server("sys.stderr.write('dying')\nsys.exit(3)") else { return };
    let ran = trial.feed(vec![bytes("a")]).await;
    let failure = Failure {
        exit: Some(3),
        stderr: "dying".into(),
        ..Failure::new(
            Reason::Exit,
            "the co-process failed: it ended before it answered: the command ended with exit status 3",
        )
    };
    assert_eq!(ran.items, [ItemRan::Failed(failure)]);
}

#[tokio::test]
async fn an_item_that_takes_too_long_ends_its_process() {
    let body = "if r['index'] == 0: open('pid', 'w').write(str(os.getpid())); time.sleep(1000)\nsaid(item=r['item'], output=str(n))";
    let Some(trial) = server(body) else { return };
    // Long enough for Python to start, which counts as part of the first item.
    let trial = trial.with(|stage| stage.timeout = Duration::from_secs(3));
    let ran = trial.feed(vec![bytes("a"), bytes("b")]).await;
    assert_eq!(failures(&ran)[0].reason, Reason::Timeout);
    assert_eq!(ran.items[1], ok("1"));
    assert!(!lives(trial.workdir().join("pid")));
}

#[tokio::test]
async fn an_input_that_could_not_be_had_costs_no_process() {
    let Some(trial) = server("said(item=r['item'], output=str(n))") else { return };
    let failure = Failure::new(Reason::Input, "a.csv is gone");
    let ran = trial.feed(vec![bytes("a"), ItemInput::Failed(failure.clone()), bytes("c")]).await;
    assert_eq!(ran.items, [ok("1"), ItemRan::Failed(failure), ok("2")]);
}

#[tokio::test]
async fn a_kill_ends_the_process_and_gives_the_items_back() {
    let body = "open('pid.new', 'w').write(str(os.getpid()))\nos.rename('pid.new', 'pid')\ntime.sleep(1000)";
    let Some(trial) = server(body) else { return };
    let (stop, pid) = (trial.stop.clone(), trial.workdir().join("pid"));
    let kill = async {
        while !pid.exists() {
            tokio::task::yield_now().await;
        }
        stop.kill.cancel();
    };
    let (ran, ()) = tokio::join!(trial.feed(vec![bytes("a"), bytes("b")]), kill);
    assert_eq!(ran.items, [ItemRan::Unrun, ItemRan::Unrun]);
    assert!(!lives(trial.workdir().join("pid")));
}

#[tokio::test]
async fn a_wrong_answer_is_shown_beside_the_right_one() {
    let body = "i = r['index']\nif i == 0: print('Loading ' + 300 * '.')\nelif i == 1: print('{\"item\": 1, \"output\": 2}')\nelse: said(item='other', output='')";
    let Some(trial) = server(body) else { return };
    let ran = trial.feed(vec![bytes("a"), bytes("b"), bytes("c")]).await;
    let messages: Vec<String> = failures(&ran).into_iter().map(|failure| failure.message).collect();
    let expected = |answer: &str, item: &str| {
        format!(
            "the co-process failed: its answer was {answer}; expected was a JSON object in one line, like \
             {{\"item\":\"{item}\",\"output\":\"..\"}}, with exactly one of `output`, `output_file` and `error`, all of them text"
        )
    };
    assert_eq!(
        messages,
        [
            expected(&format!("`Loading {}` ..", ".".repeat(192)), "i0,it%27s%200"),
            expected("`{\"item\": 1, \"output\": 2}`", "i1,it%27s%201"),
            "the co-process failed: it answered for item `other` when it was asked for `i2,it%27s%202`".to_owned(),
        ]
    );
}

#[tokio::test]
async fn an_attempt_with_more_memory_is_not_served_by_a_process_with_less() {
    let body = "try:\n    b'x' * (160 << 20)\nexcept MemoryError: said(item=r['item'], error='MemoryError')\nelse: said(item=r['item'], output=str(n))";
    let Some(trial) = server(body) else { return };
    let mut trial = trial.with(|stage| stage.resources.memory = Some(ByteSize(128 << 20)));
    let runner = runner();
    let refused = failures(&trial.run_on(&runner, 1, vec![bytes("a")]).await).remove(0);
    assert_eq!(exit(&refused), (Reason::Oom, Some(1)), "{}", refused.message);
    trial.memory_factor = 2.0;
    assert_eq!(trial.run_on(&runner, 1, vec![bytes("a")]).await.items, [ok("1")]);
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_each_item() {
    let trial = argv(&["no-such-server"]).with(|stage| stage.per = Per::Worker);
    let ran = trial.run(2).await;
    let ends: Vec<_> = failures(&ran).iter().map(exit).collect();
    assert_eq!(ends, [(Reason::Exit, Some(127)), (Reason::Exit, Some(127))]);
}
