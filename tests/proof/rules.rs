//! Retries, limits, failures, order, shapes: what the pipeline file promises, from outside.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::place::Place;

fn texts(place: &Place) -> BTreeMap<String, String> {
    place.tree("out").into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// A stage `one` over a range, with these keys.
fn one(range: &str, keys: &str) -> Place {
    Place::with(&format!("name: rules\nstages:\n  one:\n    range: {range}\n{keys}"))
}

#[test]
fn an_item_is_tried_again_until_its_attempts_are_used_up() {
    let keys = |attempts: u32| {
        format!(
            "    retry: {{attempts: {attempts}, backoff: {{initial: 1ms}}}}
    run: echo $GRIDMILL_ITEM >> log; test $(grep -cx $GRIDMILL_ITEM log) -ge 3\n"
        )
    };
    let enough = one("1..4", &keys(3));
    let ended = enough.run(&[]).expect(0).balances();
    assert_eq!((enough.lines("log").len(), ended.stage("one")["failures"]["exit"].as_u64()), (12, Some(8)));
    let too_few = one("1..4", &keys(2));
    let ended = too_few.run(&[]).expect(1);
    assert_eq!((too_few.lines("log").len(), ended.items("one")), (8, [0, 0, 4, 0]));
    assert!(too_few.dead().iter().all(|letter| letter["exit"] == 1 && letter["message"].is_string()));
}

#[test]
fn the_first_rule_that_matches_decides_what_becomes_of_a_failure() {
    let place = one(
        "1..5",
        r#"    skip: {limit: 2}
    retry:
      attempts: 3
      backoff: {initial: 1ms}
      rules:
        - {when: {exit: 4}, then: skip}
        - {when: {stderr: hopeless}, then: fail}
        - {when: {signal: SIGSEGV}, then: fail}
        - {when: {exit: [5, 6]}, then: retry}
    run: |
      echo $GRIDMILL_ITEM >> log
      case $GRIDMILL_ITEM in
      1) exit 4 ;;
      2) echo this is hopeless >&2; exit 5 ;;
      3) kill -SEGV $$ ;;
      4) test "$GRIDMILL_ATTEMPT" -ge 3 || exit 6 ;;
      esac
"#,
    );
    let ended = place.run(&[]).expect(3).balances();
    assert_eq!(ended.items("one"), [2, 1, 2, 0]);
    let mut log = place.lines("log");
    log.sort();
    assert_eq!(log, ["1", "2", "3", "4", "4", "4", "5"]);
    let dead = place.dead();
    let of = |letter: &Value| (letter["index"].as_u64(), letter["reason"].clone(), letter["signal"].as_i64());
    assert_eq!(
        dead.iter().map(of).collect::<Vec<_>>(),
        [(Some(1), "exit".into(), None), (Some(2), "signal".into(), Some(11))]
    );
    assert!(dead[0]["stderr"].as_str().unwrap().contains("hopeless"));
}

#[test]
fn an_item_that_runs_out_of_memory_gets_more_when_a_rule_says_so() {
    let place = one(
        "1..2",
        r#"    resources: {memory: 128MiB}
    retry:
      attempts: 2
      backoff: {initial: 1ms}
      rules: [{when: {reason: oom}, then: retry, memory: x2}]
    run: |
      echo "$GRIDMILL_ITEM $GRIDMILL_ATTEMPT $(ulimit -v)" >> log
      test $GRIDMILL_ITEM = 1 || exit 0
      python3 -c 'import os; os.write(1, b"%d\n" % len(b"x" * (160 << 20)))'
"#,
    );
    let ended = place.run(&["--workers", "1"]).expect(0).balances();
    let mut log = place.lines("log");
    log.sort();
    assert_eq!(log, ["1 1 131072", "1 2 262144", "2 1 131072"]);
    assert_eq!(ended.stage("one")["failures"], serde_json::json!({"oom": 1}));
    assert_eq!(texts(&place), map(&[("one/1.txt", "167772160\n"), ("one/2.txt", "")]));
}

#[test]
fn what_ran_out_of_memory_for_good_says_under_which_limit() {
    let place = one(
        "1..1",
        r#"    resources: {memory: 64MiB}
    retry: {attempts: 1}
    run: [python3, -c, 'b"x" * (160 << 20)']
"#,
    );
    place.run(&[]).expect(1);
    let letter = &place.dead()[0];
    assert_eq!((letter["reason"].as_str(), letter["exit"].as_i64()), (Some("oom"), Some(1)));
    let message = letter["message"].as_str().unwrap();
    assert!(message.contains("64.0 MiB") && message.contains("raise `resources.memory`"), "{message}");
}

#[test]
fn a_command_that_runs_too_long_is_killed_with_all_that_it_started() {
    let place = one(
        "1..1",
        r#"    timeout: 300ms
    grace: 100ms
    retry: {attempts: 1}
    run: |
      trap '' TERM
      (trap '' TERM; setsid sleep 600) &
      sleep 600
"#,
    );
    place.run(&[]).expect(1).says(&["longer"]);
    assert_eq!(place.dead()[0]["reason"], "timeout");
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[test]
fn as_many_bad_items_as_the_limit_says_may_be_dead() {
    for (limit, bad, code) in [("2", 2, 3), ("2", 3, 1), ("10%", 2, 3), ("10%", 3, 1), ("0", 1, 1), ("0", 0, 0)] {
        let place = one(
            "1..20",
            &format!(
                "    skip: {{limit: {limit}}}\n    retry: {{attempts: 1}}\n    run: test $GRIDMILL_ITEM -gt {bad}\n"
            ),
        );
        let ended = place.run(&[]).expect(code);
        assert_eq!(ended.items("one"), [20 - bad, 0, bad, 0], "{limit} {bad}");
        assert_eq!(place.dead().len() as u64, bad);
    }
}

#[test]
fn too_many_failures_stop_the_job_at_once() {
    let place =
        one("1..500", "    skip: {limit: 500}\n    max_failures: 3\n    retry: {attempts: 1}\n    run: exit 1\n");
    let ended = place.run(&["--workers", "1"]).expect(1);
    let [ok, skipped, dead, not_run] = ended.items("one");
    assert!(ok == 0 && skipped == 0 && dead > 3 && not_run > 100, "{:?}", ended.items("one"));
}

#[test]
fn a_stage_waits_for_those_that_it_comes_after() {
    let place = Place::with(
        "
name: order
stages:
  first: {range: 1..9, run: 'echo first >> log'}
  second: {after: [first], range: 1..2, run: 'echo second >> log'}
  third: {after: [second], range: 1..1, run: 'echo third >> log'}
",
    );
    place.run(&[]).expect(0).balances();
    let expected = [vec!["first"; 9], vec!["second"; 2], vec!["third"]].concat();
    assert_eq!(place.lines("log"), expected);
}

#[test]
fn combiners_read_as_many_inputs_as_they_may_and_the_root_has_everything() {
    let place = Place::with(
        r#"
name: tree
stages:
  leaf: {range: 1..100, run: echo $GRIDMILL_ITEM}
  sum:
    all: leaf
    fan_in: 3
    input_as: files
    run: |
      ls "$GRIDMILL_INPUT_DIR" | wc -l >> log
      cat "$GRIDMILL_INPUT_DIR"/* | awk '{n += $1} END {print n}'
"#,
    );
    let ended = place.run(&[]).expect(0).balances();
    assert_eq!(texts(&place), map(&[("sum.txt", "5050\n")]));
    let inputs: Vec<u32> = place.lines("log").iter().map(|line| line.trim().parse().unwrap()).collect();
    assert!(inputs.iter().all(|count| (1..=3).contains(count)), "{inputs:?}");
    assert_eq!(inputs.len() as u64, ended.items("sum")[0]);
    assert_eq!(u64::from(inputs.iter().sum::<u32>()), 100 + ended.items("sum")[0] - 1, "all but the root is read once");
}

#[test]
fn a_matrix_leaves_out_and_adds_as_it_says() {
    let place = Place::with(
        r#"
name: matrix
stages:
  cell:
    matrix:
      system: [erp, crm]
      year: [2024, 2025]
      exclude: [{system: crm, year: 2024}]
      include: [{system: payroll, year: 2025}, {system: erp, colour: red}]
    run: echo "$GRIDMILL_KEY_SYSTEM $GRIDMILL_KEY_YEAR ${GRIDMILL_KEY_COLOUR:-none}"
  system: {group: cell, by: [system], run: sort}
"#,
    );
    place.run(&[]).expect(0).balances();
    let expected = map(&[
        ("system/crm.txt", "crm 2025 none\n"),
        ("system/erp.txt", "erp 2024 red\nerp 2025 red\n"),
        ("system/payroll.txt", "payroll 2025 none\n"),
    ]);
    assert_eq!(texts(&place), expected);
}

#[test]
fn outputs_have_the_names_that_the_pipeline_gives_them() {
    let place = Place::with(
        r#"
name: names
params: {year: {type: integer, default: 2025}}
stages:
  named:
    list: [{dept: sales}, {dept: R&D/eu}]
    output: {format: csv, name: "${{ key.dept }}-${{ params.year }}.csv"}
    run: echo ${{ key.dept }}
  files:
    list: [x, y]
    run: |
      mkdir -p "$GRIDMILL_OUTPUT_DIR/deep"
      echo "$GRIDMILL_ITEM" > "$GRIDMILL_OUTPUT_DIR/deep/report.html"
  single: {all: named, output: {format: ndjson}, run: wc -l}
  listed: {list: items.txt, run: 'echo "got $GRIDMILL_KEY_ITEM"'}
outputs: [named, files, single, listed]
"#,
    );
    place.write("items.txt", "one\ntwo words\n");
    place.run(&["--param", "year=2026"]).expect(0).balances();
    let expected = map(&[
        ("files/x/deep/report.html", "x\n"),
        ("files/y/deep/report.html", "y\n"),
        ("listed/one.txt", "got one\n"),
        ("listed/two%20words.txt", "got two words\n"),
        ("named/R%26D%2Feu-2026.csv", "R&D/eu\n"),
        ("named/sales-2026.csv", "sales\n"),
        ("single.ndjson", "2\n"),
    ]);
    assert_eq!(texts(&place), expected);
}

#[test]
fn setup_runs_once_before_the_items_of_its_worker() {
    let place = one("1..30", "    setup: echo setup >> log\n    run: test -e log; echo item >> log\n");
    place.run(&["--workers", "1"]).expect(0).balances();
    let log = place.lines("log");
    assert_eq!((log[0].as_str(), log.iter().filter(|line| *line == "setup").count(), log.len()), ("setup", 1, 31));
}
