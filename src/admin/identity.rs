//! Who is at an address: an agent proves that it has the token before anybody sends it there.
//!
//! Whatever holds the port gets what is sent to it, so the command line asks first: `GET /-/healthy?nonce=…` with
//! 32 random bytes in hexadecimal digits, which no answer of before fits. An agent answers with
//! [`PROOF`]`: HMAC-SHA256(key, nonce ‖ address)`: only who has the token can make it, and as it names the
//! address at which the client found the agent, another program there cannot fetch it from the agent elsewhere.
//! The key is derived from the token slowly ([`ROUNDS`]), for anybody may ask, and a token that people chose should
//! not be guessed from an answer. The answer is compared in constant time. Without a token there is no proof, and
//! no request that would need one.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::ApiProblem;

/// The header of the answer.
pub const PROOF: &str = "ringback-proof";

/// Of PBKDF2: a tenth of a second on a small machine, once for each process.
const ROUNDS: u32 = 100_000;

/// Digits of a nonce: 32 bytes.
const NONCE: usize = 64;

const SALT: &[u8] = b"ringback: an agent proves itself";

/// The address at which a connection has reached us.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress(pub SocketAddr);

/// What a client wants answered, and where it has found us.
#[derive(Debug)]
pub struct Challenge {
    nonce: Option<String>,
    address: Option<SocketAddr>,
}

#[derive(Deserialize)]
struct Asked {
    nonce: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Challenge {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Challenge, ApiProblem> {
        let address = parts.extensions.get::<ListenAddress>().map(|a| a.0);
        let bad = || ApiProblem::new(StatusCode::BAD_REQUEST, format!("a nonce is {NONCE} hexadecimal digits"));
        let Query(Asked { nonce }) = Query::from_request_parts(parts, state).await.map_err(|_| bad())?;
        if nonce.as_ref().is_some_and(|n| n.len() != NONCE || !n.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(bad());
        }
        Ok(Challenge { nonce, address })
    }
}

/// What proves an agent, and by which a client knows it.
#[derive(Clone)]
pub struct Identity {
    token: Option<Arc<SecretString>>,
    key: Arc<OnceLock<[u8; 32]>>,
}

impl Identity {
    pub fn new(token: Option<SecretString>) -> Identity {
        Identity { token: token.map(Arc::new), key: Arc::default() }
    }

    /// The answer of who is healthy, with a proof if one was asked for and there is a token.
    pub async fn answer(&self, challenge: &Challenge) -> Response {
        let mut response = "healthy\n".into_response();
        let Challenge { nonce: Some(nonce), address: Some(address) } = challenge else { return response };
        let (own, nonce, address) = (self.clone(), nonce.clone(), *address);
        // The first one derives the key, which takes its time.
        let proof = tokio::task::spawn_blocking(move || own.proof(&nonce, address)).await;
        if let Some(value) = proof.ok().flatten().and_then(|p| HeaderValue::from_str(&p).ok()) {
            response.headers_mut().insert(PROOF, value);
        }
        response
    }

    /// True if `proof` answers our `nonce` from `address`.
    pub fn knows(&self, nonce: &str, address: SocketAddr, proof: &str) -> bool {
        self.proof(nonce, address).is_some_and(|ours| ours.as_bytes().ct_eq(proof.as_bytes()).into())
    }

    fn proof(&self, nonce: &str, address: SocketAddr) -> Option<String> {
        let token = self.token.as_ref()?;
        let key = self
            .key
            .get_or_init(|| pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(token.expose_secret().as_bytes(), SALT, ROUNDS));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(format!("{nonce}\n{address}").as_bytes());
        Some(mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fits_its_token_nonce_and_address_alone() {
        let with = |token: &str| Identity::new(Some(token.to_owned().into()));
        let (agent, nonce) = (with("open sesame"), "0f".repeat(32));
        let here: SocketAddr = "127.0.0.1:9466".parse().unwrap();
        let proof = agent.proof(&nonce, here).unwrap();
        assert!(with("open sesame").knows(&nonce, here, &proof));
        assert!(!with("open barley").knows(&nonce, here, &proof));
        assert!(!agent.knows(&"0e".repeat(32), here, &proof));
        assert!(!agent.knows(&nonce, "127.0.0.1:9467".parse().unwrap(), &proof), "fetched from the agent elsewhere");
        assert!(!agent.knows(&nonce, here, "") && !agent.knows(&nonce, here, &proof[..63]));
        let without = Identity::new(None);
        assert!(without.proof(&nonce, here).is_none() && !without.knows(&nonce, here, &proof));
    }
}
