//! What becomes of the rest of a job when one of its stages has failed.

use std::thread;

use crate::place::{Going, Place};

/// Items beside the failing one; many more than three workers have in their queue at once.
const BESIDE: u64 = 200;

/// `bad` fails once two items of `beside` run, and these wait for a file. `gate` sees to it that `bad` has its slot first.
fn pipeline(on_failure: &str) -> String {
    format!(
        r#"
name: failing
stages:
  bad:
    range: 1..1
    on_failure: {on_failure}
    retry: {{attempts: 1}}
    run: |
      if test -e mended; then echo mended; exit; fi
      touch begun
      until test "$(grep -c start log)" -ge 2; do sleep 0.02; done
      exit 1
  needs: {{each: bad, run: echo needs >> log; cat}}
  gate: {{range: 1..1, run: until test -e begun; do sleep 0.02; done}}
  beside:
    after: [gate]
    range: 1..{BESIDE}
    run: |
      echo start >> log
      until test -e go; do sleep 0.02; done
      echo end >> log
      echo $GRIDMILL_ITEM
  later: {{after: [beside], range: 1..1, run: echo later >> log}}
"#
    )
}

fn logged(place: &Place, what: &str) -> u64 {
    place.lines("log").iter().filter(|line| *line == what).count() as u64
}

/// Waits until gridmill knows that the stage has failed, which is when it begins to act on it.
fn wait_until_failed(place: &Place, going: &mut Going) {
    loop {
        let said = place.gridmill(&["status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
        if status["stages"][0]["failed"] == true {
            return;
        }
        assert!(going.is_running(), "it ended by itself");
        thread::yield_now();
    }
}

/// Runs it again with the cause mended: everything that was not done is done, and the job succeeds.
fn mend_and_go_on(place: &Place) {
    place.write("mended", "");
    place.write("go", "");
    let ended = place.run(&[]).expect(0).balances().says(&["resuming"]);
    let items = ["bad", "needs", "beside", "later"].map(|stage| ended.items(stage));
    assert_eq!(items, [[1, 0, 0, 0], [1, 0, 0, 0], [BESIDE, 0, 0, 0], [1, 0, 0, 0]]);
    assert_eq!((logged(place, "end"), logged(place, "needs"), logged(place, "later")), (BESIDE, 1, 1));
    place.assert_nothing_left_over();
}

#[test]
fn continue_finishes_all_that_does_not_need_what_failed() {
    let place = Place::with(&pipeline("continue"));
    let mut going = place.start(&["--workers", "3"]);
    wait_until_failed(&place, &mut going);
    place.write("go", "");
    let ended = going.end().expect(1).balances();
    assert_eq!((ended.items("bad"), ended.items("beside")), ([0, 0, 1, 0], [BESIDE, 0, 0, 0]));
    assert_eq!((ended.items("needs")[0], ended.items("later")), (0, [1, 0, 0, 0]));
    mend_and_go_on(&place);
    assert_eq!(logged(&place, "start"), BESIDE, "nothing ran twice");
}

#[test]
fn drain_finishes_what_runs_and_begins_nothing_new() {
    let place = Place::with(&pipeline("drain"));
    let mut going = place.start(&["--workers", "3"]);
    wait_until_failed(&place, &mut going);
    place.write("go", "");
    let ended = going.end().expect(1).balances();
    let [ok, skipped, dead, not_run] = ended.items("beside");
    assert_eq!((skipped, dead, ok + not_run), (0, 0, BESIDE));
    assert!(ok >= 2 && not_run > BESIDE / 2, "{ok} ran");
    assert_eq!((logged(&place, "start"), logged(&place, "end")), (ok, ok), "what had begun was finished");
    assert_eq!((logged(&place, "needs"), logged(&place, "later")), (0, 0));
    mend_and_go_on(&place);
    assert_eq!(logged(&place, "start"), BESIDE, "nothing ran twice");
}

#[test]
fn cancel_kills_what_runs() {
    let place = Place::with(&pipeline("cancel"));
    // Nothing lets `beside` end: this one ends because it is killed.
    let ended = place.run(&["--workers", "3"]).expect(1).balances();
    assert_eq!((ended.items("bad"), ended.items("beside")), ([0, 0, 1, 0], [0, 0, 0, BESIDE]));
    assert_eq!(["end", "needs", "later"].map(|what| logged(&place, what)), [0, 0, 0]);
    place.assert_nothing_left_over();
    mend_and_go_on(&place);
}
