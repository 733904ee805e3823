//! The rules of `retry:`. Everything that tells one condition or one action from another is here: its form in
//! `job.json`, its key or word in the pipeline file, how it is read, what it matches and what it leads to.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::pipeline::grammar::{REASONS, Section, Shape, Word, may, must, word};
use crate::pipeline::read::Reader;
use crate::pipeline::tree::{Entry, Node};
use crate::reason::{Failure, Reason};

/// What to do about some failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Which.
    pub when: RetryWhen,
    /// What.
    pub then: RetryThen,
    /// For `then: retry`: this many times the memory limit of the attempt before.
    #[serde(default)]
    pub memory_factor: Option<f64>,
}

/// Which failures a rule is for: all that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryWhen {
    /// Any of these exit statuses.
    #[serde(default)]
    pub exit: Vec<i32>,
    /// Any of these signals.
    #[serde(default)]
    pub signal: Vec<i32>,
    /// Any of these reasons.
    #[serde(default)]
    pub reason: Vec<Reason>,
    /// The end of standard error contains this text.
    #[serde(default)]
    pub stderr: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryThen {
    /// Try again while attempts are left.
    Retry,
    /// A dead letter at once.
    Fail,
    /// Leave the item out, without a dead letter.
    Skip,
}

/// The keys of a rule.
pub(crate) static RULE: Section = Section {
    what: "a retry rule",
    keys: &[
        must("when", Shape::Section(&WHEN), "Which failures: all that is given must match."),
        must("then", Shape::Word(&THEN), "Try again, make it a dead letter at once, or leave the item out."),
        may(
            "memory",
            Shape::Either(&[Shape::Named(FACTOR), Shape::Number(1.0)]),
            "With `then: retry`: this many times the memory of the attempt before: `x2`.",
        ),
    ],
};

/// The conditions.
pub(crate) static WHEN: Section = Section {
    what: "`when`",
    keys: &[
        may("exit", Shape::OneOrMany(&Shape::Integer(1)), "Any of these exit statuses."),
        may(
            "signal",
            Shape::OneOrMany(&Shape::Either(&[Shape::Integer(1), Shape::Text])),
            "Any of these signals: 9 or SIGKILL.",
        ),
        may("reason", Shape::OneOrMany(&Shape::Word(REASONS)), "Any of these reasons."),
        may("stderr", Shape::Text, "The end of standard error contains this text."),
    ],
};

/// The actions.
const THEN: [Word; 3] = [word("retry"), word("fail"), word("skip")];

const FACTOR: &str = "^x[0-9]+(\\.[0-9]+)?$";

impl RetryRule {
    /// Reads one; `has_memory` says whether the stage limits the memory of an item.
    pub(crate) fn read(reader: &mut Reader<'_, '_>, node: &Node, has_memory: bool) -> Option<Self> {
        let fields = reader.fields(node, &node.span, &RULE)?;
        let when = fields.entry("when").and_then(|entry| RetryWhen::read(reader, entry));
        let then = fields.node("then").and_then(|node| reader.word(node, "something to do", &THEN));
        let memory_factor = fields.node("memory").and_then(|node| reader.memory_factor(node));
        if let Some(entry) = fields.entry("memory") {
            if then.is_some_and(|then: RetryThen| !then.tries_again()) {
                reader.faults.at(&entry.key_span, "`memory` goes with `then: retry` only");
            }
            if !has_memory {
                let help = "say what an item gets at first: `resources: {memory: 1GiB}`";
                reader.faults.help(&entry.key_span, "`memory` has no limit to multiply", help);
            }
        }
        Some(Self { when: when?, then: then?, memory_factor })
    }
}

impl RetryWhen {
    /// Whether a failure is one of these. A condition that was not given holds for every failure.
    pub(super) fn matches(&self, failure: &Failure) -> bool {
        let Self { exit, signal, reason, stderr } = self;
        is_one_of(exit, failure.exit)
            && is_one_of(signal, failure.signal)
            && is_one_of(reason, Some(failure.reason))
            && stderr.as_ref().is_none_or(|text| failure.stderr.contains(text))
    }

    fn read(reader: &mut Reader<'_, '_>, entry: &Entry) -> Option<Self> {
        let fields = reader.fields(&entry.value, &entry.key_span, &WHEN)?;
        let names: Vec<&str> = WHEN.names().collect();
        if fields.present(&names).is_empty() {
            let help = format!("write {}", choice_of(&names));
            reader.faults.help(&entry.key_span, "`when` is empty and would match everything", help);
        }
        let exit = |reader: &mut Reader<'_, '_>, node: &Node| reader.integer(node, 1..=255);
        let exits = reader.many(fields.node("exit"), "an exit status", exit);
        Some(Self {
            exit: exits.into_iter().filter_map(|exit| i32::try_from(exit).ok()).collect(),
            signal: reader.many(fields.node("signal"), "a signal", |reader, node| reader.signal(node)),
            reason: reader
                .many(fields.node("reason"), "a reason", |reader, node| reader.word(node, "a reason", REASONS)),
            stderr: fields.node("stderr").and_then(|node| reader.text(node, "a text")),
        })
    }
}

impl RetryThen {
    /// Whether there is another attempt while attempts are left.
    pub(super) fn tries_again(self) -> bool {
        match self {
            Self::Retry => true,
            Self::Fail | Self::Skip => false,
        }
    }

    /// What becomes of an item that is not tried again.
    pub(super) fn in_the_end(self) -> Verdict {
        match self {
            Self::Retry | Self::Fail => Verdict::Dead,
            Self::Skip => Verdict::Skip,
        }
    }
}

/// Whether a condition that lists values holds; one that lists none always does.
fn is_one_of<T: PartialEq>(wanted: &[T], found: Option<T>) -> bool {
    wanted.is_empty() || found.is_some_and(|found| wanted.contains(&found))
}

/// `` `a`, `b` or `c` ``
fn choice_of(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("`{}` or `{last}`", first.join("`, `")),
        _ => format!("`{}`", names.concat()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pipeline::parse;

    fn failure() -> Failure {
        Failure { exit: Some(4), stderr: "no such customer: 7".into(), ..Failure::new(Reason::Exit, "status 4") }
    }

    #[test]
    fn all_conditions_that_are_given_must_match() {
        let none = RetryWhen::default();
        let cases = [
            (none.clone(), true),
            (RetryWhen { exit: vec![3, 4], ..none.clone() }, true),
            (RetryWhen { exit: vec![5], ..none.clone() }, false),
            (RetryWhen { signal: vec![9], ..none.clone() }, false),
            (RetryWhen { reason: vec![Reason::Oom, Reason::Exit], ..none.clone() }, true),
            (RetryWhen { reason: vec![Reason::Oom], ..none.clone() }, false),
            (RetryWhen { stderr: Some("no such".into()), ..none.clone() }, true),
            (RetryWhen { stderr: Some("no such".into()), exit: vec![5], ..none.clone() }, false),
        ];
        for (when, expected) in cases {
            assert_eq!(when.matches(&failure()), expected, "{when:?}");
        }
    }

    #[test]
    fn a_rule_without_a_condition_is_refused() {
        let text = "name: n\nstages:\n  s: {range: 1..2, run: x, retry: {rules: [{when: {}, then: skip}]}}\n";
        let faults = parse(text, "pipeline.yaml").unwrap_err();
        let [fault] = faults.list() else { panic!("one fault was expected: {faults:?}") };
        assert_eq!(fault.message, "`when` is empty and would match everything");
        assert_eq!(fault.help.as_deref(), Some("write `exit`, `signal`, `reason` or `stderr`"));
    }

    #[test]
    fn a_condition_has_the_same_name_in_the_file_and_in_job_json() {
        let saved = serde_json::to_value(RetryWhen::default()).unwrap();
        let saved: BTreeSet<&str> = saved.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(saved, WHEN.names().collect());
    }

    #[test]
    fn an_action_has_the_same_word_in_the_file_and_in_job_json() {
        let all = [RetryThen::Retry, RetryThen::Fail, RetryThen::Skip];
        let saved = all.map(|then| serde_json::to_value(then).unwrap());
        assert_eq!(THEN.map(|word| word.name).to_vec(), saved);
    }
}
