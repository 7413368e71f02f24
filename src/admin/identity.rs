//! Who is at an address, and who asks: both sides prove that they have the token, and neither sends it.
//!
//! Whatever holds the port gets what is sent to it, may pass it on to the agent elsewhere, may take the place of an
//! agent between two requests, and may answer what it likes. So the command line sends no token. It asks first:
//! `GET /-/healthy?nonce=…` with 32 random bytes in hexadecimal digits, which no answer of before fits. An agent
//! answers with [`PROOF`]`: HMAC-SHA256(key, nonce ‖ address)` and a [`TICKET`]. A command is then signed with the key
//! instead of carrying the token: [`SCHEME`] in `Authorization`, over nonce, ticket, address, method, path and body. A
//! ticket is good for a minute, for one command, and for the process that gave it, so what was overheard is good for
//! nothing. The answer to whatever was asked with [`NONCE`] carries a proof over nonce, address, status and body: one
//! without it is not believed.
//!
//! All name the address at which the client found the agent: another program there cannot fetch them from the agent
//! elsewhere. The key is derived from the token slowly ([`ROUNDS`]), for anybody may ask, and a token that people
//! chose should not be guessed from an answer. All are compared in constant time. Without a token there is no proof,
//! and no request that would need one.
//!
//! People have tokens of their own, and an agent does not know yet whose a client has: it proves with each, side by
//! side, and whose signature a command carries is who gives it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ApiProblem;
use crate::clock::Clock;
use crate::core::model::bounds;

/// The header of an answer that proves who gives it.
pub const PROOF: &str = "ringback-proof";

/// The header of a request whose answer is to be proven, and that of the command which belongs to a ticket.
pub const NONCE: &str = "ringback-nonce";

/// The header that gives leave to sign one command, and that of this command.
pub const TICKET: &str = "ringback-ticket";

/// The header of a signed command's body: SHA-256 in hexadecimal digits. By it the signature can be looked at first,
/// and nobody is waited for whose command is not good.
pub const DIGEST: &str = "ringback-digest";

/// How a command is authorized that is signed.
pub const SCHEME: &str = "Ringback ";

/// Of PBKDF2: a tenth of a second on a small machine, once for each process.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not nothing");

/// Digits of a nonce: 32 bytes.
const NONCE_DIGITS: usize = 64;

/// How long a ticket is good for.
const TICKET_FOR: Duration = Duration::from_secs(60);

/// Used tickets that are remembered: only who has the token can use one.
const MOST_USED: usize = 10_000;

const SALT: &[u8] = b"ringback: an agent proves itself";

/// The address at which a connection has reached us.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress(pub SocketAddr);

/// What came of looking at a request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// Made with this person's token, or with the one that is nobody's.
    Good(Option<Arc<str>>),
    Bad,
}

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

fn is_nonce(text: &str) -> bool {
    text.len() == NONCE_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl<S: Send + Sync> FromRequestParts<S> for Challenge {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Challenge, ApiProblem> {
        let address = parts.extensions.get::<ListenAddress>().map(|a| a.0);
        let bad = || ApiProblem::new(StatusCode::BAD_REQUEST, format!("a nonce is {NONCE_DIGITS} hexadecimal digits"));
        let Query(Asked { nonce }) = Query::from_request_parts(parts, state).await.map_err(|_| bad())?;
        if nonce.as_deref().is_some_and(|n| !is_nonce(n)) {
            return Err(bad());
        }
        Ok(Challenge { nonce, address })
    }
}

/// A command as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    pub nonce: &'a str,
    pub ticket: &'a str,
    pub address: SocketAddr,
    pub method: &'a str,
    pub path: &'a str,
    /// Of the body.
    pub digest: &'a str,
}

/// What stands in [`DIGEST`].
pub fn digest(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What proves an agent, and by which a client knows it.
#[derive(Clone)]
pub struct Identity {
    tokens: Arc<[Token]>,
    tickets: Arc<Tickets>,
}

/// A token, and the key that is derived from it once it is needed.
struct Token {
    /// Whose it is, if it is somebody's.
    name: Option<Arc<str>>,
    token: SecretString,
    key: OnceLock<[u8; 32]>,
}

impl Token {
    fn mac(&self, parts: &[&[u8]]) -> Option<String> {
        let derived = || {
            let mut key = [0; 32];
            let token = self.token.expose_secret().as_bytes();
            ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, SALT, token, &mut key);
            key
        };
        mac(self.key.get_or_init(derived), parts)
    }
}

/// Leave to sign, given by this process.
struct Tickets {
    clock: Clock,
    key: OnceLock<[u8; 32]>,
    /// Nonces of commands that were signed, and when.
    used: Mutex<VecDeque<(String, Duration)>>,
}

impl Identity {
    /// Of a client, which has one token at the most.
    pub fn new(token: Option<SecretString>) -> Identity {
        Identity::with_clock(token.map(|token| (None, token)).into_iter().collect(), Clock::system())
    }

    /// Of an agent: everybody's tokens with their names; tickets end by this clock.
    pub fn with_clock(tokens: Vec<(Option<Arc<str>>, SecretString)>, clock: Clock) -> Identity {
        let tickets = Arc::new(Tickets { clock, key: OnceLock::new(), used: Mutex::default() });
        let token = |(name, token)| Token { name, token, key: OnceLock::new() };
        Identity { tokens: tokens.into_iter().map(token).collect(), tickets }
    }

    /// The answer of who is healthy, with a proof if one was asked for and there is a token.
    pub async fn answer(&self, challenge: &Challenge) -> Response {
        let mut response = "healthy\n".into_response();
        let Challenge { nonce: Some(nonce), address: Some(address) } = challenge else { return response };
        let (own, nonce, address) = (self.clone(), nonce.clone(), *address);
        // The first one derives the key, which takes its time.
        let proof = tokio::task::spawn_blocking(move || {
            let proof = own.proof(&nonce, address)?;
            Some((proof, own.ticket(&nonce, address)?))
        });
        if let Some((proof, ticket)) = proof.await.ok().flatten() {
            set(response.headers_mut(), PROOF, &proof);
            set(response.headers_mut(), TICKET, &ticket);
        }
        response
    }

    /// True if `proof` answers our `nonce` from `address`.
    pub fn knows(&self, nonce: &str, address: SocketAddr, proof: &str) -> bool {
        is_among(self.proof(nonce, address), proof)
    }

    fn proof(&self, nonce: &str, address: SocketAddr) -> Option<String> {
        self.mac(&[format!("{nonce}\n{address}").as_bytes()])
    }

    /// True if `proof` is of this answer to our `nonce` from `address`.
    pub fn knows_answer(&self, nonce: &str, address: SocketAddr, status: u16, body: &[u8], proof: &str) -> bool {
        is_among(self.of_answer(nonce, address, status, body), proof)
    }

    fn of_answer(&self, nonce: &str, address: SocketAddr, status: u16, body: &[u8]) -> Option<String> {
        self.mac(&[format!("answer\n{nonce}\n{address}\n{status}\n").as_bytes(), &Sha256::digest(body)])
    }

    /// A command's signature; `None` without a token.
    pub fn sign(&self, command: Command<'_>) -> Option<String> {
        self.tokens.first()?.mac(&[signed(command).as_bytes()])
    }

    /// With each token, in order; `None` without any.
    fn mac(&self, parts: &[&[u8]]) -> Option<String> {
        let all: Option<Vec<String>> = self.tokens.iter().map(|token| token.mac(parts)).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.join(","))
    }

    fn ticket(&self, nonce: &str, address: SocketAddr) -> Option<String> {
        let given = self.tickets.clock.monotonic().as_millis();
        Some(format!("{given}-{}", self.tickets.mac(nonce, address, given)?))
    }

    /// Looks at a command that is signed; once it was good it is not again.
    fn look(&self, command: Command<'_>, signature: &str) -> Signature {
        let Command { nonce, ticket, address, .. } = command;
        if !is_nonce(nonce) {
            return Signature::Bad;
        }
        let text = signed(command);
        // All are compared, so that the time tells nothing.
        let whose = self.tokens.iter().fold(None, |found, token| {
            if is_same(token.mac(&[text.as_bytes()]), signature) { Some(token) } else { found }
        });
        match whose {
            Some(token) if self.tickets.take(nonce, ticket, address) => Signature::Good(token.name.clone()),
            Some(_) | None => Signature::Bad,
        }
    }
}

impl Tickets {
    fn mac(&self, nonce: &str, address: SocketAddr, given: u128) -> Option<String> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let mut key = [0u8; 32];
                std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").ok()?, &mut key).ok()?;
                self.key.get_or_init(|| key)
            }
        };
        mac(key, &[format!("ticket\n{nonce}\n{address}\n{given}").as_bytes()])
    }

    /// True if the ticket is one that we gave for this nonce, is not too old, and was not used.
    fn take(&self, nonce: &str, ticket: &str, address: SocketAddr) -> bool {
        let Some((given, said)) = ticket.split_once('-') else { return false };
        let Ok(given) = given.parse::<u64>() else { return false };
        let now = self.clock.monotonic();
        let is_fresh = now < Duration::from_millis(given) + TICKET_FOR;
        if !is_fresh || !is_same(self.mac(nonce, address, u128::from(given)), said) {
            return false;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|(_, at)| now < *at + TICKET_FOR);
        if used.len() >= MOST_USED || used.iter().any(|(known, _)| known == nonce) {
            return false;
        }
        used.push_back((nonce.to_owned(), now));
        true
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Option<String> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(hex(&mac.finalize().into_bytes()))
}

/// What a signature is over.
fn signed(command: Command<'_>) -> String {
    let Command { nonce, ticket, address, method, path, digest } = command;
    format!("command\n{nonce}\n{ticket}\n{address}\n{method}\n{path}\n{digest}")
}

/// True if ours is one of the proofs that stand side by side.
fn is_among(ours: Option<String>, theirs: &str) -> bool {
    ours.is_some_and(|ours| theirs.split(',').any(|one| ours.as_bytes().ct_eq(one.as_bytes()).into()))
}

fn is_same(ours: Option<String>, theirs: &str) -> bool {
    ours.is_some_and(|ours| ours.as_bytes().ct_eq(theirs.as_bytes()).into())
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn header_of(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// Looks at what is signed, and proves what is answered to whoever asks for it.
pub async fn prove(State(identity): State<Identity>, request: Request, next: Next) -> Response {
    let nonce = header_of(request.headers(), NONCE).filter(|n| is_nonce(n));
    let address = request.extensions().get::<ListenAddress>().map(|a| a.0);
    let (Some(nonce), Some(address)) = (nonce, address) else { return next.run(request).await };
    let signature = header_of(request.headers(), header::AUTHORIZATION.as_str())
        .and_then(|a| a.strip_prefix(SCHEME).map(str::to_owned));
    let request = match signature {
        Some(signature) => match looked_at(&identity, request, &nonce, address, signature).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        },
        None => request,
    };
    let (mut parts, body) = next.run(request).await.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiProblem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer broke off").into_response();
    };
    let (own, bytes, status) = (identity, body.clone(), parts.status.as_u16());
    let proof = tokio::task::spawn_blocking(move || own.of_answer(&nonce, address, status, &bytes)).await;
    // The health's own proof is of its own kind.
    if let (false, Some(proof)) = (parts.headers.contains_key(PROOF), proof.ok().flatten()) {
        set(&mut parts.headers, PROOF, &proof);
    }
    Response::from_parts(parts, Body::from(body))
}

async fn looked_at(
    identity: &Identity,
    request: Request,
    nonce: &str,
    address: SocketAddr,
    signature: String,
) -> Result<Request, ApiProblem> {
    let (mut parts, body) = request.into_parts();
    let [ticket, claimed] = [TICKET, DIGEST].map(|name| header_of(&parts.headers, name).unwrap_or_default());
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let (own, nonce, sent) = (identity.clone(), nonce.to_owned(), claimed.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let (nonce, ticket, method, path, digest) = (&nonce, &ticket, &method, &path, &sent);
        own.look(Command { nonce, ticket, address, method, path, digest }, &signature)
    });
    let mut signature = looked.await.unwrap_or(Signature::Bad);
    let body = match signature {
        Signature::Bad => body,
        Signature::Good(_) => {
            let too_large = |_| ApiProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off");
            let body: Bytes = to_bytes(body, bounds::REQUEST_BYTES).await.map_err(too_large)?;
            if digest(&body) != claimed {
                signature = Signature::Bad;
            }
            Body::from(body)
        }
    };
    parts.extensions.insert(signature);
    Ok(Request::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(token: &str) -> Identity {
        Identity::new(Some(token.to_owned().into()))
    }

    fn here() -> SocketAddr {
        "127.0.0.1:9466".parse().unwrap()
    }

    #[test]
    fn a_proof_fits_its_token_nonce_and_address_alone() {
        let (agent, nonce) = (with("open sesame"), "0f".repeat(32));
        let here = here();
        let proof = agent.proof(&nonce, here).unwrap();
        assert!(with("open sesame").knows(&nonce, here, &proof));
        assert!(!with("open barley").knows(&nonce, here, &proof));
        assert!(!agent.knows(&"0e".repeat(32), here, &proof));
        assert!(!agent.knows(&nonce, "127.0.0.1:9467".parse().unwrap(), &proof), "fetched from the agent elsewhere");
        assert!(!agent.knows(&nonce, here, "") && !agent.knows(&nonce, here, &proof[..63]));
        let without = Identity::new(None);
        assert!(without.proof(&nonce, here).is_none() && !without.knows(&nonce, here, &proof));
    }

    #[test]
    fn a_signature_is_good_once_for_its_command_and_for_the_process_that_gave_leave() {
        let (agent, client, nonce) = (with("open sesame"), with("open sesame"), "0f".repeat(32));
        let ticket = agent.ticket(&nonce, here()).unwrap();
        let (hold, release) = (digest(b"hold"), digest(b"release"));
        let command =
            Command { nonce: &nonce, ticket: &ticket, address: here(), method: "POST", path: "/x", digest: &hold };
        let signed = client.sign(command).unwrap();
        for changed in [
            Command { digest: &release, ..command },
            Command { path: "/y", ..command },
            Command { method: "PUT", ..command },
            Command { address: "127.0.0.1:9467".parse().unwrap(), ..command },
            Command { nonce: &"0e".repeat(32), ..command },
            Command { ticket: "9999999-00", ..command },
        ] {
            assert_eq!(agent.look(changed, &signed), Signature::Bad, "{changed:?}");
        }
        assert_eq!(with("open sesame").look(command, &signed), Signature::Bad, "another process");
        assert_eq!(agent.look(command, &with("open barley").sign(command).unwrap()), Signature::Bad);
        assert_eq!(agent.look(command, &signed), Signature::Good(None));
        assert_eq!(agent.look(command, &signed), Signature::Bad, "again");
        let without = Identity::new(None);
        assert_eq!((without.sign(command), without.look(command, "")), (None, Signature::Bad));
    }

    #[test]
    fn a_persons_own_token_signs_in_their_name_and_knows_the_agent() {
        let tokens = [(None, "open sesame"), (Some("anna".into()), "her own"), (Some("ben".into()), "his own")];
        let tokens = tokens.map(|(name, token)| (name, SecretString::from(token))).to_vec();
        let (agent, nonce) = (Identity::with_clock(tokens, Clock::system()), "0f".repeat(32));
        let proof = agent.proof(&nonce, here()).unwrap();
        let answer = agent.of_answer(&nonce, here(), 200, b"held").unwrap();
        for (token, name) in [("open sesame", None), ("her own", Some("anna")), ("his own", Some("ben"))] {
            let client = with(token);
            assert!(client.knows(&nonce, here(), &proof) && client.knows_answer(&nonce, here(), 200, b"held", &answer));
            let nonce = digest(token.as_bytes());
            let ticket = agent.ticket(&nonce, here()).unwrap();
            let held = digest(b"hold");
            let command =
                Command { nonce: &nonce, ticket: &ticket, address: here(), method: "POST", path: "/x", digest: &held };
            let signed = client.sign(command).unwrap();
            assert_eq!(agent.look(command, &signed), Signature::Good(name.map(Into::into)), "{token}");
        }
        assert!(!with("guess").knows(&nonce, here(), &proof) && !with("guess").knows(&nonce, here(), ""));
    }

    #[test]
    fn an_answer_is_proven_with_its_status_and_body() {
        let (agent, nonce) = (with("open sesame"), "0f".repeat(32));
        let proof = agent.of_answer(&nonce, here(), 200, b"held").unwrap();
        assert!(with("open sesame").knows_answer(&nonce, here(), 200, b"held", &proof));
        assert!(!agent.knows_answer(&nonce, here(), 409, b"held", &proof));
        assert!(!agent.knows_answer(&nonce, here(), 200, b"released", &proof));
        assert!(!agent.knows_answer(&nonce, here(), 200, b"held", &agent.proof(&nonce, here()).unwrap()));
    }
}
