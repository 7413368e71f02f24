//! A receiver of notices on loopback, that behaves as a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ringback::admin::serve::serve;
use ringback::clock::Clock;
use ringback::core::model::time::Time;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    Takes,
    /// Answers after this, by the clock that everybody has.
    Slow(Duration),
    /// 429, and when to come again.
    TooMany(u64),
    Status(u16),
}

#[derive(Clone)]
pub struct Got {
    pub at: Time,
    pub path: String,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
    pub taken: bool,
}

/// Something that notices are posted to.
#[derive(Clone)]
pub struct Receiver {
    clock: Clock,
    manner: Arc<Mutex<Manner>>,
    got: Arc<Mutex<Vec<Got>>>,
    pub url: String,
}

impl Receiver {
    pub async fn listen(w: &World, servers: &mut JoinSet<()>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver {
            clock: w.clock.clone(),
            manner: Arc::new(Mutex::new(Manner::Takes)),
            got: Arc::default(),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        // It works in the place of whoever asks it, so it is no participant.
        servers.spawn(serve(router, listener, CancellationToken::new()));
        receiver
    }

    pub fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn all(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// What was delivered.
    pub fn taken(&self) -> Vec<Got> {
        self.all().into_iter().filter(|g| g.taken).collect()
    }

    /// The notices that were delivered.
    pub fn bodies(&self) -> Vec<Value> {
        self.taken().into_iter().map(|g| g.body).collect()
    }

    /// Kind and status of what was delivered.
    pub fn kinds(&self) -> Vec<(String, String)> {
        let word = |g: &Got, key: &str| g.body[key].as_str().unwrap_or_default().to_owned();
        self.taken().iter().map(|g| (word(g, "kind"), word(g, "status"))).collect()
    }
}

async fn take(State(receiver): State<Receiver>, uri: axum::http::Uri, headers: HeaderMap, body: Bytes) -> Response {
    let manner = *receiver.manner.lock().unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let got = Got {
        at: receiver.clock.now(),
        path: uri.to_string(),
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        taken: matches!(manner, Manner::Takes | Manner::Slow(_)),
    };
    receiver.got.lock().unwrap().push(got);
    match manner {
        Manner::Takes => StatusCode::OK.into_response(),
        Manner::Slow(d) => {
            receiver.clock.sleep(d).await;
            StatusCode::OK.into_response()
        }
        Manner::TooMany(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response()
        }
        Manner::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
    }
}

/// A notifier that posts there, with its key in `HOOK_KEY`.
pub fn webhook(name: &str, receiver: &Receiver) -> String {
    format!("\n[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}\"\nkey_env = \"HOOK_KEY\"\n", receiver.url)
}
