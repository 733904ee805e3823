//! One poison line among very many: everything else is committed, exactly that line is a dead letter, the receipt
//! balances.

use std::collections::BTreeSet;

use crate::is_big;
use crate::place::{Ended, Place};

/// What the poisoned line says.
const POISON: &str = "poison";

/// A place with `count` numbered lines of which the one at `bad` is poison, each an item of `stage`, and an `all` that
/// counts what came through.
fn place(stage: &str, count: u64, bad: u64) -> Place {
    let place = Place::with(&format!(
        "
name: poison
inputs: {{lines: {{default: lines.txt}}}}
stages:
  digest:
    split: {{input: lines, by: lines, count: 1}}
    skip: {{limit: 1}}
    retry: {{attempts: 1}}
{stage}
  total: {{all: digest, run: \"awk '{{n += $1}} END {{printf \\\"%d %.0f\\\", NR, n}}'\"}}
outputs: [digest, total]
"
    ));
    let line = |number: u64| if number == bad { format!("{POISON}\n") } else { format!("{number}\n") };
    place.write("lines.txt", (0..count).map(line).collect::<String>());
    place
}

/// Runs it, and checks everything that must hold.
fn check(place: &Place, count: u64, bad: u64) -> Ended {
    let ended = place.run(&[]).expect(3).balances();
    assert_eq!(ended.items("digest"), [count - 1, 0, 1, 0]);
    assert_eq!(ended.items("total"), [1, 0, 0, 0]);
    let sum = count * (count - 1) / 2 - bad;
    assert_eq!(place.read("out/total.txt"), format!("{} {sum}", count - 1));
    let dead = place.dead();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((&dead[0]["stage"], &dead[0]["index"]), (&"digest".into(), &bad.into()), "{}", dead[0]);
    assert_eq!(dead[0]["reason"], "exit", "{}", dead[0]);
    let input = place.gridmill(&["dead", "--input"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&input.stdout), format!("{POISON}\n"));
    let again = place.run(&[]).expect(3);
    assert_eq!(again.answer["stages"], ended.answer["stages"], "a job that has succeeded ran again");
    ended
}

#[test]
fn a_poison_line_in_bundles_is_found_by_halving() {
    let (count, bad) = if is_big() { (1_000_000, 777_777) } else { (20_000, 15_001) };
    let run = r#"    per: bundle
    run: |
      cat > "$GRIDMILL_OUTPUT_DIR/../lines.$GRIDMILL_ITEM_FIRST" || exit 9
      if grep -q poison "$GRIDMILL_OUTPUT_DIR/../lines.$GRIDMILL_ITEM_FIRST"; then exit 1; fi
      cat "$GRIDMILL_OUTPUT_DIR/../lines.$GRIDMILL_ITEM_FIRST""#;
    let place = place(run, count, bad);
    check(&place, count, bad);
    let lines: Vec<String> = place.lines("out/digest.txt");
    let expected: Vec<String> = (0..count).filter(|number| *number != bad).map(|number| number.to_string()).collect();
    assert!(lines == expected, "{} lines", lines.len());
}

#[test]
fn a_poison_line_kills_one_co_process_and_no_other_item() {
    let (count, bad) = if is_big() { (20_000, 7_777) } else { (2_000, 1_234) };
    let run = r#"    per: worker
    run: |
      while IFS= read -r request; do
          item=${request#*\"item\":\"} item=${item%%\"*}
          input=${request#*\"input\":\"} input=${input%%\\n*}
          test "$input" != poison
          printf '{"item": "%s", "output": "%s\\n"}\n' "$item" "$input"
      done"#;
    let place = place(run, count, bad);
    check(&place, count, bad);
    assert_items(&place, count, bad);
}

#[test]
fn a_poison_line_with_a_process_of_its_own_fails_alone() {
    let (count, bad) = if is_big() { (5_000, 777) } else { (300, 77) };
    let run = r#"    run: read line; test "$line" != poison; echo "$line""#;
    let place = place(run, count, bad);
    check(&place, count, bad);
    assert_items(&place, count, bad);
}

/// Every item but the bad one has delivered its line.
fn assert_items(place: &Place, count: u64, bad: u64) {
    let delivered: BTreeSet<String> = place
        .tree("out")
        .into_iter()
        .filter(|(path, _)| path.starts_with("digest/"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect();
    let expected: BTreeSet<String> =
        (0..count).filter(|number| *number != bad).map(|number| format!("{number}\n")).collect();
    assert_eq!(delivered, expected);
}
