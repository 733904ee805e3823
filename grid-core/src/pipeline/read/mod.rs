//! From the tree to a draft of the pipeline: every value is looked at on its own here, see `check` for what holds
//! between them. A value that is wrong is told and replaced by its default, so that one reading finds every fault.

mod command;
mod fields;
mod inputs;
mod matrix;
mod signal;
mod source;
mod stage;
mod terms;
mod trouble;
mod values;

pub(super) use command::Use;
pub(crate) use fields::Fields;
pub(super) use stage::{Named, StageDraft};

use std::collections::BTreeMap;

use super::fault::Collector;
use super::grammar;
use super::model::{Input, Param};
use super::names;
use super::tree::{Entry, Node, Span, Value};
use crate::limits::MAX_STAGES;
use crate::terms::Terms;

/// A pipeline whose parts are right each for itself.
pub(super) struct Draft {
    pub name: String,
    pub params: BTreeMap<String, Param>,
    pub inputs: BTreeMap<String, Input>,
    pub stages: Vec<StageDraft>,
    /// As listed, when they are.
    pub outputs: Option<Vec<Named>>,
    pub terms: Terms,
    pub tenant: Option<String>,
}

/// Reads values and tells faults.
pub(crate) struct Reader<'a, 'f> {
    pub faults: &'f mut Collector<'a>,
}

impl Reader<'_, '_> {
    /// Reads the whole file.
    pub(super) fn pipeline(&mut self, root: &Node) -> Option<Draft> {
        let fields = self.fields(root, &root.span, &grammar::PIPELINE)?;
        let name = fields.node("name").and_then(|node| {
            let rule = "letters, digits, `.`, `_` and `-`, at most 128";
            self.name(node, "the name of a pipeline", names::is_plain_name, rule)
        });
        if let Some(Value::Map(entries)) = fields.node("params").map(|node| &node.value) {
            self.check_variables(entries.iter());
        }
        let params = self.named(&fields, "params", "a parameter", names::is_identifier, Self::param);
        let inputs = self.named(&fields, "inputs", "an input", names::is_stage_name, Self::input);
        let outputs = fields.node("outputs").map(|node| self.stage_names(node));
        let stages = self.stages(&fields);
        let (terms, tenant) = (self.terms(&fields), self.tenant(&fields));
        Some(Draft { name: name.unwrap_or_default(), params, inputs, stages, outputs, terms, tenant })
    }

    fn stages(&mut self, fields: &Fields<'_>) -> Vec<StageDraft> {
        let Some(node) = fields.node("stages") else {
            return Vec::new();
        };
        let Value::Map(entries) = &node.value else {
            self.faults.at(&node.span, "`stages` must be a map of stages by name");
            return Vec::new();
        };
        if entries.is_empty() {
            self.faults.at(&node.span, "`stages` is empty: there is nothing to run");
        }
        if entries.len() > MAX_STAGES {
            let message = format!("there are {} stages, at most {MAX_STAGES} are allowed", entries.len());
            self.faults.at(&entries[MAX_STAGES].key_span, message);
        }
        entries.iter().take(MAX_STAGES).map(|entry| self.stage(entry)).collect()
    }

    /// Reads a map of things by name.
    fn named<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &'static str,
        what: &str,
        is_name: fn(&str) -> bool,
        read: fn(&mut Self, &str, &Span, &Node) -> T,
    ) -> BTreeMap<String, T> {
        let mut things = BTreeMap::new();
        let Some(node) = fields.node(key) else {
            return things;
        };
        let Value::Map(entries) = &node.value else {
            self.faults.at(&node.span, format!("`{key}` must be a map: {what} by its name"));
            return things;
        };
        for entry in entries {
            self.check_name(&entry.key, &entry.key_span, what, is_name);
            things.insert(entry.key.clone(), read(self, &entry.key, &entry.key_span, &entry.value));
        }
        things
    }

    /// Parameters and dimensions become environment variables in upper case: two must not become one.
    fn check_variables<'n>(&mut self, entries: impl Iterator<Item = &'n Entry>) {
        let mut seen = BTreeMap::new();
        for entry in entries {
            if let Some(other) = seen.insert(entry.key.to_ascii_uppercase(), &entry.key) {
                let message = format!("`{}` and `{other}` would be the same environment variable", entry.key);
                self.faults.at(&entry.key_span, message);
            }
        }
    }

    fn check_name(&mut self, name: &str, at: &Span, what: &str, is_name: fn(&str) -> bool) {
        if is_name(name) {
            return;
        }
        let help = if is_name("a-b") {
            "a name has letters, digits, `_` and `-`, begins with a letter or `_` and is at most 64 long"
        } else {
            "a name has letters, digits and `_`, and begins with a letter or `_`"
        };
        self.faults.help(at, format!("`{name}` cannot be the name of {what}"), help);
    }
}
