//! Decompression of streams, pushed along by what arrives: no threads, and memory for one piece at a time.

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::try_unfold;
use grid_core::submission::Compression;
use zstd::stream::raw::Operation;

use crate::inputs::InputError;
use crate::objects::ByteStream;

/// Bytes that one step decodes at most: a small file may hold a gigabyte of zeroes.
const STEP_BYTES: usize = 128 << 10;

/// The header of a zstd frame has no more bytes (RFC 8878, 3.1.1.1).
const ZSTD_HEADER_BYTES: usize = 18;

/// The uncompressed content of `stream`: every gzip member, zstd frame or bzip2 stream of it, one after the other.
///
/// Ends with [`InputError::Damaged`] where a checksum or a length is wrong, the data is cut off, or something else follows it.
/// Zstd frames that need a window above 128 MiB (`--long=28` and more) are refused.
pub fn decompress(stream: ByteStream, compression: Compression) -> ByteStream {
    if compression == Compression::None {
        return stream;
    }
    let start = Decoding { stream, compression, input: Bytes::new(), decoder: None, any: false };
    try_unfold(start, |mut decoding| async {
        let piece = decoding.next().await?;
        Ok(piece.map(|piece| (piece, decoding)))
    })
    .boxed()
}

struct Decoding {
    stream: ByteStream,
    compression: Compression,
    input: Bytes,
    /// None between two members.
    decoder: Option<Decoder>,
    /// Whether any member has been seen.
    any: bool,
}

enum Decoder {
    Gzip(flate2::Decompress),
    Zstd(Frame),
    Bzip2(bzip2::Decompress),
}

/// A zstd frame. The library holds it to the length that its header says, but not when its last block is empty and it arrives in
/// pieces.
struct Frame {
    decoder: zstd::stream::raw::Decoder<'static>,
    /// Its first bytes, as many as a header may have.
    head: Vec<u8>,
    /// Bytes decoded.
    len: u64,
}

/// What one step did.
struct Step {
    used: usize,
    member_ended: bool,
}

impl Decoding {
    /// The next decoded bytes; `None` at the sound end of everything.
    async fn next(&mut self) -> crate::Result<Option<Bytes>> {
        loop {
            let at_end = !self.fill().await?;
            if at_end && self.decoder.is_none() && self.any {
                return Ok(None);
            }
            let mut output = Vec::new();
            let made_progress = self.step(&mut output).map_err(|error| self.damaged(&error))?;
            if at_end && !made_progress {
                return Err(self.damaged("it ends too early").into());
            }
            if !output.is_empty() {
                return Ok(Some(output.into()));
            }
        }
    }

    /// Makes input available; `false` at the end of the stream.
    async fn fill(&mut self) -> crate::Result<bool> {
        while self.input.is_empty() {
            match self.stream.next().await {
                Some(piece) => self.input = piece?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Decodes once; whether any byte went in or came out.
    fn step(&mut self, output: &mut Vec<u8>) -> Result<bool, String> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => self.decoder.insert(Decoder::new(self.compression)?),
        };
        output.reserve_exact(STEP_BYTES);
        let step = decoder.step(&self.input, output)?;
        self.input.advance(step.used);
        if step.member_ended {
            self.decoder = None;
            self.any = true;
        }
        Ok(step.used > 0 || !output.is_empty())
    }

    fn damaged(&self, how: &str) -> InputError {
        let kind = match self.compression {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
        };
        let place = if self.any && self.decoder.is_none() { ", behind its last sound member" } else { "" };
        InputError::Damaged(format!("the {kind} data is damaged{place}: {how}"))
    }
}

impl Decoder {
    fn new(compression: Compression) -> Result<Self, String> {
        match compression {
            Compression::None => Err("it is not compressed".into()),
            Compression::Gzip => Ok(Self::Gzip(flate2::Decompress::new_gzip(15))),
            Compression::Zstd => Frame::new().map(Self::Zstd).map_err(|error| error.to_string()),
            Compression::Bzip2 => Ok(Self::Bzip2(bzip2::Decompress::new(false))),
        }
    }

    /// Takes from `input` and fills the spare capacity of `output`.
    fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Step, String> {
        match self {
            Self::Gzip(decoder) => {
                let before = decoder.total_in();
                let status = decoder
                    .decompress_vec(input, output, flate2::FlushDecompress::None)
                    .map_err(|error| error.to_string())?;
                let used = (decoder.total_in() - before) as usize;
                Ok(Step { used, member_ended: status == flate2::Status::StreamEnd })
            }
            Self::Bzip2(decoder) => {
                let before = decoder.total_in();
                let status = decoder.decompress_vec(input, output).map_err(|error| error.to_string())?;
                let used = (decoder.total_in() - before) as usize;
                Ok(Step { used, member_ended: status == bzip2::Status::StreamEnd })
            }
            Self::Zstd(frame) => frame.step(input, output),
        }
    }
}

impl Frame {
    fn new() -> std::io::Result<Self> {
        Ok(Self { decoder: zstd::stream::raw::Decoder::new()?, head: Vec::new(), len: 0 })
    }

    fn step(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Step, String> {
        output.resize(STEP_BYTES, 0);
        let status = self.decoder.run_on_buffers(input, output).map_err(|error| error.to_string())?;
        output.truncate(status.bytes_written);
        let missing = ZSTD_HEADER_BYTES.saturating_sub(self.head.len());
        self.head.extend(&input[..status.bytes_read.min(missing)]);
        self.len += status.bytes_written as u64;
        let member_ended = status.remaining == 0;
        if member_ended
            && let Ok(Some(said)) = zstd::zstd_safe::get_frame_content_size(&self.head)
            && said != self.len
        {
            return Err(format!("a frame says that it has {said} bytes, and has {}", self.len));
        }
        Ok(Step { used: status.bytes_read, member_ended })
    }
}
