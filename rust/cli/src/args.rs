//! What may be written behind `hh-shared`, and the help for it; the man page and the completions
//! are made of it.

use clap::{value_parser, Arg, ArgAction, Command};
use std::ffi::OsString;
use std::path::PathBuf;

/// How many keys are listed for people who don't say.
pub(crate) const KEYS: &str = "100";

const ABOUT: &str = "Look into the files that OCaml's Ancient makes";

const LONG_ABOUT: &str = "\
Looks into the files of OCaml values that the module Ancient of hh_shared makes. A file is only \
read; programs that use it are not held up. Nothing in it is trusted: one that was damaged, or made \
to do harm, gives a message.

Exit status: 0 if all is well; 1 if the file is damaged, or no file of Ancient; 2 if it could not be \
read, or not what was asked of it.";

/// The program's command line.
pub fn command() -> Command {
    Command::new("hh-shared")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(inspect())
        .subcommand(verify())
        .subcommand(dump())
        .subcommand(map())
}

fn file() -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .help("A file that Ancient.attach or Ancient.open_file made")
        .value_parser(value_parser!(PathBuf))
        .value_hint(clap::ValueHint::FilePath)
        .required(true)
}

fn number(name: &'static str, default: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("N")
        .value_parser(value_parser!(u64))
        .default_value(default)
}

fn inspect() -> Command {
    Command::new("inspect")
        .about(
            "Say what a file holds: keys, sizes, blocks by tag, OCaml version, address, free space",
        )
        .arg(file())
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("As JSON, with all keys"),
        )
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("Read the key table only, not the values: no tags"),
        )
        .arg(number("keys", KEYS).help("List so many keys at most"))
}

fn verify() -> Command {
    Command::new("verify")
        .about("Check all of a file: every checksum, every block, every pointer")
        .long_about(
            "Checks all of a file: every checksum, every block, every pointer. Reads it once, and \
             takes memory for its largest value. The exit status is 0 if it is good; 1 if it is \
             damaged, with the first fault and its place in the file; 2 if it could not be read.",
        )
        .arg(file())
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .action(ArgAction::SetTrue)
                .help("Say nothing if it is good"),
        )
}

fn dump() -> Command {
    Command::new("dump")
        .about("Show the value of a key as OCaml would write it")
        .long_about(
            "Shows the value of a key as OCaml would write it, as far as that can be told: a file \
             has no types. A constant constructor is a number, another constructor its tag \
             (\"Tag1 (2, 3)\"; of tag 0, only the parentheses), a record a tuple, and what \
             looks like a list is one, also the pair (1, 0). What is met more than once gets a \
             name where it is shown, \"x1 = ...\", and is called by it elsewhere. \"…\" stands \
             for what the limits leave out.",
        )
        .arg(file())
        .arg(
            Arg::new("key")
                .value_name("KEY")
                .help("A number, or a name")
                .value_parser(value_parser!(OsString))
                .required(true),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .action(ArgAction::SetTrue)
                .help("KEY is a name, though it looks like a number"),
        )
        .arg(number("depth", "10").help("Show blocks within blocks, so many at most"))
        .arg(number("width", "24").help(
            "Show so many fields or elements of a block at most, and 4 times as many bytes of a string",
        ))
        .arg(number("blocks", "10000").help("Show so many blocks in all at most"))
}

fn map() -> Command {
    Command::new("map")
        .about("Draw a file: which places its keys have, and what is free")
        .arg(file())
        .arg(
            Arg::new("svg")
                .long("svg")
                .value_name("OUT")
                .help("Where the picture goes; \"-\" is the standard output")
                .value_parser(value_parser!(PathBuf))
                .value_hint(clap::ValueHint::FilePath)
                .required(true),
        )
}
