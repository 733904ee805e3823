//! Slices are told apart by what they hold.

use std::collections::BTreeSet;

use grid_core::identity::ItemIdentity;
use grid_core::layout;
use grid_core::split::{Segment, Slice};

use super::*;
use crate::inputs::SliceReader;

const MIB: u64 = 1 << 20;

/// Bytes without pattern.
fn noise(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Objects, and a reader that has read nothing.
struct Place {
    sources: Sources,
    objects: Arc<dyn ObjectStore>,
}

impl Place {
    fn new() -> Self {
        let (sources, objects) = sources();
        Self { sources, objects }
    }

    async fn pin(&self, content: &[u8], blocks: Option<&dyn ObjectStore>) -> PinnedFile {
        self.objects.put("file", Bytes::copy_from_slice(content)).await.unwrap();
        let options = PinOptions { blocks, ..PinOptions::default() };
        pin_object(&self.sources, "mem://file", "file", options).await.unwrap()
    }

    /// The identities of the slices of `target` bytes of a file, each with a header of 10 bytes.
    async fn slices(&self, file: &PinnedFile, target: u64) -> Vec<ItemIdentity> {
        let reader = SliceReader::new(self.objects.clone());
        let mut identities = Vec::new();
        for (part, start) in (10..file.size).step_by(target as usize).enumerate() {
            let slice = Slice {
                segments: vec![Segment { file: 0, start, len: target.min(file.size - start) }],
                header: Some(Segment { file: 0, start: 0, len: 10 }),
                part: part as u32,
                records: None,
                whole_records: true,
            };
            let files = std::slice::from_ref(file);
            identities.push(reader.identity(&slice.key(files), &slice, files).await.unwrap());
        }
        identities
    }

    /// The slices of a file of `target` bytes that are others than before a change.
    async fn others(&self, old: &[u8], new: &[u8], target: u64) -> Vec<usize> {
        let (old, new) = (self.pin(old, Some(&*self.objects)).await, self.pin(new, Some(&*self.objects)).await);
        let (old, new) = (self.slices(&old, target).await, self.slices(&new, target).await);
        assert_eq!(new.iter().collect::<BTreeSet<_>>().len(), new.len(), "no two slices of a file are the same");
        (0..new.len()).filter(|place| old.get(*place) != new.get(*place)).collect()
    }
}

#[tokio::test]
async fn a_changed_byte_changes_the_slices_that_touch_its_block() {
    let place = Place::new();
    let old = noise(3 * MIB);
    let mut new = old.clone();
    // Slice 10 has the bytes from 655,370 on; the block of this byte those from 720,896 up to 786,432.
    new[730_000] ^= 1;
    assert_eq!(place.others(&old, &new, 1 << 16).await, [10, 11]);
    new[730_000] ^= 1;
    // Behind the header, in the first block of 64 KiB.
    new[20_000] ^= 1;
    assert_eq!(place.others(&old, &new, 1 << 16).await, [0]);
    new[9] ^= 1;
    assert_eq!(place.others(&old, &new, 1 << 16).await.len(), 48, "the header goes before every slice");
}

#[tokio::test]
async fn what_is_appended_changes_the_slices_of_the_last_block() {
    let place = Place::new();
    let old = noise(3 * MIB + 100);
    let new = [&old[..], b"more"].concat();
    // Slice 23 ends 10 bytes behind a border of blocks, because of the header; slice 24 is the rest.
    assert_eq!(place.others(&old, &new, 1 << 17).await, [23, 24]);
}

#[tokio::test]
async fn what_is_inserted_at_the_start_changes_all() {
    let place = Place::new();
    let old = noise(2 * MIB);
    for (inserted, slices) in [(1, 4), (1 << 16, 5)] {
        let new = [&vec![b'x'; inserted][..], &old].concat();
        assert_eq!(place.others(&old, &new, 1 << 19).await, (0..slices).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn slices_of_several_pages_of_digests_are_told_apart() {
    let place = Place::new();
    let old = noise(72 * MIB);
    let mut new = old.clone();
    new[(70 * MIB) as usize] ^= 1;
    assert_eq!(place.others(&old, &new, 25 * MIB).await, [2]);
    assert_eq!(place.others(&old, &new, 65 * MIB).await, [1]);
    new[(70 * MIB) as usize] ^= 1;
    new[MIB as usize] ^= 1;
    assert_eq!(place.others(&old, &new, 65 * MIB).await, [0]);
}

#[tokio::test]
async fn without_digests_of_blocks_the_file_counts() {
    let place = Place::new();
    let (old, mut new) = (noise(2 * MIB), noise(2 * MIB));
    new[(2 * MIB - 1) as usize] ^= 1;
    let old_file = place.pin(&old, None).await;
    let (old_pin, target) = (place.slices(&old_file, MIB).await, MIB);
    assert_eq!(place.slices(&old_file, target).await, old_pin);
    let new_file = place.pin(&new, Some(&*place.objects)).await;
    let new_pin = place.slices(&new_file, target).await;
    assert!(old_pin.iter().all(|identity| !new_pin.contains(identity)), "one side only has them");
    // The same bytes pinned again: the earlier pin gains by it.
    place.pin(&old, Some(&*place.objects)).await;
    assert_eq!(place.slices(&old_file, target).await[0], new_pin[0]);
    // Cut short by hand: not used.
    let key = layout::blocks(old_file.digest.strip_prefix("blake3:").unwrap());
    let whole = place.objects.get(&key, None).await.unwrap();
    assert_eq!(whole.len(), (64 + 31) * 32);
    place.objects.put(&key, whole.slice(..whole.len() - 1)).await.unwrap();
    assert_eq!(place.slices(&old_file, target).await, old_pin);
}

#[tokio::test]
async fn a_list_of_digests_is_kept_once_and_for_files_with_blocks_only() {
    let place = Place::new();
    place.pin(&noise(MIB - 1), Some(&*place.objects)).await;
    place.pin(&compress(&noise(2 * MIB), Compression::Gzip), Some(&*place.objects)).await;
    assert_eq!(place.objects.list("blocks/", None, 9).await.unwrap(), []);
    let file = place.pin(&noise(MIB), Some(&*place.objects)).await;
    let kept = place.objects.list("blocks/", None, 9).await.unwrap();
    assert_eq!(place.pin(&noise(MIB), Some(&*place.objects)).await.digest, file.digest);
    assert_eq!(place.objects.list("blocks/", None, 9).await.unwrap(), kept);
    assert_eq!((kept.len(), kept[0].size), (1, (64 + 15) * 32));
}
