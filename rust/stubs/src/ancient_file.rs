//! The file half of the OCaml module `Ancient`. Here stands what its stubs share: the files by
//! their numbers, keys, exceptions. `attach` opens and closes files, `share` changes them, `get`
//! finds values, `look` tells about them, and `proxy` is what OCaml holds of a value.
//!
//! What an OCaml program holds of a file is a number, so that nothing of ours hangs on a finaliser:
//! a file stays attached until `detach`, as in the original. What is marked in memory is in
//! [`crate::ancient`].

mod attach;
mod get;
mod look;
pub(crate) mod proxy;
mod share;

use crate::raise::Exn;
use hh_graph::block;
use hh_graph::header::{self, WORD};
use hh_image::{Error, Image, Key};
use ocaml_sys::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The attached files by their numbers; a number is never given twice. The lock is held for a
/// look only, never while a domain waits for anything.
static FILES: Mutex<Vec<Option<Arc<Image>>>> = Mutex::new(Vec::new());

fn files() -> MutexGuard<'static, Vec<Option<Arc<Image>>>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file with this number.
fn file(md: Value, function: &str) -> Result<Arc<Image>, Exn> {
    let found = files().get((md >> 1) as usize).cloned().flatten();
    found.ok_or_else(|| Exn::InvalidArgument(format!("{function}: the file is detached")))
}

/// The OCaml exception for `error` in `function`.
fn exn(function: &'static str, error: Error) -> Exn {
    match error {
        Error::System(error) => {
            let argument = format!("{}: {}", error.op, error.context);
            Exn::Unix {
                errno: error.errno,
                function,
                argument,
            }
        }
        Error::Invalid(text) => Exn::InvalidArgument(format!("{function}: {text}")),
        other => Exn::Failure(format!("{function}: {other}")),
    }
}

/// A Rust copy of an OCaml string.
///
/// # Safety
/// - `string` is one; the caller holds the runtime's lock.
unsafe fn bytes_of(string: Value) -> Vec<u8> {
    // SAFETY: a string has at least one word, and its length lies within its words.
    unsafe {
        let first = string as *const usize;
        let words = header::wosize(first.byte_sub(WORD).read());
        let length = block::string_length(words, first.add(words - 1).read());
        std::slice::from_raw_parts(first.cast::<u8>(), length).to_vec()
    }
}

/// `type key = Int of int | Name of string`
///
/// # Safety
/// - `key` is one; the caller holds the runtime's lock.
unsafe fn key_of(key: Value, function: &str) -> Result<Key, Exn> {
    // SAFETY: both constructors have one field.
    let (tag, field) = unsafe {
        let first = key as *const Value;
        (
            header::tag(first.byte_sub(WORD).cast::<usize>().read()),
            first.read(),
        )
    };
    if tag == 1 {
        // SAFETY: a name.
        return Ok(Key::Name(unsafe { bytes_of(field) }));
    }
    match u64::try_from(field >> 1) {
        Ok(number) => Ok(Key::Int(number)),
        Err(_) => Err(Exn::InvalidArgument(format!(
            "{function}: key {} is negative",
            field >> 1
        ))),
    }
}

/// Words and texts on their way to OCaml, which has a decoder for them (`Packed` in ancient.ml): a
/// structured answer made with one allocation.
#[derive(Debug, Default)]
struct Packed(Vec<u8>);

impl Packed {
    /// An integer; one that OCaml's don't hold becomes the largest.
    fn int(mut self, number: u64) -> Packed {
        let number = number.min((1 << 62) - 1);
        self.0.extend(number.to_le_bytes());
        self
    }

    fn text(self, text: &[u8]) -> Packed {
        let mut packed = self.int(text.len() as u64);
        packed.0.extend(text);
        packed
    }

    fn key(self, key: &Key) -> Packed {
        match key {
            Key::Int(number) => self.int(0).int(*number),
            Key::Name(name) => self.int(1).text(name),
        }
    }

    /// The OCaml string. Allocates on the OCaml heap and may collect.
    ///
    /// # Safety
    /// - the caller holds the runtime's lock.
    unsafe fn into_ocaml(self) -> Value {
        // SAFETY: so many bytes are there. Should the allocation raise, the buffer is lost, once.
        unsafe { ocaml_sys::caml_alloc_initialized_string(self.0.len(), self.0.as_ptr().cast()) }
    }
}
