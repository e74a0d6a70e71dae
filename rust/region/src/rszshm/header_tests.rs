//! What [`super`] accepts and refuses.

use super::*;

const FIXED: Fixed = Fixed {
    max: 1 << 30,
    addr: 0x4000_0000_0000,
};
const FLEN: usize = 8192;

#[test]
fn what_is_encoded_is_decoded() {
    let bytes = encode(FIXED, FLEN);
    assert_eq!(decode(&bytes, FLEN as u64), Ok((FIXED, FLEN)));
    assert_eq!(decode(&bytes, u64::MAX), Ok((FIXED, FLEN)));
}

#[test]
fn the_layout_is_written_down() {
    let bytes = encode(FIXED, FLEN);
    assert_eq!(bytes[0..8], 8192u64.to_ne_bytes());
    assert_eq!(bytes[8..16], (1u64 << 30).to_ne_bytes());
    assert_eq!(bytes[16..24], 0x4000_0000_0000u64.to_ne_bytes());
    assert_eq!(&bytes[24..32], b"rszshm64");
    assert_eq!(bytes[32..36], 1u32.to_ne_bytes());
    assert_eq!(bytes[36..40], 64u32.to_ne_bytes());
}

#[test]
fn every_prefix_is_refused() {
    let bytes = encode(FIXED, FLEN);
    for len in 0..LEN {
        assert_eq!(
            decode(&bytes[..len], FLEN as u64).unwrap_err().errno,
            libc::ENODATA
        );
    }
}

#[test]
fn every_changed_bit_beyond_the_length_is_refused() {
    for bit in 64..8 * LEN {
        let mut bytes = encode(FIXED, FLEN);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            decode(&bytes, u64::MAX).unwrap_err().errno,
            libc::ENODATA,
            "bit {bit}"
        );
    }
}

#[test]
fn a_length_is_whole_pages_of_the_file_and_the_claim() {
    let file = 1 << 20;
    for flen in [
        0,
        1,
        64,
        4095,
        4097,
        file + 4096,
        FIXED.max as u64 + 4096,
        u64::MAX,
        1 << 63,
    ] {
        let mut bytes = encode(FIXED, FLEN);
        bytes[..8].copy_from_slice(&flen.to_ne_bytes());
        assert_eq!(
            decode(&bytes, file).unwrap_err().errno,
            libc::ENODATA,
            "{flen:#x}"
        );
    }
}

#[test]
fn a_span_is_whole_pages_in_user_space() {
    let page = 4096;
    for (max, addr) in [
        (0, 0x4000_0000_0000),
        (page, 0),
        (page, page),
        (page, 0xF000),
        (page + 1, 0x4000_0000_0000),
        (page, 0x4000_0000_0001),
        (page, USER_SPACE_END),
        (2 * page, USER_SPACE_END - page),
        (usize::MAX - page + 1, 2 * page),
        (USER_SPACE_END, page),
    ] {
        let bytes = encode(Fixed { max, addr }, page);
        assert_eq!(
            decode(&bytes, u64::MAX).unwrap_err().errno,
            libc::ENODATA,
            "{max:#x} {addr:#x}"
        );
    }
}
