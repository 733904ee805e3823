//! Reading a list file: text lines or NDJSON objects.

use futures::TryStreamExt;
use grid_core::limits::MAX_RECORD_BYTES;
use grid_core::pipeline::{Format, ListItem};
use grid_core::split::Scanner;
use grid_core::submission::PinnedFile;
use infra::grid::Sources;
use infra::inputs::open_from;

use crate::planner::PlanError;

/// How the items of a list are written; told by the first line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Objects,
}

/// Calls `take` with every item and its line number, from 1; blank lines are passed over.
pub(super) async fn each_item<T>(sources: &Sources, file: &PinnedFile, mut take: T) -> Result<(), PlanError>
where
    T: AsyncFnMut(u64, Result<ListItem, String>) -> Result<(), PlanError>,
{
    let mut stream = open_from(sources, file, 0).await?;
    let mut scanner = Scanner::new(Format::Text, 0, MAX_RECORD_BYTES);
    let (mut parser, mut line) = (Parser::default(), Vec::new());
    while let Some(piece) = stream.try_next().await? {
        let mut rest = &piece[..];
        while let Some(used) = scanner.next_end(rest).map_err(|fault| PlanError::long_record(&file.uri, &fault))? {
            line.extend_from_slice(&rest[..used]);
            rest = &rest[used..];
            if let Some(item) = parser.item(&line) {
                take(parser.number, item).await?;
            }
            line.clear();
        }
        line.extend_from_slice(rest);
    }
    match parser.item(&line) {
        Some(item) => take(parser.number, item).await,
        None => Ok(()),
    }
}

#[derive(Default)]
struct Parser {
    kind: Option<Kind>,
    /// Lines so far.
    number: u64,
}

impl Parser {
    /// The item of the next line; `None` when it is blank.
    fn item(&mut self, line: &[u8]) -> Option<Result<ListItem, String>> {
        self.number += 1;
        let line = if self.number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.trim_ascii().is_empty() {
            return None;
        }
        let is_object = line.trim_ascii_start().starts_with(b"{");
        let kind = *self.kind.get_or_insert(if is_object { Kind::Objects } else { Kind::Text });
        Some(parse(kind, line))
    }
}

fn parse(kind: Kind, line: &[u8]) -> Result<ListItem, String> {
    let text = str::from_utf8(line).map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
    match kind {
        Kind::Text => Ok(ListItem::Text(text.trim_end_matches(['\r', '\n']).to_owned())),
        Kind::Objects => fields(text),
    }
}

fn fields(text: &str) -> Result<ListItem, String> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err("no JSON object, as the first item is".into());
    };
    let fields = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(value) => Ok((name, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("field `{name}` is neither text, nor a number, nor true or false"))
        }
    });
    fields.collect::<Result<_, _>>().map(ListItem::Fields)
}
