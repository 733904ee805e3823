//! Reading a list file: text lines or NDJSON objects.

use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::limits::MAX_RECORD_BYTES;
use grid_core::pipeline::{Format, ListItem};
use grid_core::split::Scanner;
use grid_core::submission::PinnedFile;
use infra::grid::Sources;
use infra::inputs::open_from;
use infra::objects::ByteStream;

use crate::planner::PlanError;

/// How the items of a list are written; told by the first line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Objects,
}

/// An item as it was read, or what is wrong with it, with its line number from 1.
pub(super) type Line = (u64, Result<ListItem, String>);

/// Reads the items of a list one by one; blank lines are passed over.
pub(super) struct ListReader<'a> {
    file: &'a PinnedFile,
    stream: ByteStream,
    scanner: Scanner,
    parser: Parser,
    piece: Bytes,
    line: Vec<u8>,
    at_end: bool,
}

impl<'a> ListReader<'a> {
    /// Opens a list.
    pub async fn open(sources: &Sources, file: &'a PinnedFile) -> Result<Self, PlanError> {
        Ok(Self {
            file,
            stream: open_from(sources, file, 0).await?,
            scanner: Scanner::new(Format::Text, 0, MAX_RECORD_BYTES),
            parser: Parser::default(),
            piece: Bytes::new(),
            line: Vec::new(),
            at_end: false,
        })
    }

    /// The next item; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Line>, PlanError> {
        while !self.at_end {
            let ended = self.scanner.next_end(&self.piece);
            match ended.map_err(|fault| PlanError::long_record(&self.file.uri, &fault))? {
                Some(used) => self.line.extend_from_slice(&self.piece.split_to(used)),
                None => {
                    self.line.extend_from_slice(&self.piece);
                    self.piece = match self.stream.try_next().await? {
                        Some(piece) => piece,
                        None => {
                            self.at_end = true;
                            Bytes::new()
                        }
                    };
                    if !self.at_end {
                        continue;
                    }
                }
            }
            let item = self.parser.item(&self.line);
            self.line.clear();
            if item.is_some() {
                return Ok(item.map(|item| (self.parser.number, item)));
            }
        }
        Ok(None)
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
