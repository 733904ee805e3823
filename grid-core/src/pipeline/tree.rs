//! A YAML (or JSON) text as a tree in which every value knows its place. No meaning yet: scalars stay text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::fault::Collector;
use crate::limits::{MAX_PIPELINE_DEPTH, MAX_PIPELINE_VALUES};

/// Bytes of the source.
pub(crate) type Span = Range<usize>;

/// A value and its place; for a value that is used through an alias, the place of the alias.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as written. Quoted ones are text whatever they look like.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub text: String,
    pub is_plain: bool,
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Scalar {
    /// Whether it stands for nothing at all.
    pub(super) fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// Whether it stands for nothing at all, as the value of `key:` does.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// How many values it is made of.
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(nodes) => nodes.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }

    /// How deep it goes.
    fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(nodes) => nodes.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads a text that holds one document. `None` when there is nothing to go on with; the faults say why.
pub(super) fn build<'a>(source: &'a str, faults: &mut Collector<'a>) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_PIPELINE_DEPTH,
        block_nesting_limit: MAX_PIPELINE_DEPTH,
    };
    let mut builder = Builder::new(source, faults);
    for event in Parser::new_from_str_with_options(source, options) {
        match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => builder.broken(&error),
        }?;
    }
    builder.finish()
}

/// A collection that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeSet<String>, key: Key },
}

/// What an open map waits for.
enum Key {
    Expected,
    Known(String, Span),
    /// The key was refused: its value is read and dropped.
    Refused,
}

struct Builder<'a, 'f> {
    source: &'a str,
    faults: &'f mut Collector<'a>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    values: usize,
    root: Option<Node>,
}

impl<'a, 'f> Builder<'a, 'f> {
    fn new(source: &'a str, faults: &'f mut Collector<'a>) -> Self {
        Self { source, faults, open: Vec::new(), anchors: BTreeMap::new(), values: 0, root: None }
    }

    /// `None` ends the reading; the fault has been told.
    fn take(&mut self, event: Event<'_>, span: &granit_parser::Span) -> Option<()> {
        let place = self.offset(&span.start)..self.offset(&span.end);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), &place);
                let scalar = Scalar { text: text.into_owned(), is_plain };
                self.complete(Node { span: place, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), &place);
                self.open.push(Open { span: place, anchor, content: Content::List(Vec::new()) });
                Some(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), &place);
                let content = Content::Map { entries: Vec::new(), seen: BTreeSet::new(), key: Key::Expected };
                self.open.push(Open { span: place, anchor, content });
                Some(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place.end),
            Event::Alias(id) => self.alias(id, place),
            Event::DocumentStart(..) if self.root.is_some() => {
                self.faults.at(&place, "a pipeline file holds one document: this is a second one");
                None
            }
            _ => Some(()),
        }
    }

    fn broken(&mut self, error: &ScanError) -> Option<()> {
        let at = self.offset(error.marker());
        self.faults.at(&(at..at), format!("this is not YAML: {}", error.info()));
        None
    }

    fn finish(self) -> Option<Node> {
        if self.root.is_none() {
            self.faults.at(&(0..0), "the file is empty: a pipeline has at least `name` and `stages`");
        }
        self.root
    }

    fn close(&mut self, end: usize) -> Option<()> {
        let open = self.open.pop()?;
        let value = match open.content {
            Content::List(nodes) => Value::List(nodes),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.complete(Node { span: open.span.start..end.max(open.span.start), value }, open.anchor)
    }

    fn alias(&mut self, id: usize, place: Span) -> Option<()> {
        let Some(anchored) = self.anchors.get(&id).cloned() else {
            self.faults.at(&place, "this alias stands inside the value that it names");
            return None;
        };
        if self.open.len() + anchored.depth() > MAX_PIPELINE_DEPTH {
            self.faults.at(&place, format!("values are nested more than {MAX_PIPELINE_DEPTH} deep through this alias"));
            return None;
        }
        self.values += anchored.size();
        self.check_values(&place)?;
        let node = Node { span: place, value: anchored.value.clone() };
        self.complete(node, 0)
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.values += 1;
        if anchor != 0 {
            self.values += node.size();
        }
        self.check_values(&node.span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.content {
            Content::List(nodes) => nodes.push(node),
            Content::Map { entries, seen, key } => match std::mem::replace(key, Key::Expected) {
                Key::Expected => *key = take_key(node, seen, self.faults),
                Key::Known(name, key_span) => entries.push(Entry { key: name, key_span, value: node }),
                Key::Refused => {}
            },
        }
        Some(())
    }

    fn check_values(&mut self, place: &Span) -> Option<()> {
        if self.values <= MAX_PIPELINE_VALUES {
            return Some(());
        }
        self.faults.help(
            place,
            format!("the file has more than {MAX_PIPELINE_VALUES} values"),
            "an alias counts as often as it is used; long lists belong in a file: `list: FILE`",
        );
        None
    }

    /// Whether a tag makes the value text; any tag but `!!str` is a fault.
    fn is_text(&mut self, tag: Option<&Tag>, place: &Span) -> bool {
        match tag {
            None => false,
            Some(tag) if tag.core_suffix() == Some("str") => true,
            Some(tag) => {
                self.faults.at(place, format!("the tag `{}` is not understood", tag.original()));
                false
            }
        }
    }

    fn offset(&self, marker: &Marker) -> usize {
        marker.byte_offset().unwrap_or(0).min(self.source.len())
    }
}

fn take_key(node: Node, seen: &mut BTreeSet<String>, faults: &mut Collector) -> Key {
    let Value::Scalar(scalar) = node.value else {
        faults.at(&node.span, "a key must be a word");
        return Key::Refused;
    };
    if scalar.is_plain && scalar.text == "<<" {
        faults.help(
            &node.span,
            "merge keys are not understood",
            "repeat the keys, or use an alias for the whole value",
        );
        return Key::Refused;
    }
    if !seen.insert(scalar.text.clone()) {
        faults.at(&node.span, format!("`{}` is written twice", scalar.text));
        return Key::Refused;
    }
    Key::Known(scalar.text, node.span)
}
