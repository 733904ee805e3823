//! JSON in printable ASCII: a queue takes nothing else for sure (SQS refuses what XML cannot say, for ever).

use std::fmt::Write;

use serde::Serialize;

/// Writes `value` as JSON in printable ASCII; everything else is escaped, so that readers see no difference.
pub fn to_ascii_json<T: Serialize>(value: &T) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    if json.bytes().all(is_printable) {
        return Ok(json);
    }
    // Outside of strings JSON is ASCII, so what is escaped here is always inside one.
    let mut ascii = String::with_capacity(json.len() + json.len() / 4);
    let mut units = [0; 2];
    for c in json.chars() {
        if c.is_ascii() && is_printable(c as u8) {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            write!(ascii, "\\u{unit:04x}").expect("writing to a string cannot fail");
        }
    }
    Ok(ascii)
}

fn is_printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_printable_ascii_and_comes_back() {
        let text = "a\u{0}b\u{7f}ü\u{fffe}\u{1f600}\"\\\n";
        let json = to_ascii_json(&text).unwrap();
        assert!(json.bytes().all(is_printable), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(to_ascii_json(&"plain").unwrap(), "\"plain\"");
    }
}
