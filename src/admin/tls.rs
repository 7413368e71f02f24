//! The agent's own certificate: read at the start, and again when its files have changed.
//!
//! A certificate is renewed every few weeks, and nobody starts an agent again on the port day for it. What cannot be
//! read or does not fit leaves the one before in force and is told once. This machine itself may speak without TLS, as
//! the command line does: its requests and the answers are proven ([`super::identity`]), and leave no machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::core::model::bounds;
use crate::file;

/// How often it is looked at whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("{} has no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("the certificate and its key cannot be used")]
    Unfit(#[from] rustls::Error),
}

/// The certificate in force. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    certificate: Arc<Path>,
    key: Arc<Path>,
    state: Arc<Mutex<State>>,
}

struct State {
    config: Arc<ServerConfig>,
    /// When the files were last written, as far as that can be told.
    written: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Tls {
    /// Reads a certificate with its chain, and its key.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        // Before they are read: what changes meanwhile is read again.
        let written = [certificate, key].map(written);
        let state = State { config: read(certificate, key)?, written, looked: Instant::now() };
        Ok(Tls { certificate: certificate.into(), key: key.into(), state: Arc::new(Mutex::new(state)) })
    }

    /// With what a connection is accepted now.
    pub fn acceptor(&self) -> TlsAcceptor {
        // Plain data, valid after any panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        TlsAcceptor::from(state.config.clone())
    }

    fn look(&self, state: &mut State) {
        let now = [&self.certificate, &self.key].map(|path| written(path));
        if now == state.written {
            return;
        }
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                state.config = config;
                tracing::info!("the certificate was renewed");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!(%error, cause, "the certificate has changed and cannot be used: the one before stays");
            }
        }
        state.written = now;
    }
}

fn written(path: &Path) -> Option<SystemTime> {
    let modified = |found: fs::Metadata| -> io::Result<SystemTime> { found.modified() };
    fs::metadata(path).and_then(modified).ok()
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unreadable { path, source }
    };
    let bytes = |path: &Path| file::bytes(path, bounds::CERTIFICATE_BYTES).map_err(pem::Error::Io);
    let chain: Result<Vec<CertificateDer<'static>>, pem::Error> =
        bytes(certificate).and_then(|pem| CertificateDer::pem_slice_iter(&pem).collect());
    let chain = chain.map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.to_owned() });
    }
    let key = bytes(key).and_then(|pem| PrivateKeyDer::from_pem_slice(&pem)).map_err(unreadable(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: [&str; 2] = [include_str!("../../tests/tls/one.pem"), include_str!("../../tests/tls/one.key")];
    const TWO: [&str; 2] = [include_str!("../../tests/tls/two.pem"), include_str!("../../tests/tls/two.key")];

    #[test]
    fn a_renewed_certificate_is_taken_up_and_a_broken_one_leaves_the_one_before() {
        let folder = std::env::temp_dir().join(format!("ringback-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let paths = ["certificate", "key"].map(|name| folder.join(name));
        let mut written_at = SystemTime::UNIX_EPOCH;
        let mut write = |texts: [&str; 2]| {
            // Whatever the file system takes for two different moments.
            written_at += Duration::from_secs(60);
            for (path, text) in paths.iter().zip(texts) {
                fs::write(path, text).unwrap();
                fs::File::options().write(true).open(path).unwrap().set_modified(written_at).unwrap();
            }
        };
        assert!(matches!(Tls::load(&paths[0], &paths[1]), Err(TlsError::Unreadable { .. })));
        let endless = Tls::load(Path::new("/dev/zero"), &paths[1]);
        assert!(matches!(endless, Err(TlsError::Unreadable { .. })), "a device has no end");
        write(["", ONE[1]]);
        assert!(matches!(Tls::load(&paths[0], &paths[1]), Err(TlsError::Empty { .. })));
        write([ONE[0], TWO[1]]);
        assert!(matches!(Tls::load(&paths[0], &paths[1]), Err(TlsError::Unfit(_))), "the key of another one");
        write(ONE);
        let tls = Tls::load(&paths[0], &paths[1]).unwrap();
        let look = || {
            let mut state = tls.state.lock().unwrap();
            tls.look(&mut state);
            state.config.clone()
        };
        let one = look();
        assert!(Arc::ptr_eq(&one, &look()), "it is as it was");
        write(TWO);
        let two = look();
        assert!(!Arc::ptr_eq(&one, &two));
        write(["-----BEGIN", "nothing"]);
        assert!(Arc::ptr_eq(&two, &look()));
        write(ONE);
        assert!(!Arc::ptr_eq(&two, &look()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
