//! Writes a task's pack: in memory while it is small, then to a file; cut back when an item fails.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::runner::Spool;

/// A pack up to this size stays in memory: several manifests' worth of inline output, and nothing beside a worker's
/// own size, however many slots it has.
const MAX_MEMORY_BYTES: usize = 64 << 10;

/// The pack of the task in hand.
#[derive(Debug)]
pub(super) struct Pack {
    path: PathBuf,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>),
    File { file: File, len: u64 },
}

/// Why something could not be appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// It could not be read.
    Read(io::Error),
    /// The pack could not be written.
    Write(io::Error),
}

impl Pack {
    /// An empty pack, which lies at `path` once it has grown.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, store: Store::Memory(Vec::new()) }
    }

    /// Its length.
    pub(super) fn len(&self) -> u64 {
        match &self.store {
            Store::Memory(bytes) => bytes.len() as u64,
            Store::File { len, .. } => *len,
        }
    }

    /// Appends. After an error the length is what it was.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Store::Memory(held) = &mut self.store {
            if held.len() + bytes.len() <= MAX_MEMORY_BYTES {
                held.extend_from_slice(bytes);
                return Ok(());
            }
            let file = File::create(&self.path)?;
            file.write_all_at(held, 0)?;
            self.store = Store::File { file, len: held.len() as u64 };
        }
        if let Store::File { file, len } = &mut self.store {
            file.write_all_at(bytes, *len)?;
            *len += bytes.len() as u64;
        }
        Ok(())
    }

    /// Appends all that a file holds; its length and CRC-32.
    pub(super) fn append(&mut self, from: &mut impl Read, buffer: &mut [u8]) -> Result<(u64, u32), AppendError> {
        let mut sum = crc32fast::Hasher::new();
        let start = self.len();
        loop {
            let count = match from.read(buffer) {
                Ok(0) => return Ok((self.len() - start, sum.finalize())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AppendError::Read(error)),
            };
            sum.update(&buffer[..count]);
            self.write(&buffer[..count]).map_err(AppendError::Write)?;
        }
    }

    /// Forgets everything after the first `to` bytes.
    pub(super) fn truncate(&mut self, to: u64) {
        match &mut self.store {
            Store::Memory(bytes) => bytes.truncate(usize::try_from(to).unwrap_or(usize::MAX)),
            Store::File { file, len } => {
                *len = to;
                // Gives the space back at once; `finish` cuts it for certain.
                let _ = file.set_len(to);
            }
        }
    }

    /// The pack as it is handed on.
    pub(super) fn finish(self) -> io::Result<Spool> {
        match self.store {
            Store::Memory(bytes) => Ok(Spool::Memory(bytes)),
            Store::File { file, len } => {
                file.set_len(len)?;
                Ok(Spool::File { path: self.path, len })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_that_outgrows_memory_moves_to_a_file_and_is_cut_back_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        let mut pack = Pack::new(path.clone());
        pack.write(b"first").unwrap();
        pack.write(&vec![b'x'; MAX_MEMORY_BYTES]).unwrap();
        pack.truncate(5);
        pack.write(b", second").unwrap();
        let spool = pack.finish().unwrap();
        assert!(matches!(spool, Spool::File { len: 13, .. }), "{spool:?}");
        assert_eq!(std::fs::read(path).unwrap(), b"first, second");
    }

    #[test]
    fn a_small_pack_stays_in_memory() {
        let mut pack = Pack::new("/nowhere/pack".into());
        pack.write(b"abc").unwrap();
        pack.truncate(1);
        assert_eq!(pack.append(&mut &b"xyz"[..], &mut [0; 2]).unwrap(), (3, crc32fast::hash(b"xyz")));
        assert!(matches!(pack.finish().unwrap(), Spool::Memory(bytes) if bytes == b"axyz"));
    }
}
