//! Atomic operations on words of a region, for the OCaml module `Rszshm`: no allocation, no
//! exception, a few nanoseconds.
//!
//! They check nothing: `rszshm.ml` has compared the offset with a capacity that the region
//! had. That is enough, also when another domain detaches meanwhile: the addresses stay
//! this process's, readable and writable, as long as the handle lives.
//!
//! All are sequentially consistent and partners of each other, in any process.

use hh_region::sync::process::{AtomicU32, AtomicU64, Ordering::SeqCst};
use ocaml_interop::{OCaml, OCamlInt, OCamlRuntime};

use crate::rszshm::{borrowed, Handle};

/// The address `offset` bytes into the data.
fn at<T>(handle: &OCaml<'_, Handle>, offset: OCaml<OCamlInt>) -> *mut T {
    borrowed(handle)
        .data()
        .wrapping_add(offset.to_i64() as usize)
        .cast()
}

fn word<'a>(handle: &'a OCaml<'_, Handle>, offset: OCaml<OCamlInt>) -> &'a AtomicU64 {
    // SAFETY: in the region and a multiple of 8, by the check in `rszshm.ml`; the data begins
    // on a cache line; others access the word atomically or as bytes, in OCaml.
    unsafe { AtomicU64::from_ptr(at(handle, offset)) }
}

fn half<'a>(handle: &'a OCaml<'_, Handle>, offset: OCaml<OCamlInt>) -> &'a AtomicU32 {
    // SAFETY: as in `word`, with a multiple of 4.
    unsafe { AtomicU32::from_ptr(at(handle, offset)) }
}

/// The int of a word: the uppermost of its 64 bits is lost.
fn int(n: u64) -> OCaml<'static, OCamlInt> {
    // SAFETY: tagging shifts; what does not fit is lost, as said.
    unsafe { OCaml::of_i64_unchecked(n as i64) }
}

/// The int of a half word, with its sign.
fn int_of_half(n: u32) -> OCaml<'static, OCamlInt> {
    int(i64::from(n as i32) as u64)
}

/// `external unsafe_load : handle -> int -> int = "hh_rszshm_load" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_load(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    int(word(&handle, offset).load(SeqCst))
}

/// `external unsafe_store : handle -> int -> int -> unit = "hh_rszshm_store" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_store(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    value: OCaml<OCamlInt>,
) -> OCaml<()> {
    word(&handle, offset).store(value.to_i64() as u64, SeqCst);
    OCaml::unit()
}

/// `external unsafe_fetch_add : handle -> int -> int -> int = "hh_rszshm_fetch_add" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_fetch_add(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    n: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    int(word(&handle, offset).fetch_add(n.to_i64() as u64, SeqCst))
}

/// `external unsafe_compare_exchange : handle -> int -> int -> int -> bool
///  = "hh_rszshm_compare_exchange" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_compare_exchange(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    expected: OCaml<OCamlInt>,
    desired: OCaml<OCamlInt>,
) -> OCaml<bool> {
    let (expected, desired) = (expected.to_i64() as u64, desired.to_i64() as u64);
    let won = word(&handle, offset).compare_exchange(expected, desired, SeqCst, SeqCst);
    OCaml::of_bool(won.is_ok())
}

/// `external unsafe_load32 : handle -> int -> int = "hh_rszshm_load32" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_load32(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    int_of_half(half(&handle, offset).load(SeqCst))
}

/// `external unsafe_store32 : handle -> int -> int -> unit = "hh_rszshm_store32" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_store32(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    value: OCaml<OCamlInt>,
) -> OCaml<()> {
    half(&handle, offset).store(value.to_i64() as u32, SeqCst);
    OCaml::unit()
}

/// `external unsafe_fetch_add32 : handle -> int -> int -> int = "hh_rszshm_fetch_add32"
///  [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_fetch_add32(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    n: OCaml<OCamlInt>,
) -> OCaml<OCamlInt> {
    int_of_half(half(&handle, offset).fetch_add(n.to_i64() as u32, SeqCst))
}

/// `external unsafe_compare_exchange32 : handle -> int -> int -> int -> bool
///  = "hh_rszshm_compare_exchange32" [@@noalloc]`
#[ocaml_interop::export(noalloc)]
fn hh_rszshm_compare_exchange32(
    _cr: &OCamlRuntime,
    handle: OCaml<Handle>,
    offset: OCaml<OCamlInt>,
    expected: OCaml<OCamlInt>,
    desired: OCaml<OCamlInt>,
) -> OCaml<bool> {
    let (expected, desired) = (expected.to_i64() as u32, desired.to_i64() as u32);
    let won = half(&handle, offset).compare_exchange(expected, desired, SeqCst, SeqCst);
    OCaml::of_bool(won.is_ok())
}
