//! Writing files that somebody may have already, and one that nobody else may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is to be written.
#[derive(Debug)]
pub struct NewFile {
    pub path: PathBuf,
    pub text: String,
    /// Nobody but its owner may read it.
    pub is_private: bool,
}

impl NewFile {
    /// Writes it. One that is there already is an error, unless `may_replace`; then it is the old one or the new one,
    /// whole, whatever happens.
    pub fn write(&self, may_replace: bool) -> io::Result<()> {
        if !may_replace {
            return self.create(&self.path);
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = self.path.with_file_name(name);
        self.create(&beside)?;
        std::fs::rename(&beside, &self.path).inspect_err(|_| {
            // What is left of it helps nobody.
            let _ = std::fs::remove_file(&beside);
        })
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if self.is_private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let written = options.open(path)?;
        fill(written, &self.text).inspect_err(|_| {
            // Half a configuration would look like one.
            let _ = std::fs::remove_file(path);
        })
    }
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
