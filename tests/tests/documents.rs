//! What the documents show is what the program takes: examples parse, and every key of the pipeline file is explained.

#![allow(clippy::panic, reason = "a helper of a test may fail it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use grid_core::pipeline::{parse, schema};
use serde_json::Value;

/// What the fragments in docs/PIPELINE.md may name.
const PARAMS: &str = "params: {year: {type: integer, default: 2025}}\n";
const INPUTS: &str = "inputs: {ledgers: {format: csv, header: true}}\n";
const CLEAN: &str = "  clean: {split: {input: ledgers, by: files}, run: 'true'}\n";
const COUNT: &str = "  count: {each: clean, run: 'true'}\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The code blocks of a document, with the words that follow the fence.
fn blocks(document: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(words)) => open = Some((words.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// A pipeline around the keys of one stage, which get a source of items and a command if they have none.
fn around_stage(keys: &str) -> String {
    let has = |names: &[&str]| keys.lines().any(|line| names.iter().any(|name| line.starts_with(&format!("{name}:"))));
    let source = if has(&["split", "range", "list", "matrix"]) { "" } else { "    range: 1..2\n" };
    let run = if has(&["run"]) { "" } else { "    run: 'true'\n" };
    format!("name: fragment\n{PARAMS}{INPUTS}stages:\n  fragment:\n{}{source}{run}", indented(keys, 4))
}

/// The pipelines that a code block of docs/PIPELINE.md stands for, by the second word behind its fence.
fn pipelines(words: &str, text: &str) -> Vec<String> {
    match words {
        "yaml pipeline" => vec![text.to_owned()],
        "yaml top" => vec![format!("name: fragment\n{text}stages:\n  fragment: {{range: 1..2, run: 'true'}}\n")],
        "yaml stages" => {
            vec![format!("name: fragment\n{PARAMS}{INPUTS}stages:\n{CLEAN}{COUNT}{}", indented(text, 2))]
        }
        "yaml stage" => vec![around_stage(text)],
        "yaml lines" => text.lines().map(around_stage).collect(),
        "json" => {
            serde_json::from_str::<serde_json::Value>(text).expect("a block marked `json` is JSON");
            Vec::new()
        }
        "" => Vec::new(),
        other => panic!("a code block of docs/PIPELINE.md is marked `{other}`, which this test does not know"),
    }
}

fn assert_parses(pipeline: &str, name: &str) {
    if let Err(faults) = parse(pipeline, name) {
        panic!("{faults}\n{pipeline}");
    }
}

#[test]
fn the_pipelines_of_the_examples_are_sound() {
    let examples: Vec<PathBuf> = fs::read_dir(root().join("examples"))
        .expect("there are examples")
        .map(|entry| entry.expect("the folder can be read").path().join("pipeline.yaml"))
        .filter(|file| file.exists())
        .collect();
    assert!(examples.len() >= 4, "{examples:?}");
    for file in examples {
        let text = fs::read_to_string(&file).expect("the file can be read");
        assert_parses(&text, &file.to_string_lossy());
    }
}

#[test]
fn the_pipelines_in_the_documents_are_sound() {
    let readme = document("README.md");
    let in_readme: Vec<_> = blocks(&readme).into_iter().filter(|(words, _)| words == "yaml").collect();
    assert!(!in_readme.is_empty());
    in_readme.iter().for_each(|(_, text)| assert_parses(text, "README.md"));

    let fragments: Vec<String> =
        blocks(&document("docs/PIPELINE.md")).iter().flat_map(|(words, text)| pipelines(words, text)).collect();
    assert!(fragments.len() > 15, "only {} fragments were found", fragments.len());
    fragments.iter().for_each(|text| assert_parses(text, "docs/PIPELINE.md"));
}

#[test]
fn every_key_and_word_of_the_pipeline_file_is_explained() {
    let mut words = BTreeSet::new();
    collect_words(&schema(), &mut words);
    assert!(words.contains("fan_in") && words.contains("ndjson"), "{words:?}");
    let text = document("docs/PIPELINE.md");
    let known: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let missing: Vec<&String> = words.iter().filter(|word| !known.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "docs/PIPELINE.md does not mention {missing:?}");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = document("Cargo.toml");
    let (_, rest) = manifest.split_once("[workspace.dependencies]").expect("there are dependencies");
    let (table, _) = rest.split_once("\n[").expect("another table follows");
    let names = table.lines().filter(|line| !line.contains("path =")).filter_map(|line| line.split_once(" = "));
    let reasons = document("docs/DEPENDENCIES.md");
    let rows: Vec<&str> = reasons.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let is_explained = |name: &str| rows.iter().any(|row| row.split(", ").any(|known| known == name));
    let missing: Vec<&str> = names.map(|(name, _)| name).filter(|name| !is_explained(name)).collect();
    assert!(missing.is_empty(), "docs/DEPENDENCIES.md does not say why we depend on {missing:?}");
}

/// Names of properties and enumerated words, anywhere in a JSON Schema.
fn collect_words(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                words.extend(properties.keys().cloned());
            }
            if let Some(Value::Array(values)) = map.get("enum") {
                words.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|value| collect_words(value, words));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_words(value, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
