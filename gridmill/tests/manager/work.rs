//! Jobs that are worked on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::jobs::SWEEP;
use super::yard::{Yard, spoken, text};

/// Item 2 fails until somebody says that it should not.
const POISONED: &str = "\
name: poisoned
params:
  bad: {type: integer, default: 2}
stages:
  work:
    range: 1..3
    run: test $GRIDMILL_ITEM != ${{ params.bad }} || { echo cannot >&2; exit 7; }
    retry: {attempts: 1}
    skip: {limit: 1}
";

/// 80 MiB and more of input, of which no more is written than what it is called.
const LARGE: &str = "\
name: large
inputs:
  texts: {format: text}
stages:
  count:
    split: {input: texts, by: files, count: 1}
    run: echo \"$(wc -l) $GRIDMILL_KEY_FILE\"
";

#[test]
fn a_job_is_watched_to_its_end() {
    let yard = Yard::new(SWEEP);
    let (answer, said, code) = yard.gridmill("submit p.yaml --param factor=3 --watch");
    assert_eq!((answer.as_str(), code), ("", 0), "{said}");
    for words in ["sum: done, 1 ok", "succeeded in", "gridmill outputs"] {
        assert!(said.contains(words), "no {words}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours in a pipe: {said}");
    let job = yard.json("status --json");
    assert_eq!((job["state"].as_str(), job["stages"][0]["ok"].as_u64()), (Some("succeeded"), Some(3)));
    let receipt = yard.json("receipt --json");
    assert_eq!((receipt["balanced"].as_bool(), receipt["job"].as_str()), (Some(true), job["job"].as_str()));
}

#[test]
fn what_failed_is_explained_and_run_again() {
    let yard = Yard::new(POISONED);
    let (_, said, code) = yard.gridmill("submit p.yaml --watch");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("work/2 (#1, attempt 1)") && said.contains("| cannot"), "{said}");
    assert!(said.contains("\n  gridmill why 'work/#1'\n"), "{said}");
    let (dead, _, _) = yard.gridmill("dead --json");
    assert_eq!(serde_json::from_str::<Value>(dead.trim()).unwrap()["exit"], 7);
    let story = yard.json("why work/2 --json");
    assert_eq!((story["index"].as_u64(), story["attempts"].as_array().unwrap().len()), (Some(1), 1));
    let (_, said, code) = yard.gridmill("why work/9");
    assert!(code == 2 && said.contains("stage work has no item `9`"), "{said}");
    assert_eq!(yard.json("redrive --where reason=exit --set bad=9 --json")["items"], 1);
    let (_, said, code) = yard.gridmill("status --watch");
    assert_eq!(code, 0, "{said}");
}

/// Its program and its inputs lie on the machine that submits.
const WORDS: &str = "\
name: words
inputs:
  texts: {format: text}
  more: {format: text, default: [more.txt]}
stages:
  count:
    split: {input: texts, by: lines, count: 1}
    run: ./bin/shout < /dev/stdin
  file:
    split: {input: more, by: lines, count: 1}
    run: echo $GRIDMILL_KEY_FILE; cat
  sweep:
    list: list.txt
    run: echo \"<$GRIDMILL_ITEM>\"
";

#[test]
fn a_job_at_a_manager_writes_what_a_run_here_writes() {
    let yard = Yard::new(WORDS);
    yard.write("bin/shout", "#!/bin/sh\ntr a-z A-Z\n");
    fs::set_permissions(yard.path().join("bin/shout"), Permissions::from_mode(0o755)).unwrap();
    yard.write("texts/a.txt", "one\nuno\n");
    yard.write("texts/b/ü.txt", "two\n");
    yard.write("texts/b/100%.txt", "three\n");
    yard.write("more.txt", "more\n");
    yard.write("list.txt", "x\ny z\n");
    let (_, said, code) = yard.gridmill("run p.yaml --input texts=texts --out here");
    assert_eq!(code, 0, "{said}");
    let (_, said, code) = yard.gridmill("submit p.yaml --input texts=texts --fetch fetched");
    assert_eq!(code, 0, "{said}");
    let expected = yard.tree("here");
    assert_eq!(expected["count/a.txt,0.txt"], b"ONE\n");
    assert_eq!(yard.tree("fetched"), expected);

    // Again, over what is there; and elsewhere.
    assert_eq!(yard.gridmill("outputs --fetch fetched").2, 0);
    assert_eq!(yard.gridmill("outputs --fetch elsewhere").2, 0);
    assert_eq!((yard.tree("fetched"), yard.tree("elsewhere")), (expected.clone(), expected.clone()));
    let (listed, _, _) = yard.gridmill("outputs --json");
    assert_eq!(listed.lines().count(), expected.len());

    // What is not ours is left alone.
    yard.write("taken/count/precious.txt", "mine");
    let (_, said, code) = yard.gridmill("outputs --fetch taken");
    assert!(code == 2 && said.contains("count/precious.txt"), "{said}");
    fs::rename(yard.path().join("taken/count/precious.txt"), yard.path().join("precious.txt")).unwrap();
    assert_eq!(yard.gridmill("outputs --fetch taken").2, 0);
    assert_eq!(yard.tree("taken"), expected);
}

#[test]
fn logs_are_printed_and_followed() {
    let yard = Yard::new(POISONED);
    let (_, said, code) = yard.gridmill("submit p.yaml --watch");
    assert_eq!(code, 3, "{said}");
    let expected = "==> work/2 (#1, attempt 1) <==\ncannot\n";
    for line in ["logs", "logs work", "logs work/2", "logs work/#1", "logs --follow"] {
        assert_eq!(yard.gridmill(line), (expected.to_owned(), String::new(), 0), "{line}");
    }
    let (_, said, _) = yard.gridmill("logs work/1");
    assert_eq!(said, "nothing was written to standard error\n");
    let (_, said, code) = yard.gridmill("logs wrok");
    assert!(code == 2 && said.contains("no stage `wrok`") && said.contains("it has work"), "{said}");
}

#[test]
fn large_files_and_odd_names_are_uploaded_ahead() {
    let yard = Yard::new(LARGE);
    yard.write("in/o\"dd%22.txt", "odd\n");
    yard.write("in/large.txt", "0123456789abcde\n".repeat(5 << 20));
    let (_, said, code) = yard.gridmill("run p.yaml --input texts=in --out here");
    assert_eq!(code, 0, "{said}");
    let (_, said, code) = yard.gridmill("submit p.yaml --input texts=in --fetch fetched");
    assert_eq!(code, 0, "{said}");
    assert_eq!(yard.tree("fetched"), yard.tree("here"));
    let (answer, said, code) =
        spoken(yard.command("submit p.yaml --input texts=-").stdin(text("piped\n")).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert_eq!(yard.gridmill(&format!("status {} --watch", answer.trim())).2, 0);
    assert_eq!(yard.gridmill("outputs --fetch piped").2, 0);
    assert_eq!(yard.tree("piped")["count.txt"], b"1 stdin\n");
}
