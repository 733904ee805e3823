//! Templates: whatever a value is, it is text and nothing else where it is put, and no less than itself.

use std::collections::BTreeMap;

use grid_core::pipeline::{Quoting, Template, TemplatePart, TemplateValues};
use percent_encoding::percent_decode_str;

use super::shell::{Item, read};

pub(super) const WORDS: [&str; 20] = [
    "\0",
    "@",
    "\"@\"",
    "'@'",
    "$x",
    "$(",
    "$((",
    "))",
    "${x:-",
    "`",
    "\\",
    "#",
    ">",
    "<<",
    "case a in",
    "~",
    "=",
    "-1",
    "''",
    "*",
];

/// What a shell takes for a word of its own, so that it is quoted, and that no text of a test has in it.
const ANYTHING: &str = "\u{1}";

/// A text with `@` where the value goes, a zero byte, and the value.
pub(super) fn run(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let (text, value) = input.split_once('\0').unwrap_or((input, "1"));
    if input.contains(ANYTHING) || value.contains('\0') {
        return;
    }
    let template = template(text);
    assert_eq!(render(&template, value, Quoting::None), Some(text.replace('@', value)));
    if let Some(name) = render(&template, value, Quoting::FileName) {
        file_name(text, value, &name);
    }
    shell(&template, value);
}

fn template(text: &str) -> Template {
    let mut parts = Vec::new();
    for (nth, piece) in text.split('@').enumerate() {
        if nth > 0 {
            parts.push(TemplatePart::Param("x".into()));
        }
        if !piece.is_empty() {
            parts.push(TemplatePart::Text(piece.to_owned()));
        }
    }
    Template { parts }
}

fn render(template: &Template, value: &str, quoting: Quoting) -> Option<String> {
    let params = BTreeMap::from([("x".to_owned(), value.to_owned())]);
    template.render(TemplateValues { params: &params, key: None }, quoting).ok()
}

/// Where it says `@` there is the value, encoded, so that it neither ends the name nor begins another one.
fn file_name(text: &str, value: &str, name: &str) {
    let slashes = |text: &str| text.matches('/').count();
    assert_eq!(slashes(name), slashes(text), "{name}");
    if !text.contains('%') {
        let decoded = percent_decode_str(name).decode_utf8().expect("it was text");
        assert_eq!(decoded, text.replace('@', value), "{name}");
    }
}

/// A shell reads the same commands and words whatever the value is, and the value where it belongs.
fn shell(template: &Template, value: &str) {
    let rendered = [value, ANYTHING].map(|value| render(template, value, Quoting::Shell));
    let [Some(rendered), Some(other)] = rendered else {
        assert_eq!(rendered, [None, None], "it depends on the value whether it is safe");
        return;
    };
    let words = |text: &str| {
        let items = read(text)?.into_iter().map(|item| item.with(ANYTHING, value));
        Some(items.collect::<Vec<Item>>())
    };
    if let Some(expected) = words(&other) {
        assert_eq!(words(&rendered), Some(expected), "{rendered}");
    }
}
