//! A map with known keys: unknown, unbuilt and missing ones are told here.

use super::Reader;
use crate::pipeline::grammar::{Need, Section};
use crate::pipeline::tree::{Entry, Node, Span, Value};

/// The entries of a map whose keys are all known.
pub(crate) struct Fields<'n> {
    section: &'static Section,
    entries: Vec<&'n Entry>,
    /// Keys that are in the grammar and refused.
    unbuilt: Vec<&'static str>,
    /// Where to point when a key is missing.
    pub at: Span,
}

impl<'n> Fields<'n> {
    /// The entry of a key.
    pub(crate) fn entry(&self, name: &str) -> Option<&'n Entry> {
        debug_assert!(self.section.key(name).is_some(), "`{name}` is not in the grammar of {}", self.section.what);
        self.entries.iter().copied().find(|entry| entry.key == name)
    }

    /// The value of a key.
    pub(crate) fn node(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// Whether one of these keys was given and refused; that has been told.
    pub(crate) fn has_unbuilt(&self, names: &[&str]) -> bool {
        self.unbuilt.iter().any(|key| names.contains(key))
    }

    /// Which of these keys are there, in the order of the file.
    pub(crate) fn present(&self, names: &[&str]) -> Vec<&'n Entry> {
        self.entries.iter().copied().filter(|entry| names.contains(&entry.key.as_str())).collect()
    }
}

impl Reader<'_, '_> {
    /// Takes a map apart. `at` is its name's place. Nothing at all is an empty map.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, at: &Span, section: &'static Section) -> Option<Fields<'n>> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                let known: Vec<&str> = section.names().collect();
                let message = format!("{} must be a map of keys", section.what);
                self.faults.help(&node.span, message, format!("its keys are `{}`", known.join("`, `")));
                return None;
            }
        };
        let mut fields = Fields { section, entries: Vec::new(), unbuilt: Vec::new(), at: at.clone() };
        for entry in entries {
            self.sort_in(entry, &mut fields);
        }
        for key in section.keys.iter().filter(|key| key.need == Need::Required) {
            if !entries.iter().any(|entry| entry.key == key.name) {
                self.faults.at(at, format!("`{}` is missing in {}", key.name, section.what));
            }
        }
        Some(fields)
    }

    /// The value of a key that goes with a choice made elsewhere in the map, as `count` goes with `by: lines`.
    pub(crate) fn needed<'n>(
        &mut self,
        fields: &Fields<'n>,
        choice: &str,
        key: &'static str,
        example: &str,
    ) -> Option<&'n Node> {
        let node = fields.node(key);
        if node.is_none() {
            let help = format!("for instance `{key}: {example}`");
            self.faults.help(&fields.at, format!("`{choice}` needs `{key}`"), help);
        }
        node
    }

    fn sort_in<'n>(&mut self, entry: &'n Entry, fields: &mut Fields<'n>) {
        let section = fields.section;
        match section.key(&entry.key) {
            Some(key) if key.need == Need::NotBuilt => {
                self.faults.at(&entry.key_span, format!("`{}` is not built yet", entry.key));
                fields.unbuilt.push(key.name);
            }
            Some(_) => fields.entries.push(entry),
            None => {
                let message = format!("unknown key `{}` in {}", entry.key, section.what);
                self.faults.nearest(&entry.key_span, message, &entry.key, section.names());
            }
        }
    }
}
