//! `multipart/form-data` (RFC 7578): a document and files in one body.

use std::path::Path;

use bytes::Bytes;
use hyper::header::HeaderValue;
use uuid::Uuid;

use super::pieces::Piece;

/// A form that grows part by part.
#[derive(Debug)]
pub struct Form {
    boundary: String,
    pieces: Vec<Piece>,
}

impl Form {
    /// Without any part.
    pub fn new() -> Self {
        // Random enough: that it occurs in a file by chance will not happen.
        Self { boundary: format!("gridmill-{}", Uuid::now_v7().simple()), pieces: Vec::new() }
    }

    /// Whether a name can be written into the head of a part so that every reader understands it: some take a backslash
    /// for itself and `%22` for a quote, some the other way round.
    pub fn can_name(name: &str) -> bool {
        let has_code = ["%22", "%0D", "%0A", "%0d", "%0a"].iter().any(|code| name.contains(code));
        !name.is_empty() && !has_code && !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
    }

    /// Adds a JSON document.
    pub fn json(&mut self, name: &str, document: String) {
        self.head(name, None, "application/json");
        self.pieces.push(Piece::Text(document.into()));
    }

    /// Adds a file of so many bytes; the names must be such that [`can_name`](Self::can_name).
    pub fn file(&mut self, name: &str, file_name: &str, path: &Path, len: u64) {
        self.head(name, Some(file_name), "application/octet-stream");
        self.pieces.push(Piece::File { path: path.to_owned(), start: 0, len });
    }

    /// The body, and its media type.
    pub fn finish(mut self) -> (Vec<Piece>, HeaderValue) {
        let end = format!("{}--{}--\r\n", self.between(), self.boundary);
        self.pieces.push(Piece::Text(end.into()));
        let kind = HeaderValue::from_str(&format!("multipart/form-data; boundary={}", self.boundary));
        (self.pieces, kind.expect("hex digits and dashes are a header value"))
    }

    fn head(&mut self, name: &str, file_name: Option<&str>, kind: &str) {
        let file_name = file_name.map_or_else(String::new, |file_name| format!("; filename=\"{file_name}\""));
        let head = format!(
            "{}--{}\r\ncontent-disposition: form-data; name=\"{name}\"{file_name}\r\ncontent-type: {kind}\r\n\r\n",
            self.between(),
            self.boundary
        );
        self.pieces.push(Piece::Text(Bytes::from(head)));
    }

    /// What ends the part before.
    fn between(&self) -> &'static str {
        if self.pieces.is_empty() { "" } else { "\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_the_standard_says() {
        let mut form = Form { boundary: "B".into(), pieces: Vec::new() };
        form.json("job", "{}".into());
        form.file("input.a", "ü/x.csv", Path::new("/d/x.csv"), 7);
        let (pieces, kind) = form.finish();
        assert_eq!(kind, "multipart/form-data; boundary=B");
        let shown: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                Piece::File { path, len, .. } => format!("<{} {len}>", path.display()),
            })
            .collect();
        let expected = "--B\r\ncontent-disposition: form-data; name=\"job\"\r\ncontent-type: application/json\r\n\r\n{}\r\n\
            --B\r\ncontent-disposition: form-data; name=\"input.a\"; filename=\"ü/x.csv\"\r\n\
            content-type: application/octet-stream\r\n\r\n</d/x.csv 7>\r\n--B--\r\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn names_that_readers_understand_differently_are_told() {
        assert!(Form::can_name("a b/ü.csv") && Form::can_name("100%.txt"));
        for name in ["", "a%22b", "a\"b", "a\\b", "a\nb", "a\rb", "a\0"] {
            assert!(!Form::can_name(name), "{name:?}");
        }
    }
}
