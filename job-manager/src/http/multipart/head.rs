//! The headers of a part.

/// What the headers of a part say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The part's name.
    pub name: String,
    /// The name of the file that it holds, if it does.
    pub file: Option<String>,
}

impl PartHead {
    /// Reads the lines before the empty one.
    pub fn parse(head: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(head).map_err(|_| "the headers of a part are not UTF-8")?;
        let mut disposition = None;
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or("a header of a part has no colon")?;
            if name.trim().eq_ignore_ascii_case("content-disposition") {
                disposition = Some(value);
            }
        }
        let (kind, rest) = disposition.and_then(|it| it.split_once(';')).ok_or("a part has no name")?;
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err("a part is no form-data");
        }
        let (mut name, mut file) = (None, None);
        for (parameter, value) in parameters(rest) {
            match parameter.as_str() {
                "name" => name = Some(value),
                "filename" => file = Some(value),
                _ => {}
            }
        }
        Ok(Self { name: name.ok_or("a part has no name")?, file })
    }
}

/// `; a=b; c="d"`: names in lower case, values without their quotes.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        rest = after;
        Some((name, value))
    })
}

/// A quoted value, and what follows its closing quote. Browsers and curl write quotes and line ends as `%22`, `%0D` and
/// `%0A`, and leave all else as it is; older clients put a backslash before quotes.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (plain(value), &text[at + 1..]),
            '\\' if text[at + 1..].starts_with(['"', '\\']) => value.extend(chars.next().map(|(_, char)| char)),
            _ => value.push(char),
        }
    }
    (plain(value), "")
}

fn plain(value: String) -> String {
    value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_browsers_and_curl_write_them() {
        let read = |line: &str| PartHead::parse(format!("Content-Type: text/plain\r\n{line}").as_bytes());
        let named = |name: &str, file: Option<&str>| Ok(PartHead { name: name.into(), file: file.map(Into::into) });
        assert_eq!(read("Content-Disposition: form-data; name=\"job\""), named("job", None));
        assert_eq!(read("content-disposition:form-data;name=job;filename=a.txt"), named("job", Some("a.txt")));
        let quoted = r#"Content-Disposition: form-data; name="input.x"; filename="a;b=\"c\" %22d%22 100% ü\n.csv""#;
        assert_eq!(read(quoted), named("input.x", Some(r#"a;b="c" "d" 100% ü\n.csv"#)));
        assert_eq!(read("Content-Disposition: form-data; filename=\"x\"; name=\"\""), named("", Some("x")));
        for wrong in ["", "Content-Disposition: form-data", "Content-Disposition: attachment; name=a", "no colon"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(PartHead::parse(b"Content-Disposition: form-data; name=\"\xff\"").is_err());
    }
}
