//! Whether the open files are the ones at the path, and the lock beside them.
//!
//! Where the state file is removed, moved or replaced, SQLite goes on with the files that it has open, which nobody
//! will ever read, and the next agent begins another state at the same path: two would lead, and the journal of one
//! would be nowhere. So the database, its write-ahead log, the index of that and the lock are known by device and
//! inode, and are looked at whenever something is written: some microseconds. Once they are not ours any more they
//! never are again: [`Files::lost`] says why.
//!
//! The lock is the operating system's, on a file beside the state, under the name that the state has once symbolic
//! links are resolved: two names of one state have one lock. In it stands a [`LockRecord`]: of which state it is the
//! lock, of which lease, and how far the journal had come. With that it is a second witness. Who finds the lock free
//! knows by the record that its last holder was the one of the lease in the state, and need not wait; and a journal
//! that ends before the place in the record is an older one.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

/// What a file is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(file: &Metadata) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId { device: file.dev(), inode: file.ino() }
    }

    /// Elsewhere only that a file is there can be told.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> FileId {
        FileId { device: 0, inode: 0 }
    }
}

/// What stands in the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockRecord {
    /// Whose lock it is.
    database: FileId,
    /// Of the lease of its last holder.
    pub fence: i64,
    /// The journal's last record by then.
    pub seq: i64,
    name: String,
}

/// The longest record that is read; ours are a hundred bytes and the file's name.
const LONGEST: u64 = 4096;

/// A file of the state's folder is made for nobody else's eyes.
fn private() -> OpenOptions {
    let mut options = File::options();
    options.create(true).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl LockRecord {
    /// Of one length whatever the figures, so that it is always overwritten whole.
    fn text(&self) -> String {
        let LockRecord { database: FileId { device, inode }, fence, seq, name } = self;
        format!("ringback {device:>20} {inode:>20} {fence:>20} {seq:>20} {name}\n")
    }

    fn parse(text: &str) -> Option<LockRecord> {
        let mut words = text.strip_suffix('\n')?.strip_prefix("ringback ")?.split_ascii_whitespace();
        let database = FileId { device: words.next()?.parse().ok()?, inode: words.next()?.parse().ok()? };
        let (fence, seq) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(LockRecord { database, fence, seq, name: words.collect::<Vec<_>>().join(" ") })
    }
}

/// Whose the lock is.
pub(super) enum Lock {
    /// Ours; what its last holder left in it, if that was of this state.
    Ours(Option<LockRecord>),
    /// Another process has it.
    Theirs,
}

/// The files of an open state.
pub(super) struct Files {
    /// As it is called, and without symbolic links.
    named: PathBuf,
    path: PathBuf,
    /// The database, its write-ahead log and the index of that, as they are open.
    open: Mutex<[(PathBuf, Option<FileId>); 3]>,
    /// The lock while it is ours.
    lock: Mutex<Option<(File, FileId)>>,
    lost: CancellationToken,
    why: OnceLock<String>,
}

impl Files {
    /// Where the state is, if it may be opened there. An absolute path is never one of SQLite's own names.
    pub fn resolve(path: &Path) -> Result<PathBuf, String> {
        let absolute = std::path::absolute(path).map_err(|e| e.to_string())?;
        let Ok(resolved) = std::fs::canonicalize(&absolute) else { return Ok(absolute) };
        let found = std::fs::metadata(&resolved).map_err(|e| e.to_string())?;
        if !found.is_file() {
            return Err("it is no file".to_owned());
        }
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&found) > 1 {
            return Err(
                "the file has several names (hard links), and each would have a journal of its own: leave one \
                        of them (find -samefile shows all), or make the others symbolic links"
                    .to_owned(),
            );
        }
        if is_mount_point(&resolved) {
            return Err(
                "the file is mounted by itself, and what is written beside it is written elsewhere: mount its \
                        folder instead"
                    .to_owned(),
            );
        }
        Ok(resolved)
    }

    /// The files of the state that has just been opened at `path`.
    pub fn opened(path: &Path) -> io::Result<Files> {
        let named = std::path::absolute(path)?;
        let path = std::fs::canonicalize(path)?;
        let beside = |end: &str| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        let open = [path.clone(), beside("-wal"), beside("-shm")].map(|p| {
            let id = std::fs::metadata(&p).ok().map(|m| FileId::of(&m));
            (p, id)
        });
        Ok(Files {
            named,
            path,
            open: Mutex::new(open),
            lock: Mutex::default(),
            lost: CancellationToken::new(),
            why: OnceLock::new(),
        })
    }

    /// The connection was opened anew: the log and its index may have been made anew with it.
    pub fn reopened(&self) {
        for (path, id) in &mut self.files()[1..] {
            *id = std::fs::metadata(path).ok().map(|m| FileId::of(&m));
        }
    }

    fn files(&self) -> MutexGuard<'_, [(PathBuf, Option<FileId>); 3]> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> MutexGuard<'_, Option<(File, FileId)>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    /// Ends when the files are not ours any more.
    pub async fn wait_for_loss(&self) {
        self.lost.cancelled().await;
    }

    /// Why the files are not ours any more, if they are not.
    pub fn lost(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// True if every file that is open is the one at its path, and so is the lock, if it is ours.
    pub fn are_ours(&self) -> bool {
        if self.lost.is_cancelled() {
            return false;
        }
        let mut problem = None;
        let mut database = None;
        for (path, id) in self.files().iter_mut() {
            let now = std::fs::metadata(&*path);
            database = database.or(*id);
            if *path == self.path && now.as_ref().is_ok_and(|found| found.len() == 0) {
                problem = problem.or_else(|| Some(format!("{} was emptied while it was open", path.display())));
            }
            // The log and its index come with the first statement.
            match (*id, &now) {
                (None, Ok(found)) => *id = Some(FileId::of(found)),
                (None, Err(_)) => {}
                (Some(id), _) => problem = problem.or_else(|| difference(path, id, now)),
            }
        }
        // A link may lead to another file now, and the next agent there.
        if let Some(id) = database.filter(|_| self.named != self.path) {
            problem = problem.or_else(|| difference(&self.named, id, std::fs::metadata(&self.named)));
        }
        if let Some((_, id)) = &*self.locked() {
            let path = self.lock_path();
            problem = problem.or_else(|| difference(&path, *id, std::fs::metadata(&path)));
        }
        let Some(problem) = problem else { return true };
        // The first to find it says it.
        let _ = self.why.set(problem);
        self.lost.cancel();
        false
    }

    /// Takes the lock if no other process has it.
    pub fn lock(&self) -> io::Result<Lock> {
        let mut held = self.locked();
        if let Some((file, _)) = &*held {
            return Ok(Lock::Ours(self.read(file)));
        }
        let path = self.lock_path();
        let file = private().truncate(false).open(&path)?;
        if file.try_lock().is_err() {
            return Ok(Lock::Theirs);
        }
        let id = FileId::of(&file.metadata()?);
        if difference(&path, id, std::fs::metadata(&path)).is_some() {
            // Whoever had it has put another one in its place.
            return Ok(Lock::Theirs);
        }
        let record = self.read(&file);
        *held = Some((file, id));
        Ok(Lock::Ours(record))
    }

    /// Puts a lock of ours in the place of one that another process has and does nothing with. It finds so before it
    /// writes anything.
    pub fn take_lock_over(&self) -> io::Result<()> {
        let path = self.lock_path();
        let new = path.with_extension(format!("lock.{}", std::process::id()));
        let file = private().truncate(true).open(&new)?;
        let taken = file.try_lock().map_err(io::Error::from).and_then(|()| {
            std::fs::rename(&new, &path)?;
            Ok(FileId::of(&file.metadata()?))
        });
        match taken {
            Ok(id) => {
                *self.locked() = Some((file, id));
                Ok(())
            }
            Err(error) => {
                let _ = std::fs::remove_file(&new);
                Err(error)
            }
        }
    }

    pub fn unlock(&self) {
        self.locked().take();
    }

    /// What stands in a lock of this state.
    fn read(&self, mut file: &File) -> Option<LockRecord> {
        let mut text = String::new();
        file.rewind().ok()?;
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        LockRecord::parse(&text).filter(|r| r.name == self.name())
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        name.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// True if the record was written beside the file that is open, and not beside one from which it was copied.
    pub fn is_of_this(&self, record: &LockRecord) -> bool {
        self.files()[0].1 == Some(record.database)
    }

    /// Writes into the lock how far we are. It is a witness and no more: without it the next agent waits a little.
    pub fn write_record(&self, fence: i64, seq: i64) -> io::Result<()> {
        let Some(database) = self.files()[0].1 else { return Ok(()) };
        let text = LockRecord { database, fence, seq, name: self.name() }.text();
        let held = self.locked();
        let Some((file, _)) = &*held else { return Ok(()) };
        let mut file = file;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    /// Bytes of the write-ahead log.
    pub fn log_size(&self) -> u64 {
        std::fs::metadata(&self.files()[1].0).map_or(0, |m| m.len())
    }
}

/// What has become of a file that was at `path`.
fn difference(path: &Path, was: FileId, now: io::Result<Metadata>) -> Option<String> {
    let path = path.display();
    match now {
        Ok(found) if FileId::of(&found) == was => None,
        Ok(_) => Some(format!("another file is at {path} than the one that is open")),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Some(format!("{path} was removed or moved while it was open"))
        }
        // Whether it is there cannot be told, so it cannot be relied on.
        Err(e) => Some(format!("{path} cannot be looked at any more: {e}")),
    }
}

/// True if the file itself, and not a folder above it, is mounted there.
fn is_mount_point(path: &Path) -> bool {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return false };
    mounts.lines().filter_map(|l| l.split(' ').nth(4)).any(|at| Path::new(&unescaped(at)) == path)
}

/// Blanks and the like stand as octal numbers there (proc(5)).
fn unescaped(text: &str) -> String {
    let mut out = text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    out = out.replace("\\134", "\\");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_says_whose_it_is() {
        let record = LockRecord {
            database: FileId { device: 64_769, inode: u64::MAX },
            fence: 12,
            seq: 5_123,
            name: "ringback of mine.db".to_owned(),
        };
        let text = record.text();
        assert_eq!(LockRecord::parse(&text), Some(record.clone()));
        assert_eq!(text.len(), LockRecord { fence: i64::MAX, seq: 0, ..record }.text().len());
        for cut in 0..text.len() {
            assert_eq!(LockRecord::parse(&text[..cut]), None, "{cut}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_is_for_its_owners_eyes_also_one_that_was_taken_over() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = std::env::temp_dir().join(format!("ringback-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("ringback.db");
        std::fs::write(&path, "").unwrap();
        let [first, second] = [0; 2].map(|_| Files::opened(&path).unwrap());
        let mode = || std::fs::metadata(first.lock_path()).unwrap().permissions().mode() & 0o777;
        assert!(matches!(first.lock().unwrap(), Lock::Ours(_)));
        assert_eq!(mode(), 0o600);
        assert!(matches!(second.lock().unwrap(), Lock::Theirs));
        second.take_lock_over().unwrap();
        assert_eq!(mode(), 0o600);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn blanks_in_mount_points() {
        assert_eq!(unescaped("/a\\040b\\134040"), "/a b\\040");
    }
}
