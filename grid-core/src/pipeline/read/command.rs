//! Commands and templates.

use std::ops::Range;

use super::Reader;
use crate::pipeline::model::{Command, Template, TemplatePart};
use crate::pipeline::shell::{COMMENT, HERE_DOCUMENT, Place, Quotes};
use crate::pipeline::template::TemplateFault;
use crate::pipeline::tree::{Node, Span, Value};

/// In a text with more expressions, faults point at the whole text: finding each costs a search of it.
const MAX_LOCATED: usize = 100;

/// An expression of a template and its place, to be checked when parameters and dimensions are known.
pub(in crate::pipeline) struct Use {
    pub part: TemplatePart,
    pub at: Span,
}

impl Reader<'_, '_> {
    /// A shell text, or a list of arguments.
    pub(super) fn command(&mut self, node: &Node, uses: &mut Vec<Use>) -> Option<Command> {
        let Value::List(nodes) = &node.value else {
            let text = self.text(node, "a command")?;
            if text.trim().is_empty() {
                self.faults.at(&node.span, "the command is empty");
                return None;
            }
            let first = uses.len();
            let template = self.template_text(node, &text, uses);
            self.check_quotable(&template, &uses[first..]);
            return Some(Command::Shell(template));
        };
        if nodes.is_empty() {
            self.faults.at(&node.span, "the command is empty");
            return None;
        }
        Some(Command::Argv(nodes.iter().filter_map(|node| self.template(node, "an argument", uses)).collect()))
    }

    /// A text with expressions.
    pub(super) fn template(&mut self, node: &Node, what: &str, uses: &mut Vec<Use>) -> Option<Template> {
        let text = self.text(node, what)?;
        Some(self.template_text(node, &text, uses))
    }

    fn template_text(&mut self, node: &Node, text: &str, uses: &mut Vec<Use>) -> Template {
        let (template, places, faults) = Template::parse(text);
        let is_located = places.len() + faults.len() <= MAX_LOCATED;
        let locate = |range: &Range<usize>| if is_located { self.locate(node, text, range) } else { node.span.clone() };
        let places: Vec<Span> = places.iter().map(locate).collect();
        let faults: Vec<(Span, TemplateFault)> = faults.into_iter().map(|f| (locate(&f.range), f)).collect();
        for (at, fault) in faults {
            match fault.help {
                Some(help) => self.faults.help(&at, fault.message, help),
                None => self.faults.at(&at, fault.message),
            }
        }
        uses.extend(template.expressions().zip(places).map(|(part, at)| Use { part: part.clone(), at }));
        template
    }

    /// Values that cannot be quoted are refused, since one of them might be executed.
    fn check_quotable(&mut self, template: &Template, uses: &[Use]) {
        let mut quotes = Quotes::default();
        let mut uses = uses.iter();
        for part in &template.parts {
            let variable = match part {
                TemplatePart::Text(text) => {
                    quotes.read(text);
                    continue;
                }
                TemplatePart::Param(name) => format!("GRIDMILL_PARAM_{}", name.to_uppercase()),
                TemplatePart::Key(dim) => format!("GRIDMILL_KEY_{}", dim.to_uppercase()),
                TemplatePart::Item => "GRIDMILL_ITEM".to_owned(),
            };
            let at = uses.next().map(|used| used.at.clone());
            if let (Place::Unsafe(place), Some(at)) = (quotes.place(), at) {
                let message = format!("a value cannot be quoted safely {place}");
                let help = match place {
                    COMMENT => "nobody reads it there: take it out, or write `$${{`".to_owned(),
                    HERE_DOCUMENT => {
                        format!("use the environment variable `${variable}` there, in quotes where that is a word")
                    }
                    _ => format!("use the environment variable `\"${variable}\"` there"),
                };
                self.faults.help(&at, message, help);
            }
        }
    }

    /// The place in the source of a part of a scalar's text: where the same characters stand in the scalar's source,
    /// the same occurrence; else the whole scalar.
    fn locate(&self, node: &Node, text: &str, range: &Range<usize>) -> Span {
        let piece = &text[range.clone()];
        let occurrence = text[..range.start].matches(piece).count();
        let source = self.faults.source().get(node.span.clone()).unwrap_or_default();
        match source.match_indices(piece).nth(occurrence) {
            Some((at, _)) => node.span.start + at..node.span.start + at + piece.len(),
            None => node.span.clone(),
        }
    }
}
