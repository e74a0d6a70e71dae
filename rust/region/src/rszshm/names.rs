//! The names of a region's file: templates for a new directory, and removal.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::sys;

/// Where a region's file is made when no path is given.
pub const DEFAULT: &str = "/dev/shm/rszshm_XXXXXX/0";

/// A path taken apart at its last slash.
fn directory_of(path: &Path) -> Option<(&[u8], &[u8])> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|&byte| byte == b'/')?;
    Some((&bytes[..slash], &bytes[slash + 1..]))
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Whether the directory part of `path` ends with `XXXXXX`, to be replaced.
pub fn is_template(path: &Path) -> bool {
    directory_of(path).is_some_and(|(directory, _)| directory.ends_with(b"XXXXXX"))
}

/// Makes the directory of a template; the path inside of it. Any other path is returned
/// as it is.
///
/// # Errors
/// mkdtemp's: `ENOENT`, `EACCES`, ….
pub fn instantiate(path: &Path) -> Result<PathBuf> {
    match directory_of(path) {
        Some((directory, file)) if directory.ends_with(b"XXXXXX") => {
            let made = sys::make_unique_directory(path_of(directory))?;
            Ok(made.join(path_of(file)))
        }
        _ => Ok(path.to_path_buf()),
    }
}

/// Removes the file's name; who has it attached keeps it.
pub fn unlink(path: &Path) -> Result<()> {
    sys::unlink(path)
}

/// Removes the directory that the file was in.
///
/// # Errors
/// `ENOTDIR` where `path` names no directory; rmdir's: `ENOTEMPTY`, `ENOENT`, ….
pub fn remove_directory(path: &Path) -> Result<()> {
    match directory_of(path) {
        Some((directory, _)) => sys::remove_directory(path_of(directory)),
        None => Err(Error::new(
            libc::ENOTDIR,
            "rmdir",
            format!("{}: no directory", path.display()),
        )),
    }
}

/// A file and a directory being made, removed again unless that succeeds.
pub(super) struct Unfinished {
    path: PathBuf,
    directory: bool,
    file: bool,
}

impl Unfinished {
    /// The directory of a template has been made, of nothing else.
    pub(super) fn new(path: PathBuf, directory: bool) -> Unfinished {
        Unfinished {
            path,
            directory,
            file: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has been made too.
    pub(super) fn has_file(&mut self) {
        self.file = true;
    }

    /// All is well: what was made stays.
    pub(super) fn finish(mut self) -> PathBuf {
        (self.file, self.directory) = (false, false);
        std::mem::take(&mut self.path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Failing to clean up must not hide why there is something to clean up.
        if self.file {
            let _ = unlink(&self.path);
        }
        if self.directory {
            let _ = remove_directory(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_directories_that_end_with_six_x() {
        for (path, expected) in [
            ("/dev/shm/rszshm_XXXXXX/0", true),
            ("XXXXXX/0", true),
            ("/a/XXXXXX/b/0", false),
            ("/a/XXXXXX", false),
            ("XXXXXX", false),
            ("/a/XXXXX/0", false),
            ("", false),
        ] {
            assert_eq!(is_template(path.as_ref()), expected, "{path}");
        }
    }

    #[test]
    fn a_bare_name_has_no_directory_to_remove() {
        assert_eq!(
            remove_directory("x".as_ref()).unwrap_err().errno,
            libc::ENOTDIR
        );
        assert_eq!(
            remove_directory("".as_ref()).unwrap_err().errno,
            libc::ENOTDIR
        );
    }
}
