//! Where words go: answers to standard output, talk to standard error, colours only where a terminal shows them.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use crate::exit::{Exit, Fault, Outcome};

/// The two streams of this process, and what may be done on them.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Answers are JSON.
    pub json: bool,
    /// Standard error is a terminal that can redraw lines.
    pub bars: bool,
    /// Standard error shows colours.
    pub colours: bool,
}

/// A column of a [`table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Words: aligned left.
    Text(&'static str),
    /// Numbers: aligned right.
    Number(&'static str),
}

impl Console {
    /// What this process's streams allow.
    pub fn detect(json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let capable = terminal && env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"));
        let colours = wants_colours(terminal, |name| env::var_os(name).map(|value| value.to_string_lossy().into()));
        Self { json, bars: capable, colours }
    }

    /// Says something to a person.
    pub fn say(&self, words: impl AsRef<str>) {
        // A closed standard error is no reason to stop working.
        let _ = writeln!(io::stderr().lock(), "{}", words.as_ref());
    }

    /// Says that something is odd.
    pub fn warn(&self, words: impl AsRef<str>) {
        self.say(format!("{}: {}", self.paint(AnsiColor::Yellow, "warning"), words.as_ref()));
    }

    /// Says why a command ends, and what to do about it.
    pub fn fault(&self, fault: &Fault) {
        let text = fault.to_string();
        if text.is_empty() {
            return;
        }
        match text.contains('\n') {
            // A report with places and excerpts of its own.
            true => self.say(text),
            false => self.say(format!("{}: {text}", self.paint(AnsiColor::Red, "error"))),
        }
        if let Some(remedy) = fault.remedy() {
            self.say(format!("{}: {remedy}", self.paint(AnsiColor::Cyan, "help")));
        }
    }

    /// Words in a colour, where colours are shown.
    pub fn paint(&self, colour: AnsiColor, words: &str) -> String {
        if !self.colours {
            return words.to_owned();
        }
        let style = Style::new().fg_color(Some(colour.into())).bold();
        format!("{style}{words}{style:#}")
    }

    /// Gives the answer: one JSON document.
    pub fn document(&self, value: &impl Serialize) -> Outcome<()> {
        let text = serde_json::to_string_pretty(value).map_err(Fault::failed)?;
        answer(|out| writeln!(out, "{text}"))
    }

    /// Gives a part of the answer: one JSON object on a line of its own.
    pub fn line(&self, value: &impl Serialize) -> Outcome<()> {
        let text = serde_json::to_string(value).map_err(Fault::failed)?;
        answer(|out| writeln!(out, "{text}"))
    }

    /// Gives the answer: text for people.
    pub fn text(&self, text: &str) -> Outcome<()> {
        answer(|out| writeln!(out, "{}", text.trim_end()))
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) ends the command without a word.
pub fn answer(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome<()> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Fault::quiet(Exit::Done)),
        Err(error) => Err(Fault::failed(error).while_doing("failed to write to standard output")),
    }
}

/// A table without lines.
pub fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|column| column.cell(column.title())).collect::<Vec<Cell>>());
    for row in rows {
        table.add_row(columns.iter().zip(row).map(|(column, text)| column.cell(&text)).collect::<Vec<Cell>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }

    fn cell(self, text: &str) -> Cell {
        match self {
            Self::Text(_) => Cell::new(text),
            Self::Number(_) => Cell::new(text).set_alignment(CellAlignment::Right),
        }
    }
}

/// The conventions of no-color.org and bixense.com/clicolors.
fn wants_colours(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let dumb = set("TERM").is_some_and(|term| term == "dumb");
    terminal && !dumb && set("CLICOLOR").is_none_or(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(terminal: bool, variables: &[(&str, &str)]) -> bool {
        wants_colours(terminal, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colours_follow_the_terminal_and_the_conventions() {
        assert!(colours(true, &[]));
        assert!(!colours(false, &[]));
        assert!(!colours(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(colours(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colours(true, &[("CLICOLOR", "0")]));
        assert!(!colours(true, &[("TERM", "dumb")]));
        assert!(colours(true, &[("NO_COLOR", "")]));
    }

    #[test]
    fn numbers_are_aligned_right() {
        let shown = table(
            &[Column::Text("stage"), Column::Number("items")],
            [vec!["a".to_owned(), "5".to_owned()], vec!["longer".to_owned(), "1,000".to_owned()]],
        );
        assert_eq!(shown, "stage   items\na           5\nlonger  1,000");
    }
}
