//! How a stub ends with an OCaml exception.
//!
//! `caml_raise` does not unwind: it jumps, and every Rust frame between the stub and the OCaml
//! handler vanishes without running a destructor. So a stub's work happens in a function that
//! returns `Result<T, Exn>` and has dropped all it owned by then; [`settle`] is its last act.
//! [`boundary`] is the same for stubs that are plain `extern "C"` functions, where no macro
//! catches a panic.

use ocaml_sys::{caml_alloc_initialized_string, caml_named_value, Value};
use std::ffi::{c_char, c_int, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};

extern "C" {
    /// Raises `Unix.Unix_error`; of OCaml's own `unix` library, which every module depends on.
    fn caml_unix_error(errno: c_int, function: *const c_char, argument: Value);
    /// The `Unix.error` for a system's number.
    fn caml_unix_error_of_code(errno: c_int) -> Value;
}

/// The exceptions that stubs raise.
#[derive(Debug)]
pub(crate) enum Exn {
    /// `Not_found`
    NotFound,
    /// `Out_of_memory`
    OutOfMemory,
    /// `Invalid_argument text`
    InvalidArgument(String),
    /// `Failure text`
    Failure(String),
    /// `Unix.Unix_error (code, function, argument)`
    Unix {
        /// The system's number, e.g. `libc::ENOSPC`.
        errno: c_int,
        /// The OCaml function that was called, e.g. `"Rszshm.grow"`.
        function: &'static str,
        /// The path, or what else tells which thing failed and why.
        argument: String,
    },
    /// An exception that OCaml code raised while this stub ran it. Not rooted: nothing is
    /// allocated between its birth and its settling.
    Raised(Value),
    /// An exception that OCaml registered with `Callback.register_exception`, by its name.
    Registered(&'static CStr, Payload),
}

/// The arguments of a registered exception.
#[derive(Debug)]
pub(crate) enum Payload {
    /// A constant constructor.
    None,
    /// An `int` and an `int64`.
    IntInt64(isize, i64),
    /// A `Unix.error`, by the system's number for it.
    UnixError(c_int),
}

/// The value of `result`, or its exception: then this does not return.
///
/// The last act of a stub: the caller must own nothing that has a destructor.
pub(crate) fn settle<T>(result: Result<T, Exn>) -> T {
    match result {
        Ok(value) => value,
        Err(exn) => raise(exn),
    }
}

/// Runs `body` and settles its result; a panic in it becomes `Failure`.
///
/// For plain `extern "C"` stubs; `#[ocaml_interop::export]` catches panics itself.
pub(crate) fn boundary<T>(body: impl FnOnce() -> Result<T, Exn>) -> T {
    let result = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => {
            let text = match panic.downcast_ref::<&str>() {
                Some(text) => (*text).to_string(),
                None => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
            };
            drop(panic);
            Err(Exn::Failure(format!("hh_shared: internal error: {text}")))
        }
    };
    settle(result)
}

/// An OCaml string with the bytes of `text`, which is dropped.
fn consume(text: String) -> Value {
    // SAFETY:
    // - `text` holds `text.len()` initialised bytes at its pointer.
    // - a stub holds the runtime's lock, so it may allocate.
    unsafe { caml_alloc_initialized_string(text.len(), text.as_ptr().cast()) }
}

/// Raises `exn` and does not return. Whatever `exn` owned is dropped before.
fn raise(exn: Exn) -> ! {
    // SAFETY:
    // - every caller is a stub, which holds the runtime's lock.
    // - no Rust value with a destructor is alive in this frame at any of the raising calls:
    //   `consume` has dropped the strings, the rest is plain words. The callers' contract says
    //   the same of their frames.
    // - a freshly made OCaml string is passed straight to the function that raises, which roots
    //   it itself; nothing allocates in between.
    unsafe {
        match exn {
            Exn::NotFound => ocaml_sys::caml_raise_not_found(),
            Exn::OutOfMemory => ocaml_sys::caml_raise_out_of_memory(),
            Exn::InvalidArgument(text) => ocaml_sys::caml_invalid_argument_value(consume(text)),
            Exn::Failure(text) => ocaml_sys::caml_failwith_value(consume(text)),
            Exn::Unix {
                errno,
                function,
                argument,
            } => {
                // The runtime wants a C string; function names are short and ours.
                let mut name = [0u8; 64];
                let length = function.len().min(name.len() - 1);
                name[..length].copy_from_slice(&function.as_bytes()[..length]);
                caml_unix_error(errno, name.as_ptr().cast(), consume(argument));
            }
            Exn::Raised(exception) => ocaml_sys::caml_raise(exception),
            Exn::Registered(name, payload) => raise_registered(name, payload),
        }
    }
    unreachable!("an OCaml exception was raised")
}

/// Raises the exception registered as `name`; `Failure` if the program registered none.
///
/// # Safety
/// - The caller holds the runtime's lock.
/// - The caller owns nothing that has a destructor.
unsafe fn raise_registered(name: &'static CStr, payload: Payload) {
    // SAFETY: as this function's contract; the named cell is read again after each allocation,
    // because the cell stays where it is while the exception in it may move.
    unsafe {
        let cell = caml_named_value(name.as_ptr());
        if cell.is_null() {
            let text = format!("hh_shared: exception {name:?} is not registered");
            ocaml_sys::caml_failwith_value(consume(text));
            return;
        }
        match payload {
            Payload::None => ocaml_sys::caml_raise_constant(*cell),
            Payload::UnixError(errno) => {
                let argument = caml_unix_error_of_code(errno);
                ocaml_sys::caml_raise_with_arg(*cell, argument);
            }
            Payload::IntInt64(int, int64) => {
                let boxed = ocaml_sys::caml_copy_int64(int64);
                let mut arguments = [ocaml_sys::val_int(int), boxed];
                ocaml_sys::caml_raise_with_args(*cell, 2, arguments.as_mut_ptr());
            }
        }
    }
}
