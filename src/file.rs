//! Opening files that somebody else may have put there.
//!
//! Whoever opens a pipe waits until somebody writes to it, a device may be read without end, and a link leads wherever
//! its maker likes. So a file that is read is opened without waiting and read only if it is one, up to a bound; and one
//! that is ours alone, such as the lock beside the state, is not opened through a link.
//!
//! Promises: nothing here waits for anybody but the disk, and what is refused was neither read nor changed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens the file at `path` to read it. Whatever else is there is refused; a link to a file is one.
pub fn open(path: &Path) -> io::Result<File> {
    // Already to open a device may do something.
    is_file(&std::fs::metadata(path)?)?;
    let file = without_waiting(File::options().read(true), 0).open(path)?;
    // It may have been exchanged meanwhile.
    is_file(&file.metadata()?)?;
    Ok(file)
}

/// Opens or makes the file at `path` as `options` say, for nobody else's eyes. A link is refused, whatever it leads to.
pub fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    is_own(path)?;
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(unix)]
    let no_link = libc::O_NOFOLLOW;
    #[cfg(not(unix))]
    let no_link = 0;
    let file = without_waiting(options, no_link).open(path)?;
    is_file(&file.metadata()?)?;
    Ok(file)
}

/// Fails if something is at `path` that is no file of its own: a link, a pipe, a device, a folder.
pub fn is_own(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(refused("it is a symbolic link, and this file is never one: remove it")),
        Ok(found) => is_file(&found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// The bytes of the file at `path`, if it is one and has at most `most` of them.
pub fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    all_of(open(path)?, most)
}

/// All that there is to read, up to `most` bytes. A file may grow meanwhile, and what the kernel makes up says that it
/// has nothing.
pub fn all_of(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(refused(&format!("it has more than {most} bytes"))) } else { Ok(bytes) }
}

pub fn refused(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

fn is_file(found: &Metadata) -> io::Result<()> {
    if found.is_file() { Ok(()) } else { Err(refused("it is no file")) }
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions, flags: i32) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK | libc::O_NOCTTY | flags)
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions, _: i32) -> &mut OpenOptions {
    options
}
