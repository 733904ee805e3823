//! Planning a `list: FILE` stage: one item a line.

use futures::TryStreamExt;
use grid_core::items::plan::{ChunkItems, PlanSummary};
use grid_core::limits::MAX_RECORD_BYTES;
use grid_core::pipeline::{Format, ListItem, Stage};
use grid_core::split::{Head, HeadFinder, Scanner};
use grid_core::submission::Submission;
use infra::grid::Sources;
use infra::inputs::open_from;

use crate::planner::PlanError;
use crate::planner::chunks::ChunkWriter;

/// Faults shown at once.
const MAX_FAULTS: usize = 20;

/// Reads the stage's list, and hands its values to `writer`.
pub(super) async fn plan(
    sources: &Sources,
    submission: &Submission,
    stage: &Stage,
    writer: ChunkWriter<'_, ListItem>,
) -> Result<PlanSummary, PlanError> {
    let file = submission
        .lists
        .get(stage.name.as_str())
        .ok_or_else(|| PlanError::Unsound(format!("the list of stage {} was not pinned", stage.name)))?;
    let mut lines = Lines { writer, kind: None, number: 0, faults: Vec::new() };
    let mut stream = open_from(sources, file, 0).await?;
    let mut scanner = Scanner::new(Format::Text, 0, MAX_RECORD_BYTES);
    let mut line: Vec<u8> = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        let mut rest = &piece[..];
        while let Some(used) = scanner.next_end(rest).map_err(|fault| PlanError::long_record(&file.uri, &fault))? {
            line.extend_from_slice(&rest[..used]);
            lines.take(&line).await?;
            line.clear();
            rest = &rest[used..];
        }
        line.extend_from_slice(rest);
    }
    if !line.is_empty() {
        lines.take(&line).await?;
    }
    lines.finish(&file.uri).await
}

/// How the items of a list are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Objects,
}

struct Lines<'a> {
    writer: ChunkWriter<'a, ListItem>,
    /// Told by the first line that is not blank.
    kind: Option<Kind>,
    number: u64,
    faults: Vec<String>,
}

impl Lines<'_> {
    async fn take(&mut self, line: &[u8]) -> Result<(), PlanError> {
        self.number += 1;
        let line = if self.number == 1 { without_mark(line) } else { line };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let kind = *self.kind.get_or_insert(if line.trim_ascii_start().starts_with(b"{") {
            Kind::Objects
        } else {
            Kind::Text
        });
        match parse(kind, line) {
            // Once something is wrong, what follows is only checked.
            Ok(item) if self.faults.is_empty() => self.writer.push(item, (0, None), ChunkItems::Values).await?,
            Ok(_) => {}
            Err(fault) if self.faults.len() < MAX_FAULTS => self.faults.push(format!("line {}: {fault}", self.number)),
            Err(_) => {}
        }
        Ok(())
    }

    async fn finish(self, file: &str) -> Result<PlanSummary, PlanError> {
        if self.faults.is_empty() {
            return self.writer.finish((0, None), ChunkItems::Values).await;
        }
        let more = if self.faults.len() == MAX_FAULTS { " (and perhaps more)" } else { "" };
        Err(PlanError::Input(format!("{file} is no list of items: {}{more}", self.faults.join("; "))))
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
        return Err("no JSON object, as the first line is".into());
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

/// The line without a byte order mark.
fn without_mark(line: &[u8]) -> &[u8] {
    let mut finder = HeadFinder::new(Format::Text, false, MAX_RECORD_BYTES);
    match finder.push(line) {
        Ok(Some(Head { start, .. })) => line.get(start as usize..).unwrap_or_default(),
        Ok(None) | Err(_) => line,
    }
}
