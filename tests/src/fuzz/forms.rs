//! The reader of forms: a form is read as it was written, and any bytes are read the same however they arrive.

use axum::Error;
use bytes::Bytes;
use futures::stream;
use job_manager::http::multipart::{Multipart, MultipartError, boundary_of};

use super::{Choices, now};

type Parts = Vec<(String, Option<String>, Vec<u8>)>;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = choices.below(3);
    let seed = choices.below(256) as u64;
    match kind {
        0 => {
            let whole = read(vec![choices.rest], "b");
            assert_eq!(whole, read(choices.pieces(seed), "b"), "it depends on how the bytes arrive");
            assert_eq!(whole, read(choices.rest.chunks(1).collect(), "b"), "byte by byte");
        }
        1 => written(&choices, seed),
        _ => {
            let text = String::from_utf8_lossy(choices.rest);
            if let Some(boundary) = boundary_of(&text) {
                assert!((1..=70).contains(&boundary.len()));
            }
        }
    }
}

/// A form of parts that are made of the bytes is read as those.
fn written(choices: &Choices, seed: u64) {
    let boundary = "7MA4YWxkTrZu0gW";
    if choices.rest.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
        return;
    }
    let contents: Vec<&[u8]> = choices.rest.split(|byte| *byte == b'|').collect();
    let mut form = Vec::new();
    for (nth, content) in contents.iter().enumerate() {
        form.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"p{nth}\"").into_bytes());
        if nth % 2 == 1 {
            form.extend(b"; filename=\"a b.csv\"\r\nContent-Type: text/csv");
        }
        form.extend(b"\r\n\r\n");
        form.extend(*content);
        form.extend(b"\r\n");
    }
    form.extend(format!("--{boundary}--\r\n").into_bytes());
    let expected: Parts = contents
        .iter()
        .enumerate()
        .map(|(nth, content)| (format!("p{nth}"), (nth % 2 == 1).then(|| "a b.csv".to_owned()), content.to_vec()))
        .collect();
    let pieces = Choices::new(&form).pieces(seed);
    assert_eq!(read(pieces, boundary), Ok(expected));
}

/// The parts; of an error, that there is one.
fn read(pieces: Vec<&[u8]>, boundary: &str) -> Result<Parts, &'static str> {
    let body =
        stream::iter(pieces.into_iter().map(|piece| Ok::<_, Error>(Bytes::copy_from_slice(piece))).collect::<Vec<_>>());
    let mut form = Multipart::new(body, boundary);
    let mut parts = Vec::new();
    let broken = |error: MultipartError| match error {
        MultipartError::Broken(_) => "it ends early",
        MultipartError::Malformed(words) => words,
    };
    while let Some(head) = now(form.next_part()).map_err(broken)? {
        let mut content = Vec::new();
        while let Some(piece) = now(form.chunk()).map_err(broken)? {
            assert!(!piece.is_empty(), "an empty piece looks like an end");
            content.extend(piece);
        }
        parts.push((head.name, head.file, content));
    }
    Ok(parts)
}
