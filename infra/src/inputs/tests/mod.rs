//! Inputs in a folder and in memory.

mod blocks;
mod decompress;
mod pin;
mod read;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grid_core::submission::{Compression, PinnedFile};

use crate::Result;
use crate::grid::Sources;
use crate::inputs::{InputError, PinOptions, pin_object};
use crate::objects::{ByteStream, FolderObjects, MemoryObjects, ObjectStore};

/// Files of this machine, and objects in memory.
fn sources() -> (Sources, Arc<dyn ObjectStore>) {
    let objects: Arc<dyn ObjectStore> = Arc::new(MemoryObjects::new());
    let files = Arc::new(FolderObjects::read_only("/"));
    (Sources::default().with("file", files).with("mem", objects.clone()), objects)
}

fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// `content` as one object, pinned.
async fn pinned(sources: &Sources, objects: &Arc<dyn ObjectStore>, key: &str, content: &[u8]) -> PinnedFile {
    objects.put(key, Bytes::copy_from_slice(content)).await.unwrap();
    pin_object(sources, &format!("mem://{key}"), key, PinOptions::default()).await.unwrap()
}

async fn all(stream: ByteStream) -> Result<Vec<u8>> {
    stream.try_fold(Vec::new(), async |all, piece| Ok([&all[..], &piece].concat())).await
}

/// The bytes as a stream of pieces of that size.
fn streamed(bytes: &[u8], chunk: usize) -> ByteStream {
    let pieces: Vec<Result<Bytes>> = bytes.chunks(chunk).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures::stream::iter(pieces).boxed()
}

fn compress(content: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => content.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(content, 1).unwrap(),
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
    }
}

const COMPRESSIONS: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::Bzip2];

/// The input's fault in an error of reading, as a word and what is said about it.
fn fault<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, String) {
    let error = result.expect_err("a fault");
    let fault = InputError::of(&error).expect("a fault of the input");
    (word(fault), fault.to_string())
}

fn word(fault: &InputError) -> &'static str {
    match fault {
        InputError::Missing(_) => "missing",
        InputError::Unreadable(_) => "unreadable",
        InputError::Changed(_) => "changed",
        InputError::Damaged(_) => "damaged",
        InputError::Invalid(_) => "invalid",
        InputError::Store(_) => "store",
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
