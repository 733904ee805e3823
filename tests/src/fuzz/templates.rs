//! Templates: whatever a value is, it is text and nothing else where it is put, and no less than itself.

use std::collections::BTreeMap;

use grid_core::pipeline::{Quoting, Template, TemplatePart, TemplateValues};
use percent_encoding::percent_decode_str;

use super::shell::{Item, read};

pub(super) const WORDS: [&str; 26] = [
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
    "\\\n",
    "$$(",
    "[[ ",
    "\r#",
    "%% #*}",
    "\0-5",
];

/// What a shell takes for a word of its own, so that it is quoted, and that no text of a test has in it.
const ANYTHING: &str = "\u{1}";

/// The same for arithmetic, where only a number may stand.
const ANY_NUMBER: &str = "8172635445";

/// A text with `@` where the value goes, a zero byte, and the value.
pub(super) fn run(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let (text, value) = input.split_once('\0').unwrap_or((input, "1"));
    // However a shell may join what quotes take apart.
    let digits: String = input.chars().filter(char::is_ascii_digit).collect();
    if input.contains(ANYTHING) || digits.contains(ANY_NUMBER) || value.contains('\0') {
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
    let put = |value| render(template, value, Quoting::Shell);
    let other = match put(ANYTHING) {
        Some(other) => Some((other, ANYTHING)),
        None if is_number(value) => put(ANY_NUMBER).map(|other| (other, ANY_NUMBER)),
        None => None,
    };
    let (Some(rendered), Some((other, any))) = (put(value), &other) else {
        assert_eq!((put(value), other), (None, None), "it depends on the value whether it is safe");
        return;
    };
    if let Some(items) = read(other) {
        let expected: Vec<Item> = items.into_iter().map(|item| item.with(any, value)).collect();
        // Pieces without any text are left out of what is read, too.
        let read = read(&rendered).map(|items| items.into_iter().map(|item| item.with(any, any)).collect());
        assert_eq!(read, Some(expected), "{rendered}");
    }
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
