//! Sessions of browsers: a token is entered once, and what the browser keeps of it is good for half a day and for this
//! process alone.
//!
//! The cookie is a random number, kept here as its hash. It is sent with no request that another site's page makes
//! (`SameSite=Strict`), no script reads it (`HttpOnly`), and where the agent is reached over TLS it goes over nothing
//! else (`Secure`, and a name that browsers take over TLS alone). Cookies know no ports: the name has the port, so that
//! two agents on one machine do not end each other's sessions.
//!
//! Each session has a second random number, which stands in each of its forms: what is sent without it was not sent by
//! a page of ours.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::auth::Holder;
use super::identity::ListenAddress;
use crate::clock::Clock;

/// A shift, and some more.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// Sessions at the same time: whoever has a token can open one. The oldest gives way.
const MOST: usize = 256;

/// The open sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    clock: Clock,
    is_secure: bool,
    open: Arc<Mutex<VecDeque<Open>>>,
}

struct Open {
    /// Of the cookie's value.
    hash: [u8; 32],
    until: Duration,
    session: Session,
    /// What is to be said on the next page.
    said: Option<String>,
}

/// Who has signed in.
#[derive(Clone)]
pub struct Session {
    pub holder: Holder,
    /// What a form must bring.
    pub form_key: Arc<str>,
    hash: [u8; 32],
}

impl Session {
    /// True if a form brings what this session's forms have.
    pub fn is_form_of(&self, given: &str) -> bool {
        self.form_key.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl Sessions {
    /// `is_secure`: browsers reach us over TLS.
    pub fn new(clock: Clock, is_secure: bool) -> Sessions {
        Sessions { clock, is_secure, open: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Open>> {
        // Plain data, valid after any panic.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        open.retain(|o| now < o.until);
        open
    }

    fn name(&self, extensions: &Extensions) -> String {
        let port = extensions.get::<ListenAddress>().map_or(0, |address| address.0.port());
        if self.is_secure { format!("__Host-ringback-{port}") } else { format!("ringback-{port}") }
    }

    /// Opens one. Gives the cookie that a browser is to keep; nothing without random numbers.
    pub fn open(&self, holder: Holder, extensions: &Extensions) -> Option<String> {
        let (id, form_key) = (random()?, random()?);
        let hash = Sha256::digest(&id).into();
        let session = Session { holder, form_key: form_key.into(), hash };
        let mut open = self.lock();
        if open.len() >= MOST {
            open.pop_front();
        }
        open.push_back(Open { hash, until: self.clock.monotonic() + LASTS, session, said: None });
        Some(self.cookie(&id, LASTS, extensions))
    }

    fn cookie(&self, value: &str, lasts: Duration, extensions: &Extensions) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.name(extensions);
        format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}", lasts.as_secs())
    }

    /// Ends it. Gives the cookie that takes the browser's away.
    pub fn close(&self, session: &Session, extensions: &Extensions) -> String {
        self.lock().retain(|o| o.hash != session.hash);
        self.cookie("", Duration::ZERO, extensions)
    }

    /// The session that a request belongs to.
    pub fn of(&self, request: &Request) -> Option<Session> {
        self.find(request.headers(), request.extensions())
    }

    /// The same of a request that was taken apart.
    pub fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Session> {
        let name = self.name(extensions);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
        let values = cookies.filter_map(|c| c.trim().split_once('=')).filter(|(key, _)| *key == name);
        let hashes: Vec<[u8; 32]> = values.map(|(_, value)| Sha256::digest(value).into()).collect();
        // Hashes of random numbers: how long it takes to compare them tells nothing of the numbers.
        self.lock().iter().find(|o| hashes.contains(&o.hash)).map(|o| o.session.clone())
    }

    /// Keeps what is to be said on the session's next page.
    pub fn say(&self, session: &Session, text: String) {
        if let Some(open) = self.lock().iter_mut().find(|o| o.hash == session.hash) {
            open.said = Some(text);
        }
    }

    /// What is to be said, once.
    pub fn take_said(&self, session: &Session) -> Option<String> {
        self.lock().iter_mut().find(|o| o.hash == session.hash)?.said.take()
    }
}

/// 32 random bytes in hexadecimal digits.
pub fn random() -> Option<String> {
    let mut bytes = [0u8; 32];
    std::fs::File::open("/dev/urandom").ok()?.read_exact(&mut bytes).ok()?;
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::auth::Right;
    use crate::clock::Pace;
    use axum::body::Body;

    fn request(cookie: &str, port: u16) -> Request {
        let mut request = Request::builder().header("cookie", cookie).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ListenAddress(([127, 0, 0, 1], port).into()));
        request
    }

    fn anna() -> Holder {
        Holder { name: Some("anna".into()), right: Right::Act }
    }

    #[test]
    fn a_session_is_found_by_its_cookie_on_its_port_until_it_ends() {
        let sessions = Sessions::new(Clock::system(), false);
        let set = sessions.open(anna(), request("", 9466).extensions()).unwrap();
        let cookie = set.split(';').next().unwrap();
        let found = sessions.of(&request(&format!("other=1; {cookie}"), 9466)).unwrap();
        assert_eq!(found.holder, anna());
        assert!(found.is_form_of(&found.form_key) && !found.is_form_of("") && !found.is_form_of(&found.form_key[..63]));
        assert!(sessions.of(&request(cookie, 9467)).is_none(), "another agent's");
        for wrong in ["", "ringback-9466=", "ringback-9466=0f", &cookie[..cookie.len() - 1]] {
            assert!(sessions.of(&request(wrong, 9466)).is_none(), "{wrong}");
        }
        sessions.say(&found, "held".to_owned());
        assert_eq!(sessions.take_said(&found).as_deref(), Some("held"));
        assert_eq!(sessions.take_said(&found), None);
        sessions.close(&found, request("", 9466).extensions());
        assert!(sessions.of(&request(cookie, 9466)).is_none());
    }

    #[test]
    fn a_session_ends_after_a_shift() {
        let clock = Clock::virtual_at("2026-11-21T14:00:00Z".parse().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(clock.drive(Pace::Free, async {
            let sessions = Sessions::new(clock.clone(), false);
            let set = sessions.open(anna(), request("", 9466).extensions()).unwrap();
            let cookie = set.split(';').next().unwrap();
            clock.sleep(LASTS - Duration::from_secs(1)).await;
            assert!(sessions.of(&request(cookie, 9466)).is_some());
            clock.sleep(Duration::from_secs(1)).await;
            assert!(sessions.of(&request(cookie, 9466)).is_none());
        }));
    }

    #[test]
    fn a_cookie_is_for_us_alone_and_there_are_so_many() {
        let sessions = Sessions::new(Clock::system(), true);
        let here = request("", 443);
        let set = sessions.open(anna(), here.extensions()).unwrap();
        let flags = set.split_once("; ").unwrap().1;
        assert!(set.starts_with("__Host-ringback-443="));
        assert_eq!(flags, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure");
        for _ in 0..MOST {
            sessions.open(anna(), here.extensions()).unwrap();
        }
        assert_eq!(sessions.lock().len(), MOST);
        assert!(sessions.of(&request(set.split(';').next().unwrap(), 443)).is_none(), "the oldest");
    }
}
