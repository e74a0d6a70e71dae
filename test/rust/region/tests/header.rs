//! A region's header: what was written is read back, and nothing else is believed.

use hh_region::rszshm::header::{decode, encode, Fixed, LEN};
use proptest::prelude::*;

const PAGE: usize = 4096;
const ENODATA: i32 = 61;

prop_compose! {
    fn header()(pages in 1..1usize << 24, addr in 16..1usize << 34, flen in 1..1usize << 24)
        -> (Fixed, usize) {
        let fixed = Fixed { max: pages * PAGE, addr: addr * PAGE };
        (fixed, flen.min(pages) * PAGE)
    }
}

fn refused(bytes: &[u8], file_len: u64) -> bool {
    matches!(decode(bytes, file_len), Err(error) if error.errno == ENODATA && !error.context.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read((fixed, flen) in header(), more in 0..1u64 << 40) {
        let bytes = encode(fixed, flen);
        assert_eq!(decode(&bytes, flen as u64 + more), Ok((fixed, flen)));
        assert!(refused(&bytes, flen as u64 - 1));
        for len in 0..LEN {
            assert!(refused(&bytes[..len], flen as u64));
        }
    }

    #[test]
    fn changed_bits_are_seen((fixed, flen) in header()) {
        for bit in 0..8 * LEN {
            let mut bytes = encode(fixed, flen);
            bytes[bit / 8] ^= 1 << (bit % 8);
            match decode(&bytes, flen as u64) {
                Err(error) => assert_eq!(error.errno, ENODATA),
                // The length grows, so no checksum covers it: a shorter one is a region in
                // its youth.
                Ok((same, shorter)) => assert!(bit < 64 && same == fixed && shorter < flen),
            }
        }
    }

    #[test]
    fn changed_bytes_are_seen(
        (fixed, flen) in header(),
        changes in prop::collection::vec((8..LEN, 1..=255u8), 1..4),
    ) {
        let good = encode(fixed, flen);
        let mut bytes = good;
        for (at, change) in changes {
            bytes[at] ^= change;
        }
        assert!(bytes == good || refused(&bytes, flen as u64));
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        assert!(refused(&bytes, u64::MAX));
    }
}
