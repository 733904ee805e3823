//! What is wrong with a pipeline file: every fault with its place, all of them in one report.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::limits::MAX_FAULTS;

/// Bytes of a line shown before and after the beginning of a fault; a JSON file may be one line.
const MAX_EXCERPT: usize = 160;

/// One fault and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    span: Range<usize>,
}

/// All faults of a file, in the order of their places. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    file: String,
    source: String,
    faults: Vec<Fault>,
    omitted: usize,
}

impl Faults {
    /// The faults, at most [`MAX_FAULTS`]; this is what `--json` prints.
    pub fn list(&self) -> &[Fault] {
        &self.faults
    }

    /// The report for people: each fault with the line it is in. With `color`, with ANSI escapes.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut report: Vec<String> = self.faults.iter().map(|fault| self.render_one(fault, &renderer)).collect();
        match self.faults.len() + self.omitted {
            1 => {}
            all if self.omitted > 0 => {
                report.push(format!("{all} faults in {}, the first {MAX_FAULTS} are shown", self.file));
            }
            all => report.push(format!("{all} faults in {}", self.file)),
        }
        report.join("\n\n")
    }

    fn render_one(&self, fault: &Fault, renderer: &Renderer) -> String {
        let (shown, span, is_cut) = self.excerpt(&fault.span);
        let snippet = Snippet::source(shown).line_start(fault.line).annotation(AnnotationKind::Primary.span(span));
        let title = Level::ERROR.primary_title(fault.message.as_str());
        // The renderer counts columns in what it is shown; where that is not the whole line, we say the place.
        let place = Origin::path(self.file.as_str()).line(fault.line).char_column(fault.column);
        let mut group = if is_cut {
            title.element(place).element(snippet)
        } else {
            title.element(snippet.path(self.file.as_str()))
        };
        if let Some(help) = &fault.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The line that a span begins in, cut around the span when it is long; the span in it; whether its beginning was
    /// cut off.
    fn excerpt(&self, span: &Range<usize>) -> (&str, Range<usize>, bool) {
        let from = span.start.saturating_sub(MAX_EXCERPT);
        let from = floor_char_boundary(&self.source, from);
        let start = self.source[from..span.start].rfind('\n').map_or(from, |newline| from + newline + 1);
        let to = floor_char_boundary(&self.source, span.start + MAX_EXCERPT);
        let end = self.source[span.start..to].find('\n').map_or(to, |newline| span.start + newline);
        let shown = self.source[start..end].trim_end_matches('\r');
        let is_cut = start > 0 && !self.source[..start].ends_with('\n');
        (shown, (span.start - start).min(shown.len())..(span.end - start).min(shown.len()), is_cut)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Faults {}

/// Gathers faults while a file is read.
pub(crate) struct Collector<'a> {
    source: &'a str,
    line_starts: Vec<usize>,
    faults: Vec<Fault>,
    omitted: usize,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, line_starts, faults: Vec::new(), omitted: 0 }
    }

    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn at(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.add(span, message.into(), None);
    }

    pub(crate) fn help(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, message.into(), Some(help.into()));
    }

    /// Says what the nearest known word is, if one is near.
    pub(crate) fn nearest<'k>(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let is_shown = self.faults.len() < MAX_FAULTS;
        let help = if is_shown { super::nearest::hint(word, known) } else { None };
        self.add(span, message.into(), help);
    }

    fn add(&mut self, span: &Range<usize>, message: String, help: Option<String>) {
        if self.faults.len() == MAX_FAULTS {
            self.omitted += 1;
            return;
        }
        let start = floor_char_boundary(self.source, span.start);
        let end = floor_char_boundary(self.source, span.end).max(start);
        let line = self.line_starts.partition_point(|&first| first <= start);
        let line_start = self.line_starts[line - 1];
        let column = self.source[line_start..start].chars().count() + 1;
        self.faults.push(Fault { line, column, message, help, span: start..end });
    }

    /// The report.
    pub(crate) fn finish(mut self, file: &str) -> Faults {
        self.faults.sort_by_key(|fault| fault.span.start);
        let Self { source, faults, omitted, .. } = self;
        Faults { file: file.to_owned(), source: source.to_owned(), faults, omitted }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
