//! This machine: whether the state can be written where it is to lie, and on what it lies.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::core::check::facts::{Looked, StateFound, Unlooked};

/// Looks at the place of the state.
pub(super) fn state(path: &Path) -> StateFound {
    let problem = problem(path).err().map(|e| e.to_string());
    StateFound { path: path.display().to_string(), problem, kind: kind(path), free: free(path) }
}

/// The folder in which the state lies, or is to lie.
fn folder(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    // A symbolic link is followed, as the store does.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    Ok(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
}

/// Fails if no agent could keep its state there.
fn problem(path: &Path) -> io::Result<()> {
    let said = |what: String| move |e: io::Error| io::Error::other(format!("{what}: {e}"));
    if path.exists() {
        may_write(path).map_err(said("the file cannot be written".to_owned()))?;
    }
    let folder = folder(path)?;
    let place = folder.display();
    let tried = || {
        let nth = TRIALS.fetch_add(1, Ordering::Relaxed);
        let trial = folder.join(format!(".ringback-check-{}-{nth}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&trial)?;
        let written = file.write_all(b"ringback check\n").and_then(|()| file.sync_all());
        std::fs::remove_file(&trial)?;
        written
    };
    // One that was killed may have left its file behind, and another process has had this one's number since.
    let is_taken = |result: &io::Result<()>| result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::AlreadyExists);
    let result = (0..LEFT_BEHIND).map(|_| tried()).find(|result| !is_taken(result)).unwrap_or(Ok(()));
    result.map_err(said(format!("nothing can be written in the folder {place}")))
}

/// Fails if we may not read and write the file. It is asked for and not tried: when a process closes any descriptor of
/// a file, all its locks on that file are gone (fcntl(2)), SQLite's among them, and an agent that looks at its own
/// state would leave it to the next program that opens it, a backup say, to tidy away the write-ahead log.
#[cfg(unix)]
fn may_write(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(path, Access::READ_OK | Access::WRITE_OK)?)
}

#[cfg(not(unix))]
fn may_write(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path).map(drop)
}

/// Files that were left behind and are passed over. Where there are so many, files can be written.
const LEFT_BEHIND: usize = 8;

/// How many trials this process has made.
static TRIALS: AtomicU32 = AtomicU32::new(0);

/// The file system on which it lies.
fn kind(path: &Path) -> Looked<String> {
    let untold = |why: String| Unlooked::optional(format!("on what the state lies cannot be told here: {why}"));
    let folder = folder(path).map_err(|e| untold(e.to_string()))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| untold(e.to_string()))?;
    kind_of(&mounts, &folder).ok_or_else(|| untold("no mount point leads to it".to_owned()))
}

/// How much room is left for an ordinary user where it lies, in bytes.
#[cfg(unix)]
fn free(path: &Path) -> Looked<u64> {
    let untold = |why: String| Unlooked::optional(format!("how much room is left for the state cannot be told: {why}"));
    let folder = folder(path).map_err(|e| untold(e.to_string()))?;
    let found = rustix::fs::statvfs(&folder).map_err(|e| untold(e.to_string()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Looked<u64> {
    Err(Unlooked::optional("how much room is left for the state is not looked at on this system"))
}

/// Of the file system whose mount point is the nearest above `folder`, as proc(5) lists them; a later one hides an
/// earlier one at the same place.
fn kind_of(mounts: &str, folder: &Path) -> Option<String> {
    let lines = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        Some((point, after.split(' ').next()?.to_owned()))
    });
    let above = lines.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| Path::new(point).components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                          30 22 0:26 / /dev/shm rw - tmpfs tmpfs rw\n\
                          40 22 0:50 / /mnt/my\\040share rw - nfs4 server:/x rw\n\
                          41 22 0:51 / /mnt rw - xfs /dev/sdb1 rw\n";

    #[test]
    fn the_nearest_mount_point_counts() {
        let kind = |folder: &str| kind_of(MOUNTS, Path::new(folder));
        assert_eq!(kind("/var/lib/ringback").as_deref(), Some("ext4"));
        assert_eq!(kind("/dev/shm/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/dev/shmx").as_deref(), Some("ext4"));
        assert_eq!(kind("/mnt/my share/a").as_deref(), Some("nfs4"));
        assert_eq!(kind_of("", Path::new("/")), None);
    }

    #[test]
    fn a_state_that_cannot_be_written_is_told_and_nothing_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("ringback-machine-{}", std::process::id()));
        assert!(state(&folder.join("ringback.db")).problem.is_some_and(|p| p.contains("nothing can be written")));
        std::fs::create_dir_all(&folder).unwrap();
        let found = state(&folder.join("ringback.db"));
        assert_eq!(found.problem, None);
        assert!(found.free.is_ok_and(|bytes| bytes > 0));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(&folder).unwrap();
    }
}
