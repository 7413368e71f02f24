//! Who may write, and who may read: whoever has a bearer token, signs with it ([`identity`](super::identity)), or has a
//! session ([`sessions`](super::sessions)) that was opened with one.
//!
//! There is the agent's own token, and people may have theirs: an operator's acts, in their name; a reader's reads.
//! Where the agent is reached from this machine alone, reads need none; beyond it everything does, but for whether the
//! agent is alive.
//!
//! A right token always passes, whatever was tried before and from wherever: it is compared first, in constant time.
//! A request without a token is no guess. Wrong tokens are slowed for each address that they come from: after ten
//! within a minute an answer takes a second, for a few at a time, and says when to come again. What is kept of that is
//! bounded, and so are the connections that it holds: the others are answered at once and closed. Guessing is hopeless
//! anyway, as a token that could be guessed is refused with the configuration.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::identity::Signature;
use super::{Admin, ApiProblem};
use crate::clock::Clock;

/// Wrong tokens of one address within [`WITHIN`] that are answered at once.
const MOST_FAILURES: u32 = 10;

const WITHIN: Duration = Duration::from_secs(60);

/// How long a wrong token waits for its answer then.
const SLOWED: Duration = Duration::from_secs(1);

/// How many wait so at the same time: far fewer than there may be connections.
const MOST_SLOWED: usize = 8;

/// Addresses of which it is known how often they were wrong; the one that was wrong first gives way.
const MOST_ADDRESSES: usize = 64;

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Act,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// As the configuration names them; absent for the agent's own token, which is nobody's.
    pub name: Option<Arc<str>>,
    pub right: Right,
}

impl Holder {
    /// Whoever has the agent's own token.
    const ANYBODY: Holder = Holder { name: None, right: Right::Act };
}

/// Who is let in, and what they need for it.
#[derive(Clone, Default)]
pub struct AccessRules {
    /// The agent's own token.
    pub token: Option<SecretString>,
    /// Tokens of people.
    pub people: Vec<(Holder, SecretString)>,
    /// What whoever rings for a look at the ports has in the address; it opens nothing else.
    pub port_webhook: Option<SecretString>,
    /// Others than this machine can reach the agent, perhaps through a proxy.
    pub is_open: bool,
}

impl AccessRules {
    /// Every token, and whose it is.
    pub fn tokens(&self) -> Vec<(Option<Arc<str>>, SecretString)> {
        let people = self.people.iter().map(|(holder, token)| (holder.name.clone(), token.clone()));
        self.token.iter().map(|token| (None, token.clone())).chain(people).collect()
    }
}

impl From<Option<SecretString>> for AccessRules {
    /// From this machine alone, and with one token.
    fn from(token: Option<SecretString>) -> AccessRules {
        AccessRules { token, ..AccessRules::default() }
    }
}

/// The door.
#[derive(Clone)]
pub struct Authenticator {
    rules: Arc<AccessRules>,
    clock: Clock,
    failures: Arc<Mutex<Failures>>,
    slowed: Arc<tokio::sync::Semaphore>,
}

#[derive(Default)]
struct Failures {
    /// Since when they are counted and how many there were, by address.
    by_address: VecDeque<(IpAddr, Duration, u32)>,
    /// When they were last logged, and how many were not since.
    logged: Option<Duration>,
    unlogged: u64,
}

impl Failures {
    /// One more; gives how many of this address there were within the minute.
    fn count(&mut self, address: IpAddr, now: Duration) -> u32 {
        self.by_address.retain(|(_, since, _)| now < *since + WITHIN);
        if let Some((.., count)) = self.by_address.iter_mut().find(|(known, ..)| *known == address) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.by_address.len() >= MOST_ADDRESSES {
            self.by_address.pop_front();
        }
        self.by_address.push_back((address, now, 1));
        1
    }

    /// How many are to be logged now: a line a minute, whoever guesses how often.
    fn tell(&mut self, now: Duration) -> Option<u64> {
        self.unlogged += 1;
        if self.logged.is_some_and(|at| now < at + WITHIN) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

impl Authenticator {
    pub fn new(rules: AccessRules, clock: Clock) -> Authenticator {
        Authenticator {
            rules: Arc::new(rules),
            clock,
            failures: Arc::default(),
            slowed: Arc::new(tokio::sync::Semaphore::new(MOST_SLOWED)),
        }
    }

    /// Whether nothing can be done over HTTP, for want of a token.
    pub fn is_locked(&self) -> bool {
        self.rules.token.is_none() && self.rules.people.iter().all(|(holder, _)| holder.right != Right::Act)
    }

    /// Whether reads need a token too.
    pub fn is_open(&self) -> bool {
        self.rules.is_open
    }

    /// Whose token this is. All are compared, so that the time tells nothing.
    fn holder(&self, given: &[u8]) -> Option<Holder> {
        let own = self.rules.token.as_ref().map(|token| (&Holder::ANYBODY, token));
        let all = own.into_iter().chain(self.rules.people.iter().map(|(holder, token)| (holder, token)));
        all.fold(None, |found, (holder, token)| if is_same(given, token) { Some(holder.clone()) } else { found })
    }

    /// Whose token a request has, or has signed with.
    pub async fn of_request(
        &self,
        headers: &HeaderMap,
        signature: Option<Signature>,
        peer: Option<SocketAddr>,
    ) -> Result<Holder, ApiProblem> {
        match (signature, bearer(headers)) {
            (Some(Signature::Good(name)), _) => self.signed_by(name).ok_or_else(missing),
            (Some(Signature::Bad), _) => Err(self.wrong(peer).await),
            (None, Some(given)) => self.of_token(given, peer).await,
            // Nobody has guessed anything.
            (None, None) => Err(missing()),
        }
    }

    /// Whoever signs with this person's token.
    fn signed_by(&self, name: Option<Arc<str>>) -> Option<Holder> {
        if name.is_none() {
            return Some(Holder::ANYBODY);
        }
        self.rules.people.iter().map(|(holder, _)| holder).find(|holder| holder.name == name).cloned()
    }

    /// Whose token this is. What is none is a guess.
    pub async fn of_token(&self, given: &[u8], peer: Option<SocketAddr>) -> Result<Holder, ApiProblem> {
        match self.holder(given) {
            Some(holder) => Ok(holder),
            None => Err(self.wrong(peer).await),
        }
    }

    /// Whether somebody may ring for a look at the ports, with what stands in the address.
    pub async fn may_ring(&self, given: &str, peer: Option<SocketAddr>) -> Result<(), ApiProblem> {
        let Some(token) = &self.rules.port_webhook else {
            let text = "there is no port webhook: set RINGBACK_PORTS_TOKEN or ports.webhook_token_file";
            return Err(ApiProblem::new(StatusCode::NOT_FOUND, text));
        };
        if is_same(given.as_bytes(), token) {
            return Ok(());
        }
        Err(self.wrong(peer).await)
    }

    /// What is answered to a wrong token.
    async fn wrong(&self, peer: Option<SocketAddr>) -> ApiProblem {
        let now = self.clock.monotonic();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let (count, untold) = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            (failures.count(address, now), failures.tell(now))
        };
        if let Some(tokens) = untold {
            tracing::warn!(tokens, from = %address, "requests with a wrong token were refused");
        }
        if count <= MOST_FAILURES {
            return missing();
        }
        let Ok(_slot) = self.slowed.clone().try_acquire_owned() else {
            return too_many().and_closed();
        };
        self.clock.sleep(SLOWED).await;
        too_many()
    }
}

fn missing() -> ApiProblem {
    ApiProblem::new(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong")
}

fn too_many() -> ApiProblem {
    ApiProblem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens: the right one always passes")
}

/// The token of the request, if it has one.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// In a time that depends on the length of what was given alone.
fn is_same(given: &[u8], token: &SecretString) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(token.expose_secret())).into()
}

/// Whoever may write. To extract it is to ask.
pub struct Operator {
    /// Whose token it is, if it is somebody's.
    pub name: Option<Arc<str>>,
}

impl Operator {
    /// The name under which they act: their own, or, with a token that is nobody's, the one that they give.
    pub fn author<'a>(&'a self, given: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(given)
    }
}

impl FromRequestParts<Admin> for Operator {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Operator, ApiProblem> {
        if admin.door.is_locked() {
            let text = "writes are off: set RINGBACK_TOKEN or agent.token_file and restart the agent";
            return Err(ApiProblem::new(StatusCode::FORBIDDEN, text));
        }
        let peer = parts.extensions.get::<PeerAddress>().map(|p| p.0);
        let signature = parts.extensions.get::<Signature>().cloned();
        let holder = admin.door.of_request(&parts.headers, signature, peer).await?;
        match holder.right {
            Right::Act => Ok(Operator { name: holder.name }),
            Right::Read => Err(ApiProblem::new(StatusCode::FORBIDDEN, "this token is for reading: it changes nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(i: u32) -> IpAddr {
        IpAddr::from(i.to_be_bytes())
    }

    #[test]
    fn what_is_kept_of_guesses_is_bounded() {
        let mut failures = Failures::default();
        let mut told = 0;
        for i in 0..100_000 {
            assert_eq!(failures.count(address(i), Duration::from_millis(u64::from(i))), 1);
            told += u32::from(failures.tell(Duration::from_millis(u64::from(i))).is_some());
        }
        assert_eq!((failures.by_address.len(), told), (MOST_ADDRESSES, 2));
        let now = Duration::from_secs(100);
        assert_eq!([1, 1, 2].map(|i| failures.count(address(i), now)), [1, 2, 1], "each for itself");
        assert_eq!(failures.count(address(1), now + WITHIN), 1, "and for a minute");
    }

    #[test]
    fn a_token_is_one_in_any_spelling_of_its_scheme() {
        let given = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(<[u8]>::to_vec)
        };
        for value in ["Bearer open sesame", "bearer open sesame", "BEARER open sesame"] {
            assert_eq!(given(value).as_deref(), Some(&b"open sesame"[..]));
        }
        for value in ["", "Bearer", "Bearer ", "Basic b3BlbjpzZXNhbWU=", "open sesame", "Bear€"] {
            assert_eq!(given(value), None, "{value}");
        }
        let token = SecretString::from("open sesame");
        assert!(is_same(b"open sesame", &token));
        for wrong in [&b""[..], b"open", b"open sesame ", b"open sesamf"] {
            assert!(!is_same(wrong, &token));
        }
    }
}
