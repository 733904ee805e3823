//! Text with `${{ .. }}` in it. Written `$${{`, the braces stand for themselves; every other `$` is the shell's.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use super::model::{Template, TemplatePart};
use super::shell::Quotes;
use crate::items::Key;

/// What a template's expressions stand for, for one item.
#[derive(Clone, Copy, Debug)]
pub struct TemplateValues<'a> {
    /// `${{ params.x }}`.
    pub params: &'a BTreeMap<String, String>,
    /// `${{ key.x }}`, and `${{ item }}` by [`Key::name`]; none where a process serves several items.
    pub key: Option<&'a Key>,
}

/// How the values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// As they are: arguments and environment.
    None,
    /// So that a POSIX shell reads each as (part of) one word.
    Shell,
    /// So that they are (part of) a file name: percent-encoded like an item's name.
    FileName,
}

/// Why a template has no value. The parser keeps these from happening wherever it can know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// No such parameter.
    #[error("the parameter `{0}` has no value")]
    Param(String),
    /// No such dimension.
    #[error("the item has no dimension `{0}`")]
    Dimension(String),
    /// `${{ item }}` where there is no single item.
    #[error("there is no single item here")]
    NoItem,
    /// A place in a shell text where no quoting is safe.
    #[error("a value cannot be quoted safely {0}")]
    Unquotable(&'static str),
}

/// A fault of a template, with its place in the template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateFault {
    pub range: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Template {
    /// A template without expressions.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![TemplatePart::Text(text)] } }
    }

    /// The text for one item.
    pub fn render(&self, values: TemplateValues<'_>, quoting: Quoting) -> Result<String, RenderError> {
        let mut rendered = String::new();
        let mut quotes = Quotes::default();
        for part in &self.parts {
            let value = match part {
                TemplatePart::Text(text) => {
                    quotes.read(text);
                    rendered.push_str(text);
                    continue;
                }
                other => values.of(other)?,
            };
            match quoting {
                Quoting::None => rendered.push_str(&value),
                Quoting::FileName if *part == TemplatePart::Item => rendered.push_str(&value),
                Quoting::FileName => rendered.push_str(&crate::items::key::encode_value(&value)),
                Quoting::Shell => rendered.push_str(&quotes.put(&value).map_err(RenderError::Unquotable)?),
            }
        }
        Ok(rendered)
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &TemplatePart> {
        self.parts.iter().filter(|part| !matches!(part, TemplatePart::Text(_)))
    }

    /// Reads a text; the faults carry places in it. Also gives the place of every expression.
    pub(super) fn parse(text: &str) -> (Self, Vec<Range<usize>>, Vec<TemplateFault>) {
        let (mut parts, mut places, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let (mut literal, mut rest) = (String::new(), 0);
        while let Some(found) = text[rest..].find("${{") {
            let start = rest + found;
            if let Some(before) = text[rest..start].strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${{");
                rest = start + 3;
                continue;
            }
            literal.push_str(&text[rest..start]);
            let Some(length) = text[start..].find("}}") else {
                let message = "`${{` is not closed by `}}`".to_owned();
                let help = Some("written `$${{` it stands for itself".to_owned());
                faults.push(TemplateFault { range: start..start + 3, message, help });
                rest = text.len();
                break;
            };
            let range = start..start + length + 2;
            rest = range.end;
            match expression(text[range.start + 3..range.end - 2].trim()) {
                Ok(part) => {
                    if !literal.is_empty() {
                        parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                    places.push(range);
                }
                Err((message, help)) => faults.push(TemplateFault { range, message, help }),
            }
        }
        literal.push_str(&text[rest..]);
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(literal));
        }
        (Self { parts }, places, faults)
    }
}

impl TemplateValues<'_> {
    fn of(&self, part: &TemplatePart) -> Result<String, RenderError> {
        match part {
            TemplatePart::Text(text) => Ok(text.clone()),
            TemplatePart::Param(name) => self.params.get(name).cloned().ok_or_else(|| RenderError::Param(name.clone())),
            TemplatePart::Key(dim) => {
                let value = self.key.ok_or(RenderError::NoItem)?.get(dim);
                value.map(str::to_owned).ok_or_else(|| RenderError::Dimension(dim.clone()))
            }
            TemplatePart::Item => Ok(self.key.ok_or(RenderError::NoItem)?.name()),
        }
    }
}

/// What stands between the braces.
fn expression(text: &str) -> Result<TemplatePart, (String, Option<String>)> {
    if text == "item" {
        return Ok(TemplatePart::Item);
    }
    let known = "known are `${{ params.NAME }}`, `${{ key.DIMENSION }}` and `${{ item }}`".to_owned();
    let unknown = |help| Err((format!("`${{{{ {text} }}}}` is not understood"), Some(help)));
    let Some((root, name)) = text.split_once('.') else {
        return unknown(known);
    };
    if !super::names::is_identifier(name) {
        return unknown(known);
    }
    match root.trim_end() {
        "params" => Ok(TemplatePart::Param(name.to_owned())),
        "key" => Ok(TemplatePart::Key(name.to_owned())),
        "param" | "parameters" | "inputs" | "input" => unknown(format!("did you mean `${{{{ params.{name} }}}}`?")),
        "matrix" | "keys" => unknown(format!("did you mean `${{{{ key.{name} }}}}`?")),
        _ => unknown(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<TemplatePart> {
        let (template, _, faults) = Template::parse(text);
        assert_eq!(faults, []);
        template.parts
    }

    fn render(text: &str, quoting: Quoting) -> Result<String, RenderError> {
        let params = BTreeMap::from([("year".to_owned(), "20 25".to_owned())]);
        let key = Key(vec![("file".to_owned(), "a/b's".to_owned())]);
        Template::parse(text).0.render(TemplateValues { params: &params, key: Some(&key) }, quoting)
    }

    #[test]
    fn spaces_are_optional_and_other_dollars_belong_to_the_shell() {
        use TemplatePart::{Item, Key, Param, Text};
        assert_eq!(
            parsed("a $HOME ${X} ${{params.year}}${{ key.part }} $${{ raw }} ${{item}}"),
            [Text("a $HOME ${X} ".into()), Param("year".into()), Key("part".into()), Text(" ${{ raw }} ".into()), Item]
        );
        assert_eq!(parsed(""), []);
    }

    #[test]
    fn values_are_written_for_where_they_go() {
        let text = "x=${{ params.year }} ${{ key.file }} ${{ item }}";
        assert_eq!(render(text, Quoting::None), Ok("x=20 25 a/b's a%2Fb%27s".into()));
        assert_eq!(render(text, Quoting::Shell), Ok(r"x='20 25' 'a/b'\''s' 'a%2Fb%27s'".into()));
        assert_eq!(render(text, Quoting::FileName), Ok("x=20%2025 a%2Fb%27s a%2Fb%27s".into()));
    }

    #[test]
    fn what_has_no_value_is_an_error_not_an_empty_word() {
        assert_eq!(render("${{ params.month }}", Quoting::None), Err(RenderError::Param("month".into())));
        assert_eq!(render("${{ key.part }}", Quoting::None), Err(RenderError::Dimension("part".into())));
        let (template, params) = (Template::parse("${{ item }}").0, BTreeMap::new());
        let nowhere = TemplateValues { params: &params, key: None };
        assert_eq!(template.render(nowhere, Quoting::None), Err(RenderError::NoItem));
    }

    #[test]
    fn a_template_fault_says_where() {
        let (_, _, faults) = Template::parse("a ${{ matrix.os }} ${{ x");
        let told: Vec<_> = faults.iter().map(|fault| (fault.range.clone(), fault.help.as_deref())).collect();
        assert_eq!(
            told,
            [(2..18, Some("did you mean `${{ key.os }}`?")), (19..22, Some("written `$${{` it stands for itself"))]
        );
    }
}
