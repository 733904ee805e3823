//! A stream of bytes, cut anew into pieces of a size that the store likes.

use bytes::{Bytes, BytesMut};
use futures::stream::Fuse;
use futures::{StreamExt, TryStreamExt};

use super::ByteStream;
use crate::Result;

/// What is left of a stream.
pub(super) struct Cutter {
    /// Some streams must not be asked again once they have ended.
    body: Fuse<ByteStream>,
    rest: Bytes,
    /// The piece that is not complete yet: kept here, so that nothing is lost when waiting for more is given up.
    piece: BytesMut,
}

impl Cutter {
    pub(super) fn of(body: ByteStream) -> Self {
        Self { body: body.fuse(), rest: Bytes::new(), piece: BytesMut::new() }
    }

    /// The next piece, of exactly `bytes` bytes except for the last one; `None` at the end, never an empty piece. May be
    /// dropped and called again.
    pub(super) async fn next(&mut self, bytes: usize) -> Result<Option<Bytes>> {
        loop {
            let taken = self.rest.split_to(self.rest.len().min(bytes - self.piece.len()));
            if self.piece.is_empty() && taken.len() == bytes {
                return Ok(Some(taken));
            }
            self.piece.extend_from_slice(&taken);
            if self.piece.len() == bytes {
                return Ok(Some(self.piece.split().freeze()));
            }
            match self.body.try_next().await? {
                Some(more) => self.rest = more,
                None => return Ok(Some(self.piece.split().freeze()).filter(|last| !last.is_empty())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::{Error, ErrorKind};

    async fn cut(pieces: &[&'static str], bytes: usize) -> Vec<Bytes> {
        let given: Vec<Result<Bytes>> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        let mut pieces = Cutter::of(stream::iter(given).boxed());
        let mut cut = Vec::new();
        while let Some(piece) = pieces.next(bytes).await.unwrap() {
            cut.push(piece);
        }
        cut
    }

    #[tokio::test]
    async fn a_stream_that_has_ended_is_not_asked_again() {
        let once =
            stream::unfold(true, |is_first| async move { is_first.then(|| (Ok(Bytes::from_static(b"ab")), false)) });
        let mut pieces = Cutter::of(once.boxed());
        assert_eq!(pieces.next(4).await.unwrap().as_deref(), Some(&b"ab"[..]));
        assert_eq!(pieces.next(4).await.unwrap(), None);
    }

    #[tokio::test]
    async fn pieces_have_the_size_that_was_asked_for_but_for_the_last() {
        assert_eq!(cut(&["abc", "", "d", "efghijk"], 4).await, ["abcd", "efgh", "ijk"]);
        assert_eq!(cut(&["abcdefgh"], 4).await, ["abcd", "efgh"]);
        assert_eq!(cut(&["", ""], 4).await, [""; 0]);
        assert_eq!(cut(&["abc"], 4).await, ["abc"]);
    }

    #[tokio::test]
    async fn a_failure_comes_through() {
        let broken = Error::new(ErrorKind::Unavailable, "broken");
        let mut pieces = Cutter::of(stream::iter([Ok(Bytes::from_static(b"ab")), Err(broken)]).boxed());
        assert_eq!(pieces.next(2).await.unwrap().unwrap(), "ab");
        assert_eq!(pieces.next(2).await.unwrap_err().to_string(), "broken");
    }
}
