//! What is done is not done again: after a change, a fix, or nothing at all.

use std::collections::BTreeMap;

use crate::place::Place;

/// A stage logs what it starts.
const PIPELINE: &str = r#"
name: reuse
inputs: {files: {default: in}}
stages:
  one: {split: {input: files, by: files}, run: 'echo one >> log; cat'}
  two: {each: one, run: 'echo two >> log; sed s/$/!/'}
  aside: {split: {input: files, by: files}, run: 'echo aside >> log; wc -c'}
  three: {all: two, run: 'echo three >> log; cat'}
outputs: [three]
"#;

fn place(pipeline: &str) -> Place {
    let place = Place::with(pipeline);
    for (name, text) in [("a", "alpha\n"), ("b", "beta\n"), ("c", "gamma\n")] {
        place.write(&format!("in/{name}.txt"), text);
    }
    place
}

/// Starts by stage since the last look.
fn starts(place: &Place) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    place.lines("log").into_iter().for_each(|stage| *counts.entry(stage).or_default() += 1);
    place.write("log", "");
    counts
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(stage, count)| ((*stage).to_owned(), *count)).collect()
}

#[test]
fn a_job_that_has_succeeded_is_not_run_again() {
    let place = place(PIPELINE);
    let first = place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[("aside", 3), ("one", 3), ("three", 1), ("two", 3)]));
    let again = place.run(&[]).expect(0).says(&["nothing is left to do"]);
    assert_eq!(starts(&place), counts(&[]));
    assert_eq!(again.answer["job"], first.answer["job"]);
    std::fs::remove_dir_all(place.path("out")).unwrap();
    place.run(&[]).expect(0);
    assert_eq!((starts(&place), place.read("out/three.txt").as_str()), (counts(&[]), "alpha!\nbeta!\ngamma!\n"));
}

#[test]
fn a_changed_stage_runs_again_with_what_depends_on_it_and_nothing_else() {
    let place = place(PIPELINE);
    place.run(&[]).expect(0);
    starts(&place);
    place.write("pipeline.yaml", PIPELINE.replace("s/$/!/", "s/$/?/"));
    let ended = place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[("three", 1), ("two", 3)]));
    assert_eq!(["one", "two", "aside"].map(|stage| ended.stage(stage)["reused"].as_u64()), [Some(3), Some(0), Some(3)]);
    assert_eq!(place.read("out/three.txt"), "alpha?\nbeta?\ngamma?\n");
}

#[test]
fn a_changed_file_runs_its_own_items_again() {
    let place = place(PIPELINE);
    place.run(&[]).expect(0);
    starts(&place);
    place.write("in/b.txt", "BETA\n");
    place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[("aside", 1), ("one", 1), ("three", 1), ("two", 1)]));
    assert_eq!(place.read("out/three.txt"), "alpha!\nBETA!\ngamma!\n");
}

#[test]
fn a_new_file_runs_its_own_items_only() {
    let place = place(PIPELINE);
    place.run(&[]).expect(0);
    starts(&place);
    place.write("in/aa.txt", "between\n");
    place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[("aside", 1), ("one", 1), ("three", 1), ("two", 1)]));
    assert_eq!(place.read("out/three.txt"), "alpha!\nbetween!\nbeta!\ngamma!\n");
}

#[test]
fn a_file_that_was_only_touched_runs_nothing() {
    let place = place(PIPELINE);
    place.run(&[]).expect(0);
    starts(&place);
    place.write("in/b.txt", "beta\n");
    place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[]));
}

#[test]
fn without_cache_a_stage_runs_again() {
    let text = PIPELINE.replace("aside: {", "aside: {cache: false, ");
    let place = place(&text);
    place.run(&[]).expect(0);
    starts(&place);
    place.write("pipeline.yaml", text.replace("run: 'echo three >> log; cat'", "run: 'echo three >> log; cat -n'"));
    place.run(&[]).expect(0).balances();
    assert_eq!(starts(&place), counts(&[("aside", 3), ("three", 1)]));
}

#[test]
fn a_failed_job_runs_its_dead_letters_again_after_the_fix() {
    let pipeline = r#"
name: fixed
inputs: {files: {default: in}}
stages:
  one:
    split: {input: files, by: files}
    retry: {attempts: 1}
    run: 'echo one >> log; ./check'
  grouped: {group: one, by: [file], run: 'echo grouped >> log; cat'}
  two: {all: grouped, run: 'echo two >> log; cat'}
"#;
    let place = place(pipeline);
    place.write("check", "#!/bin/sh -e\nread line; test \"$line\" != beta; echo \"$line\"\n");
    std::process::Command::new("chmod").arg("+x").arg(place.path("check")).status().unwrap();
    let failed = place.run(&[]).expect(1);
    assert_eq!((failed.items("one"), failed.items("two")), ([2, 0, 1, 0], [0, 0, 0, 1]));
    assert_eq!(failed.answer["state"], "failed");
    assert_eq!(place.dead().len(), 1);
    assert!(!place.path("out/two.txt").exists());
    starts(&place);
    place.run(&[]).expect(1);
    assert_eq!(starts(&place), counts(&[("one", 1)]), "only what failed runs again");
    place.write("check", "#!/bin/sh\ncat\n");
    let ended = place.run(&[]).expect(0).balances();
    assert_eq!(ended.answer["job"], failed.answer["job"]);
    assert_eq!(starts(&place)["one"], 1);
    assert_eq!(place.read("out/two.txt"), "alpha\nbeta\ngamma\n");
    assert_eq!(place.dead(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_group_that_failed_reads_its_members_when_it_runs_again() {
    let place = place(
        r#"
name: regroup
inputs: {files: {default: in}}
stages:
  one: {split: {input: files, by: files}, run: cat}
  grouped: {group: one, by: [file], retry: {attempts: 1}, run: 'test -e fixed; cat'}
"#,
    );
    place.run(&[]).expect(1);
    place.write("fixed", "");
    place.run(&[]).expect(0).balances();
    let delivered: Vec<Vec<u8>> = place.tree("out").into_values().collect();
    assert_eq!(delivered, [b"alpha\n".to_vec(), b"beta\n".to_vec(), b"gamma\n".to_vec()]);
}

/// Slices of one file, each of which logs its number.
const SLICED: &str = r#"
name: sliced
inputs: {sales: {format: csv, header: true, default: sales.csv}}
stages:
  clean:
    split: {input: sales, by: bytes, target: 256KiB}
    run: 'echo $GRIDMILL_KEY_PART >> log; sed s/$/,clean/'
  all: {all: clean, run: cat}
outputs: [all]
"#;

/// A table of 4 MiB with lines of 32 bytes.
fn sales() -> Vec<u8> {
    let mut table = format!("{:0>31}\n", "number,amount").into_bytes();
    (0..(4 << 20) / 32).for_each(|row| table.extend(format!("{row:0>20},{:>10}\n", row * 7 % 1_000).bytes()));
    table
}

/// The slices that were run since the last look.
fn slices(place: &Place) -> Vec<u32> {
    let mut slices: Vec<u32> = place.lines("log").iter().map(|part| part.parse().unwrap()).collect();
    slices.sort_unstable();
    place.write("log", "");
    slices
}

/// Runs the table in a place that knows earlier ones, and in one that knows nothing; returns the slices that were run in
/// the first, and all there are.
fn run_sliced(place: &Place, table: &[u8]) -> (Vec<u32>, Vec<u32>) {
    place.write("sales.csv", table);
    let ended = place.run(&[]).expect(0).balances();
    let run = slices(place);
    let scratch = Place::with(SLICED);
    scratch.write("sales.csv", table);
    scratch.run(&[]).expect(0).balances();
    let all = slices(&scratch);
    assert_eq!(ended.stage("clean")["reused"].as_u64(), Some((all.len() - run.len()) as u64));
    assert!(place.tree("out") == scratch.tree("out"), "the outputs are not those of a run from scratch");
    (run, all)
}

#[test]
fn a_changed_byte_runs_the_slices_that_touch_its_block_again_and_no_others() {
    let place = Place::with(SLICED);
    let mut table = sales();
    let (run, all) = run_sliced(&place, &table);
    assert_eq!((run, all.len()), (all.clone(), 16));
    for (at, expected) in [
        // In the middle of slice 8.
        (32 * ((2 << 20) / 32 + 4_096), vec![8]),
        // Slice 7 ends with the header's length behind a border of blocks.
        (2 << 20, vec![7, 8]),
        // Near the header.
        (2_048, vec![0]),
    ] {
        table[at + 19] = b'x';
        assert_eq!(run_sliced(&place, &table).0, expected, "byte {at}");
    }
}

#[test]
fn appended_lines_run_the_last_slice_again_and_new_ones() {
    let place = Place::with(SLICED);
    let mut table = sales();
    let (_, before) = run_sliced(&place, &table);
    table.extend_from_slice(&sales()[32..1 << 20]);
    let (run, all) = run_sliced(&place, &table);
    let last = *before.last().unwrap();
    assert!(run.first().is_some_and(|first| first + 1 >= last), "{run:?} of {all:?}");
    assert_eq!(run, all[all.len() - run.len()..]);
    assert_eq!(all.len(), 20);
}

#[test]
fn a_line_inserted_at_the_start_runs_every_slice_again() {
    let place = Place::with(SLICED);
    let mut table = sales();
    run_sliced(&place, &table);
    table.splice(32..32, format!("{:0>20},{:>10}\n", "new", 1).bytes());
    let (run, all) = run_sliced(&place, &table);
    assert_eq!(run, all);
}

#[test]
fn after_a_changed_header_every_slice_is_run_again() {
    let place = Place::with(SLICED);
    let mut table = sales();
    run_sliced(&place, &table);
    table[0] = b'#';
    let (run, all) = run_sliced(&place, &table);
    assert_eq!(run, all);
}

#[test]
fn a_file_that_was_pinned_without_digests_of_its_blocks_runs_as_a_whole_once() {
    let place = Place::with(SLICED);
    let mut table = sales();
    run_sliced(&place, &table);
    std::fs::remove_dir_all(place.path(".gridmill/objects/blocks")).unwrap();
    table[1 << 20] = b'9';
    let (run, all) = run_sliced(&place, &table);
    assert_eq!(run, all);
    table[1 << 20] = b'8';
    assert!(run_sliced(&place, &table).0.len() < all.len());
}
