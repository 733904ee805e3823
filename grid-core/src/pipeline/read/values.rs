//! Single values. Each reader tells what it expected and gives `None` when the value is something else.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use super::Reader;
use super::stage::Named;
use crate::pipeline::grammar::Word;
use crate::pipeline::tree::{Node, Scalar, Value};
use crate::units::{Allowance, ByteSize, parse_allowance, parse_duration, parse_size};

impl Reader<'_, '_> {
    /// Any scalar that is not null, as written.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            Value::Scalar(_) => {
                self.faults.at(&node.span, format!("a value is missing: {expected} was expected"));
                None
            }
            Value::List(_) | Value::Map(_) => {
                self.faults.at(&node.span, format!("{expected} was expected here"));
                None
            }
        }
    }

    /// Text; numbers and booleans are taken as written.
    pub(crate) fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        let text = &self.scalar(node, expected)?.text;
        if text.contains('\0') {
            self.faults.at(&node.span, "a zero byte cannot be handed to a program");
            return None;
        }
        Some(text.clone())
    }

    /// A name that follows a rule.
    pub(crate) fn name(&mut self, node: &Node, what: &str, is_name: fn(&str) -> bool, rule: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if is_name(&text) {
            return Some(text);
        }
        self.faults.help(&node.span, format!("`{text}` cannot be {what}"), format!("allowed are {rule}"));
        None
    }

    /// A whole number in a range.
    pub(crate) fn integer(&mut self, node: &Node, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let scalar = self.scalar(node, "a whole number")?;
        let number = scalar.text.parse::<i64>().ok().filter(|_| scalar.is_plain);
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let limits = match (*range.start(), *range.end()) {
            (i64::MIN, i64::MAX) => String::new(),
            (least, i64::MAX) => format!(" of at least {least}"),
            (least, most) => format!(" from {least} to {most}"),
        };
        self.faults.at(&node.span, format!("`{}` is not a whole number{limits}", scalar.text));
        None
    }

    /// A whole number of at least one.
    pub(crate) fn at_least_one(&mut self, node: &Node) -> Option<u64> {
        self.integer(node, 1..=i64::MAX).map(i64::unsigned_abs)
    }

    /// A number in a range.
    pub(crate) fn number(&mut self, node: &Node, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
        let scalar = self.scalar(node, "a number")?;
        let number = scalar.text.parse::<f64>().ok().filter(|number| scalar.is_plain && range.contains(number));
        if number.is_none() {
            let limits = format!("from {} to {}", range.start(), range.end());
            self.faults.at(&node.span, format!("`{}` is not a number {limits}", scalar.text));
        }
        number
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        let scalar = self.scalar(node, "`true` or `false`")?;
        match scalar.text.as_str() {
            "true" | "True" | "TRUE" if scalar.is_plain => Some(true),
            "false" | "False" | "FALSE" if scalar.is_plain => Some(false),
            other => {
                self.faults.at(&node.span, format!("`{other}` is neither `true` nor `false`"));
                None
            }
        }
    }

    /// A size of at least one byte.
    pub(crate) fn size(&mut self, node: &Node) -> Option<ByteSize> {
        let size = self.unit(node, "a size, as 32MiB,", parse_size)?;
        self.not_zero(node, size, size.0 == 0)
    }

    /// A duration, which may be zero.
    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        self.unit(node, "a duration, as 10m,", parse_duration)
    }

    /// A duration longer than zero.
    pub(crate) fn some_time(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        self.not_zero(node, duration, duration.is_zero())
    }

    /// A number of items or a share of them.
    pub(crate) fn allowance(&mut self, node: &Node) -> Option<Allowance> {
        self.unit(node, "a number of items or a share, as 10 or 0.1%,", parse_allowance)
    }

    /// One of the words that the model knows.
    pub(crate) fn word<T: DeserializeOwned>(&mut self, node: &Node, what: &str, words: &[Word]) -> Option<T> {
        let word = self.known_word(node, what, words)?;
        T::deserialize(StrDeserializer::<Error>::new(word)).ok()
    }

    /// One of the words.
    pub(crate) fn known_word<'w>(&mut self, node: &Node, what: &str, words: &'w [Word]) -> Option<&'w str> {
        let text = &self.scalar(node, what)?.text;
        match words.iter().find(|word| word.name == text) {
            Some(word) if word.is_built => return Some(word.name),
            Some(_) => self.faults.at(&node.span, format!("`{text}` is not built yet")),
            None => {
                let message = format!("`{text}` is not {what}");
                self.faults.nearest(&node.span, message, text, words.iter().map(|word| word.name));
            }
        }
        None
    }

    /// A list, or one value in place of a list of one.
    pub(crate) fn one_or_many<'n>(&mut self, node: &'n Node, expected: &str) -> Vec<&'n Node> {
        match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                self.faults.at(&node.span, format!("the list is empty: {expected} was expected"));
                Vec::new()
            }
            Value::List(nodes) => nodes.iter().collect(),
            Value::Scalar(_) | Value::Map(_) => vec![node],
        }
    }

    /// Every value of a list, or the one in place of it; none when the key was not given.
    pub(crate) fn many<T>(
        &mut self,
        node: Option<&Node>,
        expected: &str,
        read: impl Fn(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let nodes = node.map(|node| self.one_or_many(node, expected)).unwrap_or_default();
        nodes.into_iter().filter_map(|node| read(self, node)).collect()
    }

    /// Names of stages, each at most once.
    pub(super) fn stage_names(&mut self, node: &Node) -> Vec<Named> {
        self.names(node, "the name of a stage")
    }

    /// Names, each at most once.
    pub(super) fn names(&mut self, node: &Node, what: &str) -> Vec<Named> {
        let mut names: Vec<Named> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for node in self.one_or_many(node, what) {
            let Some(name) = self.text(node, what) else {
                continue;
            };
            if seen.insert(name.clone()) {
                names.push(Named { name, at: node.span.clone() });
            } else {
                self.faults.at(&node.span, format!("`{name}` is named twice"));
            }
        }
        names
    }

    fn unit<T>(&mut self, node: &Node, expected: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let text = &self.scalar(node, expected)?.text;
        match parse(text) {
            Ok(value) if !text.trim().is_empty() => Some(value),
            Ok(_) => {
                self.faults.at(&node.span, format!("a value is missing: {expected} was expected"));
                None
            }
            Err(message) => {
                self.faults.at(&node.span, message);
                None
            }
        }
    }

    fn not_zero<T>(&mut self, node: &Node, value: T, is_zero: bool) -> Option<T> {
        if is_zero {
            self.faults.at(&node.span, "zero is not allowed here");
            return None;
        }
        Some(value)
    }
}
