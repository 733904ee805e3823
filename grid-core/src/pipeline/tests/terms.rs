//! Deadline, budget, priority and tenant.

use std::time::Duration;

use crate::pipeline::parse;
use crate::terms::{Budget, OnExceed, Priority, Terms};

const STAGES: &str = "stages: {a: {range: 1..2, run: x}}\n";

#[test]
fn the_terms_of_a_job_stand_in_the_file() {
    let text = format!(
        "name: n\ndeadline: 2h30m\nbudget: {{usd: 12.5, on_exceed: cancel}}\npriority: -2\ntenant: finance\n{STAGES}"
    );
    let pipeline = parse(&text, "p.yaml").unwrap();
    let expected = Terms {
        deadline: Some(Duration::from_secs(9_000)),
        budget: Some(Budget { usd: 12.5, on_exceed: OnExceed::Cancel }),
        priority: Priority::new(-2),
    };
    assert_eq!((pipeline.terms, pipeline.tenant.as_deref()), (expected, Some("finance")));
    let again = serde_json::from_value(serde_json::to_value(&pipeline).unwrap()).unwrap();
    assert_eq!(pipeline, again);
}

#[test]
fn a_file_that_says_nothing_of_them_has_none_and_is_written_as_before() {
    let pipeline = parse(&format!("name: n\nbudget: {{usd: 1}}\n{STAGES}"), "p.yaml").unwrap();
    assert_eq!(pipeline.terms.budget, Some(Budget { usd: 1.0, on_exceed: OnExceed::Finish }));
    let plain = parse(&format!("name: n\n{STAGES}"), "p.yaml").unwrap();
    let keys = serde_json::to_value(&plain).unwrap();
    let keys: Vec<&str> = keys.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["name", "params", "inputs", "stages", "outputs"]);
}

#[test]
fn every_fault_of_the_terms_is_told_with_its_place() {
    let text = format!(
        "name: n\ndeadline: 0\nbudget: {{usd: 0, on_exeed: cancel}}\npriority: 6\ntenant: a b\n{STAGES}prioritiy: 1\n"
    );
    let told = parse(&text, "p.yaml").unwrap_err();
    let words: Vec<String> = told.list().iter().map(|it| format!("{}:{} {}", it.line, it.column, it.message)).collect();
    assert_eq!(
        words,
        [
            "2:11 zero is not allowed here",
            "3:15 `0` is not a number from 0.01 to 1000000000",
            "3:18 unknown key `on_exeed` in `budget`",
            "4:11 `6` is not a whole number from -5 to 5",
            "5:9 `a b` cannot be the name of a tenant",
            "7:1 unknown key `prioritiy` in the pipeline",
        ]
    );
    let help: Vec<&str> = told.list().iter().filter_map(|it| it.help.as_deref()).collect();
    assert!(help.iter().any(|help| help.contains("`on_exceed`")), "{help:?}");
    assert!(help.iter().any(|help| help.contains("`priority`")), "{help:?}");
    let wrong = parse(&format!("name: n\nbudget: {{on_exceed: stop}}\n{STAGES}"), "p.yaml").unwrap_err();
    let words: Vec<&str> = wrong.list().iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(words, ["`usd` is missing in `budget`", "`stop` is not what happens then"]);
}
