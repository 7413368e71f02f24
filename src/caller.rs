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

    /// Reads the key at `path`, or makes one there that only its owner may read.
    pub fn load_or_create(path: &Path) -> io::Result<CallerKey> {
        match std::fs::read_to_string(path) {
            Ok(text) => CallerKey::parse(text.trim()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "not 32 hexadecimal digits; restore the file from a backup, or remove it and lose the link to \
                     earlier callers",
                )
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut key = [0u8; 16];
                io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut key)?;
                let text: String = key.iter().map(|b| format!("{b:02x}")).collect();
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(path)?;
                io::Write::write_all(&mut file, text.as_bytes())?;
                file.sync_all()?;
                Ok(CallerKey(key))
            }
            Err(e) => Err(e),
        }
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
        let a = CallerKey::load_or_create(&path).unwrap();
        let b = CallerKey::load_or_create(&path).unwrap();
        assert_eq!(a.hash("+15005550100"), b.hash("+15005550100"));
        assert_ne!(a.hash("+15005550100"), CallerKey::public().hash("+15005550100"));
        assert_eq!(format!("{a:?}"), "PartyKey([REDACTED])");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "oops").unwrap();
        assert_eq!(CallerKey::load_or_create(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
