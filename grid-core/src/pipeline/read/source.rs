//! Where a stage's items come from: exactly one of the sources.

use super::fields::Fields;
use super::{Reader, StageDraft};
use crate::ids::StageName;
use crate::items::source::repeated_name;
use crate::limits::MAX_ITEMS;
use crate::pipeline::grammar;
use crate::pipeline::model::{ItemSource, List, ListItem, Range, Split, SplitBy};
use crate::pipeline::names;
use crate::pipeline::tree::{Entry, Node, Value};
use crate::split::rule::SPLIT;

impl Reader<'_, '_> {
    pub(super) fn source(&mut self, fields: &Fields<'_>, draft: &mut StageDraft) {
        self.companions(fields);
        let present = fields.present(&grammar::SOURCES);
        let [entry] = present.as_slice() else {
            self.not_exactly_one(fields, &present);
            return;
        };
        let items = match entry.key.as_str() {
            "split" => self.split(entry, draft),
            "matrix" => self.matrix(&entry.value).map(ItemSource::Matrix),
            "range" => self.range(entry).map(ItemSource::Range),
            "list" => self.list(&entry.value).map(ItemSource::List),
            "each" => Some(ItemSource::Each(self.upstream(entry, draft))),
            "group" => self.group(entry, fields, draft),
            "all" => Some(self.all(entry, fields, draft)),
            _ => None,
        };
        if let Some(items) = items {
            draft.stage.items = items;
            draft.has_source = true;
        }
    }

    fn not_exactly_one(&mut self, fields: &Fields<'_>, present: &[&Entry]) {
        let [first, second, ..] = present else {
            if !fields.has_unbuilt(&grammar::SOURCES) {
                let help = "write one of `split`, `matrix`, `range`, `list`, `each`, `group`, `all`";
                self.faults.help(&fields.at, "the stage has no items", help);
            }
            return;
        };
        let message = format!("items come from one place: there are `{}` and `{}`", first.key, second.key);
        self.faults.at(&second.key_span, message);
    }

    /// `by` and `fan_in` belong to one source each.
    fn companions(&mut self, fields: &Fields<'_>) {
        for (key, owner) in [("by", "group"), ("fan_in", "all")] {
            if let (Some(entry), None) = (fields.entry(key), fields.entry(owner)) {
                self.faults.at(&entry.key_span, format!("`{key}` goes with `{owner}` only"));
            }
        }
    }

    fn upstream(&mut self, entry: &Entry, draft: &mut StageDraft) -> Vec<StageName> {
        draft.upstream = self.stage_names(&entry.value);
        draft.upstream.iter().map(|named| StageName::new(&named.name)).collect()
    }

    fn group(&mut self, entry: &Entry, fields: &Fields<'_>, draft: &mut StageDraft) -> Option<ItemSource> {
        let stages = self.upstream(entry, draft);
        let Some(node) = fields.node("by") else {
            self.faults.help(&entry.key_span, "`group` needs `by`", "write the dimensions: `by: [department]`");
            return None;
        };
        draft.by = self.names(node, "a dimension");
        for named in &draft.by {
            self.check_name(&named.name, &named.at, "a dimension", names::is_identifier);
        }
        Some(ItemSource::Group { stages, by: draft.by.iter().map(|named| named.name.clone()).collect() })
    }

    fn all(&mut self, entry: &Entry, fields: &Fields<'_>, draft: &mut StageDraft) -> ItemSource {
        let stages = self.upstream(entry, draft);
        let fan_in = fields.node("fan_in").and_then(|node| self.integer(node, 2..=i64::from(u32::MAX)));
        ItemSource::All { stages, fan_in: fan_in.and_then(|fan_in| u32::try_from(fan_in).ok()) }
    }

    fn split(&mut self, entry: &Entry, draft: &mut StageDraft) -> Option<ItemSource> {
        let fields = self.fields(&entry.value, &entry.key_span, &SPLIT)?;
        let input = fields.node("input").and_then(|node| {
            let name = self.text(node, "the name of an input")?;
            Some(super::Named { name, at: node.span.clone() })
        });
        draft.input = input.clone();
        let by = SplitBy::read(self, &fields);
        Some(ItemSource::Split(Split { input: input?.name, by: by? }))
    }

    fn range(&mut self, entry: &Entry) -> Option<Range> {
        let node = &entry.value;
        let range = if let Value::Scalar(_) = node.value {
            let text = self.text(node, "a range, as 1..1000,")?;
            let range = parse_range(&text);
            if range.is_none() {
                let help = "write `1..1000` or `0..100 step 5`; both ends are included";
                self.faults.help(&node.span, format!("`{text}` is not a range"), help);
            }
            range?
        } else {
            let fields = self.fields(node, &entry.key_span, &grammar::RANGE_KEYS)?;
            let number = |reader: &mut Self, key| fields.node(key).and_then(|n| reader.integer(n, i64::MIN..=i64::MAX));
            let (first, last) = (number(self, "from"), number(self, "to"));
            let step = fields.node("step").map_or(Some(1), |node| self.integer(node, 1..=i64::MAX));
            Range { first: first?, last: last?, step: step?.unsigned_abs() }
        };
        if range.last < range.first {
            let help = "a range counts upwards, and has at least one number";
            self.faults.help(&node.span, "the range ends before it begins", help);
            return None;
        }
        if range.count() > MAX_ITEMS {
            let message = format!("the range has {} items, at most {MAX_ITEMS} are allowed", range.count());
            self.faults.at(&node.span, message);
            return None;
        }
        Some(range)
    }

    fn list(&mut self, node: &Node) -> Option<List> {
        let Value::List(nodes) = &node.value else {
            return self.path(node).map(List::File);
        };
        if nodes.is_empty() {
            self.faults.at(&node.span, "the list has no items");
            return None;
        }
        let items: Vec<Option<ListItem>> = nodes.iter().map(|node| self.list_item(node)).collect();
        let items: Vec<ListItem> = items.into_iter().collect::<Option<_>>()?;
        self.check_alike(nodes, &items)?;
        if let Some(repeated) = repeated_name(items.iter().map(ListItem::key)) {
            let message = format!("the item `{}` is listed twice", items[repeated].key().name());
            self.faults.at(&nodes[repeated].span, message);
            return None;
        }
        Some(List::Inline(items))
    }

    fn list_item(&mut self, node: &Node) -> Option<ListItem> {
        match &node.value {
            Value::Map(_) => self.dimensions(node).map(ListItem::Fields),
            Value::Scalar(_) | Value::List(_) => self.text(node, "an item").map(ListItem::Text),
        }
    }

    /// All items have the same dimensions: else two of them could have the same name, and nothing could be said about
    /// `${{ key.x }}`.
    fn check_alike(&mut self, nodes: &[Node], items: &[ListItem]) -> Option<()> {
        let dims = |item: &ListItem| {
            let mut dims: Vec<String> = item.key().0.into_iter().map(|(dim, _)| dim).collect();
            dims.sort_unstable();
            dims
        };
        let first = dims(items.first()?);
        let Some(other) = items.iter().position(|item| dims(item) != first) else {
            return Some(());
        };
        let message = "all items of a list have the same fields, those of the first one are";
        self.faults.at(&nodes[other].span, format!("{message} `{}`", first.join("`, `")));
        None
    }

    /// A flat map of scalars by dimension.
    pub(super) fn dimensions(&mut self, node: &Node) -> Option<Vec<(String, String)>> {
        let Value::Map(entries) = &node.value else {
            self.faults.at(&node.span, "a map of dimensions was expected here");
            return None;
        };
        if entries.is_empty() {
            self.faults.at(&node.span, "the map is empty");
            return None;
        }
        self.check_variables(entries.iter());
        let mut dims = Vec::new();
        for entry in entries {
            self.check_name(&entry.key, &entry.key_span, "a dimension", names::is_identifier);
            dims.push((entry.key.clone(), self.text(&entry.value, "a value")?));
        }
        Some(dims)
    }
}

/// `first..last`, perhaps with ` step N`.
fn parse_range(text: &str) -> Option<Range> {
    let (first, rest) = text.split_once("..")?;
    let (last, step) = match rest.split_once("step") {
        Some((last, step)) if last.ends_with(char::is_whitespace) => (last, step.trim().parse().ok()?),
        Some(_) => return None,
        None => (rest, 1),
    };
    let number = |text: &str| text.trim().parse::<i64>().ok();
    Some(Range { first: number(first)?, last: number(last)?, step }).filter(|range| range.step > 0)
}
