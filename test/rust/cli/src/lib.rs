//! The man pages and the shells' completions of `hh-shared`, made of its command line. They are
//! committed, under `rust/cli/share`, so that a release is built without what makes them.

use clap_complete::{generate, Shell};
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// The files, by their names.
///
/// # Errors
/// Where `folder`, which exists and is empty, can't be written.
pub fn files(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    // No page of its own for `help`.
    clap_mangen::generate_to(hh_cli::command().disable_help_subcommand(true), folder)?;
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        files.insert(name, fs::read(file.path())?);
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut text = Vec::new();
        generate(shell, &mut hh_cli::command(), "hh-shared", &mut text);
        files.insert(format!("hh-shared.{shell}"), text);
    }
    Ok(files)
}
