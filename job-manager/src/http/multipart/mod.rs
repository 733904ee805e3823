//! Reads `multipart/form-data` (RFC 7578) piece by piece, in memory that no client can make grow: what follows in the
//! request is read when it is asked for, and not before.

mod head;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use memchr::memmem::Finder;

pub use head::PartHead;

/// Bytes of a part's headers.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Bytes between a boundary and the end of its line.
const MAX_PADDING_BYTES: usize = 64;

/// Longest boundary (RFC 2046).
const MAX_BOUNDARY_BYTES: usize = 70;

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    /// The request ended early, or came to a halt.
    #[error("the body ended before it was complete")]
    Broken(#[source] axum::Error),
    /// It is not what its content type says.
    #[error("{0}")]
    Malformed(&'static str),
}

/// A body that is read part by part.
pub struct Multipart<S> {
    body: S,
    /// What was received and is not given out: less than a boundary more than the last piece.
    buffer: BytesMut,
    /// What ends a part.
    delimiter: Finder<'static>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In what comes before the first boundary, or in a part.
    Content,
    /// Behind a boundary.
    Boundary,
    /// Behind the last one.
    End,
}

/// The boundary that a content type names; `None` where it is not `multipart/form-data`.
pub fn boundary_of(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = head::parameters(parameters).find(|(name, _)| name == "boundary")?.1;
    (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()).then_some(boundary)
}

impl<S: Stream<Item = Result<Bytes, axum::Error>> + Unpin> Multipart<S> {
    /// A reader that has read nothing.
    pub fn new(body: S, boundary: &str) -> Self {
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first boundary needs no line before it.
        Self { body, buffer: BytesMut::from(&b"\r\n"[..]), delimiter, place: Place::Content }
    }

    /// The next part, after what is left of this one; `None` after the last.
    pub async fn next_part(&mut self) -> Result<Option<PartHead>, MultipartError> {
        while self.place == Place::Content {
            self.chunk().await?;
        }
        if self.place == Place::End {
            return Ok(None);
        }
        self.fill(2).await?;
        if self.buffer.starts_with(b"--") {
            self.place = Place::End;
            return Ok(None);
        }
        let padding = self.take_through(b"\r\n", MAX_PADDING_BYTES, "a boundary is not followed by a line end").await?;
        if !padding.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(MultipartError::Malformed("a boundary is followed by something else"));
        }
        // A part without headers begins with the empty line at once.
        self.fill(2).await?;
        let head = match self.buffer.starts_with(b"\r\n") {
            true => {
                self.buffer.advance(2);
                Bytes::new()
            }
            false => self.take_through(b"\r\n\r\n", MAX_HEAD_BYTES, "the headers of a part do not end").await?,
        };
        self.place = Place::Content;
        PartHead::parse(&head).map(Some).map_err(MultipartError::Malformed)
    }

    /// The next piece of this part; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MultipartError> {
        if self.place != Place::Content {
            return Ok(None);
        }
        loop {
            if let Some(at) = self.delimiter.find(&self.buffer) {
                let piece = self.buffer.split_to(at).freeze();
                self.buffer.advance(self.delimiter.needle().len());
                self.place = Place::Boundary;
                return Ok((!piece.is_empty()).then_some(piece));
            }
            // A delimiter may have begun in the last bytes.
            let kept = self.delimiter.needle().len() - 1;
            if self.buffer.len() > kept {
                return Ok(Some(self.buffer.split_to(self.buffer.len() - kept).freeze()));
            }
            self.receive().await?;
        }
    }

    /// Takes what comes before `end`, and `end`.
    async fn take_through(&mut self, end: &[u8], most: usize, fault: &'static str) -> Result<Bytes, MultipartError> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, end) {
                if at > most {
                    return Err(MultipartError::Malformed(fault));
                }
                let taken = self.buffer.split_to(at).freeze();
                self.buffer.advance(end.len());
                return Ok(taken);
            }
            if self.buffer.len() > most + end.len() {
                return Err(MultipartError::Malformed(fault));
            }
            self.receive().await?;
        }
    }

    /// Waits until there are that many bytes.
    async fn fill(&mut self, bytes: usize) -> Result<(), MultipartError> {
        while self.buffer.len() < bytes {
            self.receive().await?;
        }
        Ok(())
    }

    /// Waits for a piece of the request.
    async fn receive(&mut self) -> Result<(), MultipartError> {
        match self.body.next().await {
            Some(Ok(piece)) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            Some(Err(error)) => Err(MultipartError::Broken(error)),
            None => Err(MultipartError::Malformed("the body ends before its last boundary")),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    type Parts = Vec<(String, Option<String>, Vec<u8>)>;

    /// Reads a body that arrives in pieces of these lengths.
    async fn read(body: &[u8], lengths: &[usize]) -> Result<Parts, String> {
        let (mut pieces, mut rest, mut lengths) = (Vec::new(), body, lengths.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*lengths.next().unwrap_or(&1)).clamp(1, rest.len()));
            pieces.push(Ok(Bytes::copy_from_slice(piece)));
            rest = later;
        }
        let mut multipart = Multipart::new(stream::iter(pieces), "XX");
        let mut parts = Vec::new();
        while let Some(head) = multipart.next_part().await.map_err(|error| error.to_string())? {
            let mut content = Vec::new();
            while let Some(piece) = multipart.chunk().await.map_err(|error| error.to_string())? {
                content.extend_from_slice(&piece);
            }
            parts.push((head.name, head.file, content));
        }
        Ok(parts)
    }

    fn part(name: &str, content: &[u8]) -> Vec<u8> {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    }

    proptest! {
        #[test]
        fn parts_are_read_as_they_were_written_however_they_arrive(
            contents in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\r\n-Xa".to_vec()), 0..40), 0..5),
            lengths in prop::collection::vec(1usize..20, 1..5),
        ) {
            let contents: Vec<Vec<u8>> =
                contents.into_iter().filter(|it| memchr::memmem::find(&[b"\r\n", &it[..]].concat(), b"\r\n--XX").is_none()).collect();
            let mut body: Vec<u8> = contents.iter().flat_map(|content| part("a", content)).collect();
            body.extend_from_slice(b"--XX--\r\nwhatever");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(read(&body, &lengths)).unwrap();
            let expected: Parts = contents.into_iter().map(|content| ("a".to_owned(), None, content)).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(prop::sample::select(b"\r\n-Xa: ;=\"".to_vec()), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read(&body, &[7]));
        }
    }

    #[tokio::test]
    async fn what_comes_before_the_first_boundary_and_after_the_last_is_nothing() {
        let body = [&b"preamble\r\n"[..], &part("a", b"1"), b"--XX  \r\n\r\nno name"].concat();
        assert_eq!(read(&body, &[3]).await, Err("a part has no name".to_owned()));
        let body = [&b"preamble\r\n"[..], &part("a", b"1"), b"--XX--junk"].concat();
        assert_eq!(read(&body, &[3]).await, Ok(vec![("a".to_owned(), None, b"1".to_vec())]));
    }

    #[tokio::test]
    async fn a_body_that_stops_or_goes_on_for_ever_is_refused() {
        for body in ["", "--XX", "--XX\r\n", "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nabc", "no boundary"]
        {
            assert_eq!(
                read(body.as_bytes(), &[2]).await,
                Err("the body ends before its last boundary".to_owned()),
                "{body}"
            );
        }
        let long_head = format!("--XX\r\nX: {}", "x".repeat(MAX_HEAD_BYTES + 10));
        assert_eq!(read(long_head.as_bytes(), &[100]).await, Err("the headers of a part do not end".to_owned()));
        let long_boundary = format!("--XX{}", " ".repeat(1_000));
        assert!(read(long_boundary.as_bytes(), &[100]).await.is_err());
        assert!(read(b"--XXY\r\n", &[100]).await.is_err());
    }

    #[tokio::test]
    async fn no_more_is_read_than_was_asked_for() {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = taken.clone();
        let head = part("a", b"");
        let pieces = std::iter::once(Bytes::from(head[..head.len() - 2].to_vec()))
            .chain(std::iter::repeat_n(Bytes::from_static(&[b'x'; 1_000]), 1_000));
        let body = stream::iter(pieces.map(move |piece| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(piece)
        }));
        let mut multipart = Multipart::new(body, "XX");
        multipart.next_part().await.unwrap();
        for _ in 0..3 {
            multipart.chunk().await.unwrap();
        }
        assert!(taken.load(std::sync::atomic::Ordering::Relaxed) <= 5);
        assert!(multipart.buffer.len() <= 1_010);
    }

    #[test]
    fn a_boundary_is_read_from_the_content_type() {
        let of = |text: &str| boundary_of(text);
        assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b\"").as_deref(), Some("a b"));
        for wrong in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=a", "application/json"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
    }
}
