use proptest::prelude::*;

use super::*;
use crate::inputs::decompress;

fn decoded(bytes: &[u8], compression: Compression, chunk: usize) -> Result<Vec<u8>> {
    block_on(all(decompress(streamed(bytes, chunk), compression)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_member_is_read_however_the_bytes_arrive(
        members in prop::collection::vec(prop::collection::vec(0..4_u8, 0..2_000), 1..5), chunk in 1..300_usize,
    ) {
        for compression in COMPRESSIONS {
            let stored: Vec<u8> = members.iter().flat_map(|member| compress(member, compression)).collect();
            prop_assert_eq!(Compression::sniff(&stored), compression);
            prop_assert_eq!(decoded(&stored, compression, chunk).expect("sound data"), members.concat());
        }
    }
}

#[test]
fn data_that_is_cut_off_anywhere_is_damaged() {
    let content: Vec<u8> = (0..3_000_u32).flat_map(u32::to_le_bytes).collect();
    for compression in COMPRESSIONS {
        let member = compress(&content, compression);
        let stored = [&member[..], &member].concat();
        let cuts = (0..40).map(|at| at * stored.len() / 40).filter(|cut| *cut != member.len());
        for cut in cuts.chain([member.len() - 1, member.len() + 1, stored.len() - 1]) {
            let (word, message) = fault(decoded(&stored[..cut], compression, 1_000));
            assert_eq!(word, "damaged", "{compression:?} cut at {cut}");
            assert!(message.contains("damaged"), "{message}");
        }
        assert_eq!(decoded(&stored[..member.len()], compression, 1_000).unwrap(), content);
    }
}

#[test]
fn what_follows_the_last_member_is_not_passed_over() {
    for compression in COMPRESSIONS {
        let stored = [&compress(b"sound", compression)[..], b"garbage that is long enough to be a header"].concat();
        assert_eq!(fault(decoded(&stored, compression, 7)).0, "damaged", "{compression:?}");
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    let mut stored = compress(b"some content, some content", Compression::Gzip);
    let place = stored.len() - 6;
    stored[place] ^= 1;
    assert_eq!(fault(decoded(&stored, Compression::Gzip, 100)).0, "damaged");
}

/// A frame that says it has ten bytes and ends with an empty block: the library alone takes it when it comes in pieces.
#[test]
fn a_frame_that_is_shorter_than_it_says_is_damage_however_it_arrives() {
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 10, 1, 0, 0];
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any", &compress(b"sound", Compression::Zstd)].concat();
    for chunk in 1..=frame.len() {
        assert_eq!(fault(decoded(&frame, Compression::Zstd, chunk)).0, "damaged", "{chunk}");
        assert_eq!(decoded(&skipped, Compression::Zstd, chunk).unwrap(), b"sound");
    }
}

#[test]
fn a_gigabyte_of_zeroes_comes_in_small_pieces() {
    let zeroes = vec![0; 8 << 20];
    for compression in COMPRESSIONS {
        let stored = compress(&zeroes, compression);
        let pieces: Vec<usize> =
            block_on(decompress(streamed(&stored, usize::MAX), compression).map_ok(|piece| piece.len()).try_collect())
                .unwrap();
        assert_eq!(pieces.iter().sum::<usize>(), zeroes.len());
        assert!(pieces.iter().all(|len| *len <= 128 << 10), "{compression:?}");
    }
}
