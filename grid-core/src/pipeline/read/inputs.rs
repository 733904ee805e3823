//! Parameters and inputs.

use super::Reader;
use crate::limits::MAX_RECORD_BYTES;
use crate::pipeline::grammar;
use crate::pipeline::model::{Format, Input, Param, ParamType};
use crate::pipeline::params::check_value;
use crate::pipeline::tree::{Node, Span};
use crate::units::ByteSize;

impl Reader<'_, '_> {
    pub(super) fn param(&mut self, name: &str, at: &Span, node: &Node) -> Param {
        let mut param = Param { kind: ParamType::String, default: None, description: None };
        let Some(fields) = self.fields(node, at, &grammar::PARAM) else {
            return param;
        };
        let kind = fields.node("type").and_then(|node| self.word(node, "a type", grammar::PARAM_TYPES));
        param.kind = kind.unwrap_or(param.kind);
        param.description = fields.node("description").and_then(|node| self.text(node, "a description"));
        if let Some(node) = fields.node("default") {
            param.default = self.text(node, "a default");
            if let Some(Err(wrong)) = param.default.as_deref().map(|value| check_value(name, param.kind, value)) {
                self.faults.at(&node.span, wrong);
            }
        }
        param
    }

    pub(super) fn input(&mut self, _name: &str, at: &Span, node: &Node) -> Input {
        let mut input =
            Input { format: Format::Text, header: false, default: Vec::new(), max_record: ByteSize(MAX_RECORD_BYTES) };
        let Some(fields) = self.fields(node, at, &grammar::INPUT) else {
            return input;
        };
        let format = fields.node("format").and_then(|node| self.word(node, "a format", grammar::INPUT_FORMATS));
        input.format = format.unwrap_or(input.format);
        if let Some(node) = fields.node("header") {
            input.header = self.boolean(node).unwrap_or(false);
            if input.header && !matches!(input.format, Format::Csv | Format::Text) {
                self.faults.at(&node.span, "only `csv` and `text` have header lines");
            }
        }
        if let Some(node) = fields.node("default") {
            let paths = self.one_or_many(node, "a path");
            input.default = paths.into_iter().filter_map(|node| self.path(node)).collect();
        }
        input.max_record = fields.node("max_record").and_then(|node| self.size(node)).unwrap_or(input.max_record);
        input
    }

    pub(super) fn path(&mut self, node: &Node) -> Option<String> {
        let path = self.text(node, "a path")?;
        if path.is_empty() {
            self.faults.at(&node.span, "the path is empty");
            return None;
        }
        Some(path)
    }
}
