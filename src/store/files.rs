//! Whether the open files are the ones at the path, and the lock beside them.
//!
//! Where the state file is removed, moved or replaced, SQLite goes on with the files that it has open, which nobody
//! will ever read, and the next agent begins another state at the same path: two would lead, and the journal of one
//! would be nowhere. So the database, its write-ahead log, the index of that and the lock are known by device and
//! inode, and are looked at whenever something is written: some microseconds. So are their sizes: nobody cuts anything
//! off them but SQLite, which cuts the log when it has taken it into the database. Once they are not ours any more they
//! never are again: [`Files::lost`] says why.
//!
//! What cannot be helped: the index is mapped into memory, and where somebody cuts it off between two looks, the kernel
//! ends the process at its next touch (SIGBUS). Nothing is written then either, and the next agent makes a new index.
//!
//! The lock is the operating system's, on a file beside the state, under the name that the state has once symbolic
//! links are resolved: two names of one state have one lock. In it stands a [`LockRecord`]: of which state it is the
//! lock, of which lease, and how far the journal had come. With that it is a second witness. Who finds the lock free
//! knows by the record that its last holder was the one of the lease in the state, and need not wait; and a journal
//! that ends before the place in the record is an older one. A third witness, for backups that bring their lock with
//! them, is the [`Mark`].

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::mark::Mark;
use crate::file;

/// What a file is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    /// When it was made, in nanoseconds since 1970; 0 where the file system does not say. The inode of a file that was
    /// removed is given to the next one, and a copy may be that.
    born: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(file: &Metadata) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId { device: file.dev(), inode: file.ino(), born: born(file) }
    }

    /// Elsewhere only that a file is there can be told.
    #[cfg(not(unix))]
    fn of(file: &Metadata) -> FileId {
        FileId { device: 0, inode: 0, born: born(file) }
    }

    /// True if it may be the same one: another version of the system may not have known when it was made.
    fn may_be(self, other: FileId) -> bool {
        let known = |id: FileId| (id.born > 0).then_some(id.born);
        let is_younger = known(self).zip(known(other)).is_some_and(|(a, b)| a != b);
        (self.device, self.inode) == (other.device, other.inode) && !is_younger
    }
}

fn born(file: &Metadata) -> u64 {
    let since = file.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|d| u64::try_from(d.as_nanos()).ok()).unwrap_or(0)
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
    options
}

/// What SQLite keeps beside a database, by the ends of the names. It opens them through links too.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A write-ahead log is cut to this size, in bytes, when it has been taken into the database.
pub(super) const LOG_KEPT: u64 = 16 << 20;

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Why the state at `path` may not even be read: something beside it is no file of its own, or the state is none.
pub(super) fn problem_at(path: &Path) -> Option<String> {
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if std::fs::metadata(&resolved).is_ok_and(|found| !found.is_file()) {
        return Some("it is no file".to_owned());
    }
    BESIDE.into_iter().find_map(|end| {
        let path = beside(&resolved, end);
        file::is_own(&path).err().map(|e| format!("{}: {e}", path.display()))
    })
}

/// A file as it was seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    id: FileId,
    size: u64,
}

impl Seen {
    fn of(found: &Metadata) -> Seen {
        Seen { id: FileId::of(found), size: found.len() }
    }
}

/// Which of the open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Database,
    /// The write-ahead log.
    Log,
    /// The index of it, which is mapped into memory: what is cut off there ends the process at the next touch.
    Index,
}

impl Part {
    /// The least size, in bytes, that one may have that once had `size`. None of them is cut by anybody but SQLite,
    /// which leaves of a log what is to be kept. `is_taken_in`: it takes the log into the database just now, all of it.
    fn least(self, size: u64, is_taken_in: bool) -> u64 {
        match self {
            Part::Database | Part::Index => size,
            Part::Log if is_taken_in => 0,
            Part::Log => size.min(LOG_KEPT),
        }
    }
}

impl LockRecord {
    /// Of one length whatever the figures, so that it is always overwritten whole.
    fn text(&self) -> String {
        let LockRecord { database: FileId { device, inode, born }, fence, seq, name } = self;
        format!("ringback {device:>20} {inode:>20} {born:>20} {fence:>20} {seq:>20} {name}\n")
    }

    fn parse(text: &str) -> Option<LockRecord> {
        let mut words = text.strip_suffix('\n')?.strip_prefix("ringback ")?.split_ascii_whitespace();
        let mut figure = || words.next()?.parse().ok();
        let database = FileId { device: figure()?, inode: figure()?, born: figure()? };
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
    open: Mutex<[(Part, PathBuf, Option<Seen>); 3]>,
    /// The log is being taken into the database, and cut off.
    is_taken_in: AtomicBool,
    index_is_cut: AtomicBool,
    /// How far the journal has come.
    pub mark: Mark,
    /// The lock while it is ours.
    lock: Mutex<Option<(File, FileId)>>,
    lost: CancellationToken,
    why: OnceLock<String>,
}

impl Files {
    /// Where the state is, if it may be opened there. An absolute path is never one of SQLite's own names.
    pub fn resolve(path: &Path) -> Result<PathBuf, String> {
        let absolute = std::path::absolute(path).map_err(|e| e.to_string())?;
        if let Some(problem) = problem_at(&absolute) {
            return Err(problem);
        }
        let Ok(resolved) = std::fs::canonicalize(&absolute) else { return Ok(absolute) };
        let found = std::fs::metadata(&resolved).map_err(|e| e.to_string())?;
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
        let parts =
            [(Part::Database, path.clone()), (Part::Log, beside(&path, "-wal")), (Part::Index, beside(&path, "-shm"))];
        let open = parts.map(|(part, p)| {
            let seen = std::fs::symlink_metadata(&p).ok().map(|m| Seen::of(&m));
            (part, p, seen)
        });
        let mark = Mark::beside(&path);
        Ok(Files {
            named,
            path,
            open: Mutex::new(open),
            is_taken_in: AtomicBool::new(false),
            index_is_cut: AtomicBool::new(false),
            mark,
            lock: Mutex::default(),
            lost: CancellationToken::new(),
            why: OnceLock::new(),
        })
    }

    /// The connection was opened anew: the log and its index may have been made anew with it.
    pub fn reopened(&self) {
        for (_, path, seen) in &mut self.files()[1..] {
            *seen = std::fs::symlink_metadata(path).ok().map(|m| Seen::of(&m));
        }
    }

    /// SQLite takes the log into the database and cuts it off, from now on until [`Files::log_was_taken_in`].
    pub fn log_is_taken_in(&self) {
        // Nobody looks at the sizes just now who has not seen this.
        let _files = self.files();
        self.is_taken_in.store(true, Ordering::Release);
    }

    pub fn log_was_taken_in(&self) {
        self.log_may_be_short();
        self.is_taken_in.store(false, Ordering::Release);
    }

    /// Somebody was right to cut it off.
    fn log_may_be_short(&self) {
        if let Some(seen) = &mut self.files()[1].2 {
            seen.size = 0;
        }
    }

    fn files(&self) -> MutexGuard<'_, [(Part, PathBuf, Option<Seen>); 3]> {
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
        // Whoever leads takes the log in.
        let is_another_leader = self.locked().is_none();
        for (part, path, seen) in self.files().iter_mut() {
            // While the list is ours nobody ends the taking in.
            let is_taken_in = is_another_leader || self.is_taken_in.load(Ordering::Acquire);
            let now = std::fs::symlink_metadata(&*path);
            database = database.or(seen.map(|seen| seen.id));
            // The log and its index come with the first statement.
            match (&mut *seen, now) {
                (None, Ok(found)) => *seen = Some(Seen::of(&found)),
                (None, Err(_)) => {}
                (Some(seen), Ok(found)) if found.len() < part.least(seen.size, is_taken_in) => {
                    self.index_is_cut.fetch_or(*part == Part::Index, Ordering::AcqRel);
                    let what = if found.len() == 0 { "emptied" } else { "cut off" };
                    problem = problem.or_else(|| Some(format!("{} was {what} while it was open", path.display())));
                }
                (Some(seen), now) => {
                    if let Ok(found) = &now {
                        seen.size = found.len();
                    }
                    problem = problem.or_else(|| difference(path, seen.id, now));
                }
            }
        }
        // A link may lead to another file now, and the next agent there.
        if let Some(id) = database.filter(|_| self.named != self.path) {
            problem = problem.or_else(|| difference(&self.named, id, std::fs::metadata(&self.named)));
        }
        if let Some((_, id)) = &*self.locked() {
            let path = self.lock_path();
            problem = problem.or_else(|| difference(&path, *id, std::fs::symlink_metadata(&path)));
        }
        let Some(problem) = problem else { return true };
        // The first to find it says it.
        let _ = self.why.set(problem);
        self.lost.cancel();
        false
    }

    /// True once the index of the log was cut off, which is mapped into memory: nothing may touch it any more.
    pub fn index_is_cut(&self) -> bool {
        let is_shorter = || {
            let files = self.files();
            let (_, path, seen) = &files[2];
            seen.is_some_and(|seen| std::fs::symlink_metadata(path).is_ok_and(|now| now.len() < seen.size))
        };
        self.index_is_cut.load(Ordering::Acquire) || is_shorter() && !self.are_ours()
    }

    /// Takes the lock if no other process has it.
    pub fn lock(&self) -> io::Result<Lock> {
        let mut held = self.locked();
        if let Some((file, _)) = &*held {
            return Ok(Lock::Ours(self.read(file)));
        }
        let path = self.lock_path();
        let file = file::open_own(private().truncate(false), &path)?;
        if file.try_lock().is_err() {
            return Ok(Lock::Theirs);
        }
        let id = FileId::of(&file.metadata()?);
        if difference(&path, id, std::fs::symlink_metadata(&path)).is_some() {
            // Whoever had it has put another one in its place.
            return Ok(Lock::Theirs);
        }
        let record = self.read(&file);
        self.log_may_be_short();
        *held = Some((file, id));
        Ok(Lock::Ours(record))
    }

    /// Puts a lock of ours in the place of one that another process has and does nothing with. It finds so before it
    /// writes anything.
    pub fn take_lock_over(&self) -> io::Result<()> {
        let path = self.lock_path();
        let new = path.with_extension(format!("lock.{}", std::process::id()));
        let file = file::open_own(private().truncate(true), &new)?;
        let taken = file.try_lock().map_err(io::Error::from).and_then(|()| {
            std::fs::rename(&new, &path)?;
            Ok(FileId::of(&file.metadata()?))
        });
        match taken {
            Ok(id) => {
                self.log_may_be_short();
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
        self.files()[0].2.is_some_and(|seen| seen.id.may_be(record.database))
    }

    /// Writes into the lock how far we are. It is a witness and no more: without it the next agent waits a little.
    pub fn write_record(&self, fence: i64, seq: i64) -> io::Result<()> {
        let Some(database) = self.files()[0].2.map(|seen| seen.id) else { return Ok(()) };
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
        std::fs::metadata(&self.files()[1].1).map_or(0, |m| m.len())
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
            database: FileId { device: 64_769, inode: u64::MAX, born: 0 },
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
