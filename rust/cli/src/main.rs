//! The program `hh-shared`; see the library.
#![forbid(unsafe_code)]

use std::io::{stderr, stdout, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = BufWriter::new(stdout().lock());
    let mut streams = hh_cli::Streams {
        out: &mut out,
        err: &mut stderr().lock(),
        progress: stderr().is_terminal(),
    };
    let status = hh_cli::run(std::env::args_os(), &mut streams);
    // Whoever reads may have gone; that was said already, or is none of our business.
    let _ = out.flush();
    ExitCode::from(status)
}
