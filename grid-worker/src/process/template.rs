//! Puts values into the templates of a command and its environment.

use std::collections::BTreeMap;

use grid_core::items::Key;
use grid_core::pipeline::{Template, TemplatePart};
use grid_core::reason::{Failure, Reason};

/// What templates may name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The job's parameters.
    pub(super) params: &'a BTreeMap<String, String>,
    /// The item's name and key; none for what serves several items.
    pub(super) item: Option<(&'a str, &'a Key)>,
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As they are: for arguments and the environment.
    Raw,
    /// As one word of a POSIX shell.
    Shell,
}

/// Whether a template has the same value for every item.
pub(super) fn is_constant(template: &Template) -> bool {
    template.parts.iter().all(|part| match part {
        TemplatePart::Text(_) | TemplatePart::Param(_) => true,
        TemplatePart::Key(_) | TemplatePart::Item => false,
    })
}

/// The template with its values.
pub(super) fn render(template: &Template, scope: Scope<'_>, quoting: Quoting) -> Result<String, Failure> {
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(verbatim) => text.push_str(verbatim),
            value => push(&mut text, value_of(value, scope)?, quoting),
        }
    }
    Ok(text)
}

fn value_of<'a>(part: &'a TemplatePart, scope: Scope<'a>) -> Result<&'a str, Failure> {
    let missing = |what: String| Failure::new(Reason::Input, what);
    match (part, scope.item) {
        (TemplatePart::Text(verbatim), _) => Ok(verbatim),
        (TemplatePart::Param(name), _) => scope
            .params
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| missing(format!("the job has no parameter `{name}`, which the stage's command names"))),
        (TemplatePart::Item, Some((item, _))) => Ok(item),
        (TemplatePart::Key(dim), Some((item, key))) => key
            .get(dim)
            .ok_or_else(|| missing(format!("item {item} has no dimension `{dim}`, which the stage's command names"))),
        (TemplatePart::Item | TemplatePart::Key(_), None) => Err(missing(
            "the command names the item, but serves several of them: use `per: item`, or read the item from its input"
                .into(),
        )),
    }
}

fn push(text: &mut String, value: &str, quoting: Quoting) {
    match quoting {
        Quoting::Raw => text.push_str(value),
        Quoting::Shell => {
            text.push('\'');
            text.push_str(&value.replace('\'', "'\\''"));
            text.push('\'');
        }
    }
}
