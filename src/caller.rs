//! How the other party's number is made unrecognisable: a keyed hash.
//!
//! A decision needs to know that two calls came from one caller, and nothing else. The key is made
//! once for each installation and kept in a file of its own beside the state, not in it: with the
//! key, all telephone numbers could be tried in minutes, so whoever gets a copy of the state alone
//! learns nothing. SipHash-2-4 is a pseudo-random function made for this.

use std::fmt;
use std::hash::Hasher;
use std::io;
use std::path::Path;

use siphasher::sip::SipHasher24;

/// As much of a key's file as is looked at.
const LONGEST: u64 = 1024;

/// The key of one installation. `Debug` does not print it.
#[derive(Clone)]
pub struct CallerKey([u8; 16]);

impl CallerKey {
    /// A key that is no secret: for replays, which must give the same bytes every time.
    pub const fn public() -> CallerKey {
        CallerKey([0; 16])
    }

    pub fn hash(&self, number: &str) -> u64 {
        let mut h = SipHasher24::new_with_key(&self.0);
        h.write(number.as_bytes());
        h.finish()
    }

    /// Reads the key at `path`, or makes one there that only its owner may read. One that is not whole, as a crash may
    /// leave it, is made anew too if `is_unused`: if nothing was hashed with it that is still there.
    pub fn load_or_create(path: &Path, is_unused: bool) -> io::Result<CallerKey> {
        let mut text = Vec::new();
        let read = crate::file::open(path)
            .and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, LONGEST), &mut text));
        let key = std::str::from_utf8(&text).ok().and_then(|text| CallerKey::parse(text.trim()));
        match (read, key) {
            (Ok(_), Some(key)) => Ok(key),
            (Ok(_), None) if is_unused => {
                tracing::warn!(key = %path.display(), "the key for callers' numbers was not whole, and is made anew");
                CallerKey::create(path)
            }
            (Ok(_), None) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not 32 hexadecimal digits; restore the file from a backup, or remove it and lose the link to earlier \
                 callers",
            )),
            (Err(e), _) if e.kind() == io::ErrorKind::NotFound => {
                if !is_unused {
                    tracing::warn!(
                        key = %path.display(),
                        "the key for callers' numbers is gone and made anew: callers of before are not known again"
                    );
                }
                CallerKey::create(path)
            }
            (Err(e), _) => Err(e),
        }
    }

    /// Makes a key at `path`: there is a whole one or none, whenever the machine stops.
    fn create(path: &Path) -> io::Result<CallerKey> {
        let mut key = [0u8; 16];
        io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut key)?;
        let text: String = key.iter().map(|b| format!("{b:02x}")).collect();
        let new = path.with_extension("key.new");
        // What a crash has left, which may have any mode.
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        // The folder, in which the name stands.
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(CallerKey(key))
    }

    fn parse(text: &str) -> Option<CallerKey> {
        let n = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
        Some(CallerKey(n.to_be_bytes()))
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartyKey([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = std::env::temp_dir().join(format!("ringback-key-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("party.key");
        let a = CallerKey::load_or_create(&path, false).unwrap();
        let b = CallerKey::load_or_create(&path, true).unwrap();
        assert_eq!(a.hash("+15005550100"), b.hash("+15005550100"));
        assert_ne!(a.hash("+15005550100"), CallerKey::public().hash("+15005550100"));
        assert_eq!(format!("{a:?}"), "PartyKey([REDACTED])");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // A crash left no key, or a part of one: what was hashed with it is lost, or there is nothing.
        for left in ["", "oops", "0123456789abcdef", "\u{fffd}"] {
            std::fs::write(&path, left).unwrap();
            let refused = CallerKey::load_or_create(&path, false).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{left:?}");
            std::fs::write(path.with_extension("key.new"), left).unwrap();
            let made = CallerKey::load_or_create(&path, true).unwrap();
            assert_eq!(CallerKey::load_or_create(&path, false).unwrap().hash("x"), made.hash("x"));
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside it");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
