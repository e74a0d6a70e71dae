//! The program: which command, on which file, and what becomes of a failure.

use crate::args::command;
use crate::dump::{dump, Limits};
use crate::failure::Failure;
use crate::inspect::{inspect, Detail};
use crate::map::map;
use crate::text::escaped;
use crate::verify::verify;
use crate::watched::free_memory;
use clap::ArgMatches;
use hh_image::inspect::open;
use hh_image::{Key, Storage};
use std::ffi::OsString;
use std::io::{sink, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where what there is to say goes.
pub struct Streams<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// Failures, and how far long work is.
    pub err: &'a mut dyn Write,
    /// Whether anybody sees how far it is.
    pub progress: bool,
}

/// Does what the command line says, the program's name first; its exit status.
pub fn run(args: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> u8 {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.render();
            let _ = match error.use_stderr() {
                true => write!(streams.err, "{text}"),
                false => write!(streams.out, "{text}"),
            };
            return error.exit_code() as u8;
        }
    };
    let Some((name, matches)) = matches.subcommand() else {
        return 2;
    };
    let path = matches
        .get_one::<PathBuf>("file")
        .expect("clap asks for it");
    let done = perform(name, path, matches, streams).and_then(|()| Ok(streams.out.flush()?));
    match done {
        Ok(()) => 0,
        // Whoever wanted to read the first lines only has read them.
        Err(failure) if failure.is_broken_pipe() => 0,
        Err(failure) => {
            // What was found out before comes first.
            let _ = streams.out.flush();
            let path = escaped(path.display().to_string().as_bytes());
            let _ = writeln!(streams.err, "hh-shared {name}: {path}: {failure}");
            failure.status()
        }
    }
}

fn perform(
    name: &str,
    path: &Path,
    matches: &ArgMatches,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let file = open(path)?;
    let memory = free_memory();
    match name {
        "inspect" => {
            let is_json = matches.get_flag("json");
            let keys = matches.get_one::<u64>("keys").copied();
            let asked =
                matches.value_source("keys") == Some(clap::parser::ValueSource::CommandLine);
            let detail = Detail {
                is_quick: matches.get_flag("quick"),
                keys: keys.filter(|_| asked || !is_json).unwrap_or(u64::MAX),
                is_json,
                permissions: std::fs::metadata(path)
                    .ok()
                    .map(|found| found.permissions().mode()),
            };
            inspect(&*file, memory, &detail, streams.out)
        }
        "verify" => {
            let mut silence = sink();
            let out: &mut dyn Write = match matches.get_flag("quiet") {
                true => &mut silence,
                false => streams.out,
            };
            let mut told = false;
            let (progress, err) = (streams.progress, &mut *streams.err);
            let verified = verify(&*file, memory, out, |percent| {
                if progress {
                    told = true;
                    let _ = write!(err, "\rhh-shared verify: {percent} %");
                }
            });
            if told {
                let _ = write!(streams.err, "\r\x1b[K");
            }
            verified
        }
        "dump" => {
            let limit = |name| *matches.get_one::<u64>(name).expect("clap has one") as usize;
            let limits = Limits {
                depth: limit("depth"),
                width: limit("width"),
                blocks: limit("blocks"),
            };
            let text = matches
                .get_one::<OsString>("key")
                .expect("clap asks for it");
            let keys = keys_of(text.as_bytes(), matches.get_flag("name"));
            dump(&*file, memory, &keys, &limits, streams.out)
        }
        "map" => {
            let picture = matches.get_one::<PathBuf>("svg").expect("clap asks for it");
            draw(&*file, memory, path, picture, streams)
        }
        _ => unreachable!("clap knows no other command"),
    }
}

/// Draws `file`, which is at `path`, to the file `picture`, which must be another one.
fn draw(
    file: &dyn Storage,
    memory: u64,
    path: &Path,
    picture: &Path,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    if picture == Path::new("-") {
        return map(file, memory, streams.out);
    }
    let which = |path| {
        std::fs::metadata(path)
            .ok()
            .map(|found| (found.dev(), found.ino()))
    };
    if which(path).is_some_and(|this| which(picture) == Some(this)) {
        let text = "the picture would replace the file itself; give --svg another name";
        return Err(Failure::Unreadable(text.into()));
    }
    let mut drawn = Vec::new();
    let result = map(file, memory, &mut drawn);
    if drawn.is_empty() {
        return result;
    }
    match std::fs::write(picture, drawn) {
        Ok(()) => result,
        Err(error) => {
            let name = picture.display();
            let text = format!("{name} can't be written: {error}; give --svg another name");
            Err(Failure::Unreadable(text))
        }
    }
}

/// What somebody may mean who writes `text` for a key, most likely first.
fn keys_of(text: &[u8], is_name: bool) -> Vec<Key> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    let number = number.filter(|_| !is_name).map(Key::Int);
    number.into_iter().chain([Key::Name(text.into())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_a_name_but_is_a_number_first() {
        let name = Key::Name(b"17".to_vec());
        assert_eq!(keys_of(b"17", false), [Key::Int(17), name.clone()]);
        assert_eq!(keys_of(b"17", true), [name]);
        assert_eq!(keys_of(b"\xff", false), [Key::Name(vec![0xff])]);
    }
}
