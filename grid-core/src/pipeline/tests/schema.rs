use std::collections::BTreeSet;

use serde_json::Value;

use crate::job::retry::rule::{RULE, WHEN};
use crate::pipeline::grammar::{
    self, BACKOFF, INPUT, Key, NOTIFY, Need, OUTPUT, PARAM, PIPELINE, RANGE_KEYS, RESOURCES, RETRY, SKIP, STAGE,
    Section, Word,
};
use crate::pipeline::model::{Format, InputAs, OnFailure, ParamType, Per};
use crate::pipeline::schema;
use crate::reason::Reason;
use crate::split::rule::SPLIT;

/// Every map of the schema with its keys.
fn objects<'s>(schema: &'s Value, found: &mut Vec<(BTreeSet<&'s str>, &'s Value)>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.push((properties.keys().map(String::as_str).collect(), schema));
            }
            object.values().for_each(|value| objects(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| objects(value, found)),
        _ => {}
    }
}

#[test]
fn every_key_that_the_parser_knows_is_in_the_schema_and_no_other() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, &mut found);
    let sections: [&Section; 14] = [
        &PIPELINE,
        &grammar::BUDGET,
        &PARAM,
        &INPUT,
        &STAGE,
        &SPLIT,
        &grammar::MATRIX,
        &RANGE_KEYS,
        &RESOURCES,
        &OUTPUT,
        &RETRY,
        &BACKOFF,
        &RULE,
        &WHEN,
    ];
    let mut expected: Vec<BTreeSet<&str>> = sections.iter().map(|section| section.names().collect()).collect();
    expected.push(SKIP.names().collect());
    expected.push(grammar::CHECKPOINT.names().collect());
    expected.push(NOTIFY.names().collect());
    expected.sort();
    let mut keys: Vec<BTreeSet<&str>> = found.iter().map(|(keys, _)| keys.clone()).collect();
    keys.sort();
    assert_eq!(keys, expected);
}

#[test]
fn every_map_of_the_schema_is_closed_and_every_key_explained() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, &mut found);
    for (keys, object) in found {
        let closed = object["additionalProperties"] == Value::Bool(false);
        assert!(closed || keys == BTreeSet::from(["include", "exclude"]), "{keys:?} is open");
        for key in keys {
            let help = object["properties"][key]["description"].as_str().unwrap_or_default();
            assert!(help.len() > 8 && help.ends_with('.'), "`{key}` is not explained: {help}");
        }
    }
}

#[test]
fn a_stage_has_one_source_and_one_action() {
    let stage = &schema()["$defs"]["stage"];
    let required = |at: usize| -> Vec<String> {
        let alternatives = stage["allOf"][at]["oneOf"].as_array().unwrap();
        alternatives.iter().map(|one| one["required"][0].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(required(0), ["split", "matrix", "range", "list", "each", "group", "all"]);
    assert_eq!(required(1), ["run"]);
    let later: Vec<&str> =
        STAGE.keys.iter().filter(|key: &&Key| key.need == Need::NotBuilt).map(|key| key.name).collect();
    assert_eq!(later, ["tasks", "step"]);
}

#[test]
fn the_words_of_the_grammar_are_those_of_the_model() {
    fn words(words: &[Word]) -> Vec<&str> {
        words.iter().filter(|word| word.is_built).map(|word| word.name).collect()
    }
    fn model<T: serde::Serialize>(all: &[T]) -> Vec<String> {
        all.iter().map(|one| serde_json::to_value(one).unwrap().as_str().unwrap().to_owned()).collect()
    }
    use crate::pipeline::Stragglers as S;
    use {Format as F, InputAs as I, OnFailure as O, ParamType as P};
    assert_eq!(words(grammar::PARAM_TYPES), model(&[P::String, P::Integer, P::Number, P::Boolean]));
    assert_eq!(words(grammar::INPUT_FORMATS), model(&[F::Text, F::Csv, F::Ndjson, F::Binary]));
    assert_eq!(words(grammar::OUTPUT_FORMATS), words(grammar::INPUT_FORMATS));
    assert_eq!(words(grammar::PER), model(&[Per::Item, Per::Bundle, Per::Worker]));
    assert_eq!(words(grammar::INPUT_AS), model(&[I::Stdin, I::File, I::Files]));
    assert_eq!(words(grammar::ON_FAILURE), model(&[O::Continue, O::Drain, O::Cancel]));
    assert_eq!(words(grammar::STRAGGLERS), model(&[S::Copy, S::Wait]));
    assert_eq!(words(grammar::REASONS), model(&Reason::ALL));
}
