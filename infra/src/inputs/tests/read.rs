use grid_core::split::{Segment, Slice};
use proptest::prelude::*;

use super::*;
use crate::inputs::{open, open_from, read_consecutive, read_slice};

fn segment(file: u32, start: u64, len: u64) -> Segment {
    Segment { file, start, len }
}

#[tokio::test]
async fn a_range_is_read_in_uncompressed_bytes() {
    let (sources, objects) = sources();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2] {
        let file = pinned(&sources, &objects, "x", &compress(b"0123456789", compression)).await;
        assert_eq!(all(open(&sources, &file, 3, 4).await.unwrap()).await.unwrap(), b"3456", "{compression:?}");
        assert_eq!(all(open(&sources, &file, 10, 0).await.unwrap()).await.unwrap(), b"");
        assert_eq!(all(open_from(&sources, &file, 7).await.unwrap()).await.unwrap(), b"789");
        assert_eq!(fault(all(open(&sources, &file, 8, 3).await.unwrap()).await).0, "changed");
    }
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_still_the_pinned_one() {
    let (sources, _) = sources();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x", b"0123456789");
    let uri = format!("file://{}/x", folder.path().display());
    let file = pin_object(&sources, &uri, "x", PinOptions::default()).await.unwrap();
    std::fs::remove_file(folder.path().join("x")).unwrap();
    write(folder.path(), "y", b"");
    write(folder.path(), "x", b"0123456789");
    assert_ne!(pin_object(&sources, &uri, "x", PinOptions::default()).await.unwrap().version, file.version);
    assert_eq!(all(open(&sources, &file, 3, 4).await.unwrap()).await.unwrap(), b"3456");
}

#[tokio::test]
async fn a_changed_or_missing_file_is_recognised_before_it_is_read() {
    let (sources, objects) = sources();
    let file = pinned(&sources, &objects, "x", b"0123456789").await;
    for (content, how) in [(&b"01234X6789"[..], "its content differs"), (b"0123456789A", "it had 10 bytes and has 11")]
    {
        objects.put("x", Bytes::from_static(content)).await.unwrap();
        let (word, message) = fault(open(&sources, &file, 0, 1).await.map(|_| ()));
        assert_eq!(word, "changed");
        assert!(message.contains("mem://x") && message.contains(how), "{message}");
    }
    objects.delete("x").await.unwrap();
    let (word, message) = fault(open(&sources, &file, 0, 1).await.map(|_| ()));
    assert!(word == "missing" && message.contains("mem://x"), "{message}");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_does_not_end_well() {
    let (sources, objects) = sources();
    let file = pinned(&sources, &objects, "x", b"0123456789").await;
    let stream = open(&sources, &file, 0, 10).await.unwrap();
    objects.put("x", Bytes::from_static(b"9876543210")).await.unwrap();
    assert_eq!(fault(all(stream).await).0, "changed");
}

#[tokio::test]
async fn damage_is_told_with_the_name_of_the_file() {
    let (sources, objects) = sources();
    let stored = compress(b"0123456789", Compression::Gzip);
    let file = pinned(&sources, &objects, "cut.gz", &stored[..stored.len() - 1]).await;
    let (word, message) = fault(all(open_from(&sources, &file, 0).await.unwrap()).await);
    assert_eq!(word, "damaged");
    assert!(message.starts_with("mem://cut.gz is damaged: the gzip data"), "{message}");
}

#[tokio::test]
async fn a_slice_begins_with_its_header_and_keeps_records_of_two_files_apart() {
    let (sources, objects) = sources();
    let a = pinned(&sources, &objects, "a", b"h\n1\n2").await;
    let b = pinned(&sources, &objects, "b", &compress(b"h\n3\n4\n", Compression::Gzip)).await;
    let segments = vec![segment(0, 2, 3), segment(1, 2, 4)];
    let mut slice = Slice { segments, header: Some(segment(0, 0, 2)), part: 0, records: None, whole_records: true };
    let files = [a, b];
    for (whole_records, expected) in [(true, "h\n1\n2\n3\n4\n"), (false, "h\n1\n23\n4\n")] {
        slice.whole_records = whole_records;
        assert_eq!(all(read_slice(&sources, &files, &slice)).await.unwrap(), expected.as_bytes());
        let together = read_consecutive(&sources, &files, std::slice::from_ref(&slice)).await.unwrap();
        assert_eq!(together, [Bytes::from_static(expected.as_bytes())]);
    }
    slice.segments[0].file = 2;
    assert_eq!(fault(all(read_slice(&sources, &files, &slice)).await).0, "invalid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_are_the_same_one_by_one_and_together(
        lens in prop::collection::vec((1..40_u64, 0..5_u8), 1..30), header: bool, whole_records: bool, packed: bool,
    ) {
        // Consecutive slices of two files, some of which join the next piece to theirs.
        let total: u64 = lens.iter().map(|(len, _)| len).sum();
        let content: Vec<u8> = (0..total).map(|at| if at % 7 == 0 { b'\n' } else { b'a' + (at % 23) as u8 }).collect();
        let border = lens.iter().take(lens.len() / 2).map(|(len, _)| len).sum::<u64>();
        let mut slices: Vec<Slice> = Vec::new();
        let mut at = 0;
        for (len, join) in lens {
            let piece = if at < border { segment(0, at, len) } else { segment(1, at - border, len) };
            match slices.last_mut() {
                Some(slice) if join == 0 => slice.segments.push(piece),
                _ => slices.push(Slice {
                    segments: vec![piece],
                    header: header.then_some(segment(piece.file, 0, 1)),
                    part: 0,
                    records: None,
                    whole_records,
                }),
            }
            at += len;
        }
        let compression = if packed { Compression::Zstd } else { Compression::None };
        block_on(async {
            let (sources, objects) = sources();
            let files = [
                pinned(&sources, &objects, "a", &compress(&content[..border as usize], compression)).await,
                pinned(&sources, &objects, "b", &compress(&content[border as usize..], compression)).await,
            ];
            let together = read_consecutive(&sources, &files, &slices).await.unwrap();
            for (slice, input) in slices.iter().zip(&together) {
                assert_eq!(input, &all(read_slice(&sources, &files, slice)).await.unwrap());
            }
            assert_eq!(together.len(), slices.len());
        });
        prop_assert!(!slices.is_empty());
    }
}
