//! What is committed is what the command line makes. After a change of it:
//! `HH_SHARED_WRITE=1 cargo test -p cli-tests` in `test/rust`.

use cli_tests::files;
use std::fs;
use std::path::Path;

#[test]
fn man_pages_and_completions_are_of_this_command_line() {
    let share = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../rust/cli/share");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let made = files(&folder).unwrap();
    if std::env::var_os("HH_SHARED_WRITE").is_some() {
        for (name, text) in &made {
            fs::write(share.join(name), text).unwrap();
        }
    }
    let mut committed: Vec<String> = fs::read_dir(&share)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    committed.sort();
    assert!(committed.iter().eq(made.keys()), "{committed:?}");
    for (name, text) in &made {
        let there = fs::read(share.join(name)).unwrap();
        let wanted = String::from_utf8_lossy(text);
        assert_eq!(String::from_utf8_lossy(&there), wanted, "{name}");
    }
}
