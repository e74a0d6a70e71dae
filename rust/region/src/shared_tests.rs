use super::*;
use crate::buffer::unmap;
use crate::registry;

const LAZY: Eager = Eager {
    huge: false,
    prefault: false,
};

fn byte_at(address: usize) -> *mut u8 {
    address as *mut u8
}

fn errno<T: std::fmt::Debug>(result: Result<T>) -> i32 {
    result.unwrap_err().errno
}

#[test]
fn a_buffer_is_seen_wherever_it_is_attached() {
    for eager in [
        LAZY,
        Eager {
            huge: true,
            prefault: true,
        },
    ] {
        let (address, len) = create(STEP + 1, None, eager).unwrap();
        assert_eq!(len, STEP + sys::page_size());
        assert!(WINDOW.contains(&address));
        let (base, fd) = find(address + len - 1).unwrap();
        assert_eq!(base, address);
        assert!(sys::status(fd.as_fd()).unwrap().allocated >= len as u64);
        let (other, other_len) = attach(fd, None, eager).unwrap();
        assert_eq!(other_len, len);
        // SAFETY: both are mapped that long until they are unmapped, last.
        unsafe {
            byte_at(address + len - 1).write(7);
            assert_eq!(byte_at(other + len - 1).read(), 7);
            unmap(address, len).unwrap();
            assert_eq!(byte_at(other + len - 1).read(), 7);
            unmap(other, len).unwrap();
        }
        for gone in [address, other] {
            assert_eq!(registry::find(gone), None);
            assert_eq!(errno(find(gone)), libc::EINVAL);
        }
    }
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let (address, len) = create(1, None, LAZY).unwrap();
    assert_eq!(errno(create(1, Some(address), LAZY)), libc::EEXIST);
    let (_, fd) = find(address).unwrap();
    let copy = fd.try_clone().unwrap();
    assert_eq!(errno(attach(copy, Some(address), LAZY)), libc::EEXIST);
    assert_eq!(find(address).unwrap().0, address, "still known");
    // SAFETY: nobody uses it.
    unsafe { unmap(address, len).unwrap() };
    assert_eq!(attach(fd, Some(address), LAZY).unwrap(), (address, len));
    // SAFETY: nobody uses it.
    unsafe { unmap(address, len).unwrap() };
}

#[test]
fn what_is_no_buffer_is_refused() {
    assert_eq!(errno(create(0, None, LAZY)), libc::EINVAL);
    assert_eq!(errno(create(usize::MAX, None, LAZY)), libc::ENOMEM);
    // Before anything is reserved: that took all memory until the system killed the process.
    assert_eq!(errno(create(1 << 45, None, LAZY)), libc::ENOMEM);
    let unsealed = sys::create_memfd(c"test").unwrap();
    sys::set_len(unsealed.as_fd(), 4096).unwrap();
    assert_eq!(errno(attach(unsealed, None, LAZY)), libc::EINVAL);
    let empty = Memfd::create("test", Inherit::No).unwrap();
    assert_eq!(errno(attach(empty.into(), None, LAZY)), libc::EINVAL);
    let null = sys::open_existing("/dev/null".as_ref()).unwrap();
    assert_eq!(errno(attach(null, None, LAZY)), libc::EINVAL);
    assert_eq!(errno(find(0x1000)), libc::EINVAL);
}

/// Another process's file can have holes: storing there would end this process where there is no
/// memory left.
#[test]
fn holes_are_filled_before_anything_is_mapped_for_good() {
    let sparse = Memfd::create("test", Inherit::No).unwrap();
    sparse.extend(10_000).unwrap();
    let copy = sparse.as_fd().try_clone_to_owned().unwrap();
    let (address, len) = attach(copy, None, LAZY).unwrap();
    assert_eq!(len, 10_000, "not whole pages");
    let status = sys::status(sparse.as_fd()).unwrap();
    assert!(status.allocated >= 10_000 && status.len == 10_000);
    assert_eq!(errno(find(address + len)), libc::EINVAL);
    // SAFETY: nobody uses it.
    unsafe { unmap(address, len).unwrap() };
}
