//! Another project's Rust static library, as it would be found in the same executable: it brings
//! its own copy of Rust's standard library with every symbol global, and it panics and recovers.

/// `external answer : int -> int = "second_rust_answer"`: an OCaml int and twice it; an odd int
/// is reached through a caught panic.
///
/// The panic's message must still reach stderr: the hook of the other library is not ours.
#[no_mangle]
pub extern "C" fn second_rust_answer(tagged: isize) -> isize {
    let number = tagged >> 1;
    let doubled = std::panic::catch_unwind(|| {
        if number % 2 != 0 {
            panic!("second_rust: odd");
        }
        let text: Vec<String> = (0..2).map(|_| number.to_string()).collect();
        text.iter().map(|t| t.parse::<isize>().unwrap()).sum()
    })
    .unwrap_or(number * 2);
    doubled << 1 | 1
}
