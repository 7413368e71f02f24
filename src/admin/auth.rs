//! Who may write: whoever has the bearer token.
//!
//! The token is compared in constant time. Ten wrong ones within a minute close the door for
//! everybody until that minute is over: on a loopback address one guesser cannot be told from the
//! next, and the command line can still act when no agent runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::ApiProblem;
use crate::clock::Clock;
use crate::core::model::time::Time;

/// Wrong tokens within [`WITHIN`].
const MOST_FAILURES: u32 = 10;

const WITHIN: Duration = Duration::from_secs(60);

/// The door to all writes.
#[derive(Clone)]
pub struct Authenticator {
    token: Option<Arc<SecretString>>,
    clock: Clock,
    /// Since when failures are counted, and how many there were.
    failures: Arc<Mutex<(Time, u32)>>,
}

impl Authenticator {
    pub fn new(token: Option<SecretString>, clock: Clock) -> Authenticator {
        let failures = Arc::new(Mutex::new((clock.now(), 0)));
        Authenticator { token: token.map(Arc::new), clock, failures }
    }

    /// Lets pass who has the token.
    pub fn pass(&self, headers: &HeaderMap) -> Result<(), ApiProblem> {
        let Some(token) = &self.token else {
            let text = "writes are off: set RINGBACK_TOKEN or agent.token_file and restart the agent";
            return Err(ApiProblem::new(StatusCode::FORBIDDEN, text));
        };
        let now = self.clock.now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.0 + WITHIN <= now {
            *failures = (now, 0);
        }
        if failures.1 >= MOST_FAILURES {
            return Err(ApiProblem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens: wait a minute"));
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "))
            .unwrap_or_default();
        if given.as_bytes().ct_eq(token.expose_secret().as_bytes()).into() {
            return Ok(());
        }
        failures.1 += 1;
        tracing::warn!(failures = failures.1, "a write with a wrong token, or without one, was refused");
        Err(ApiProblem::new(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong"))
    }
}
