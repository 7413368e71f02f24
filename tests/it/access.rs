//! The operator always gets in, and nobody else: tokens that are guessed, web pages, and strangers at the agent's
//! address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use ringback::admin;
use ringback::admin::identity::ListenAddress;
use ringback::admin::serve::serve;
use ringback::config::Config;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::agent::DAY;
use crate::support::with_token;
use crate::words::ringback_at;
use crate::world::{Running, World, play};

/// A hold of everything, as a page may send it: with these headers.
async fn send(url: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let client = reqwest::Client::new();
    let mut request = match path.starts_with("/api/v1/hold") {
        true => client
            .post(format!("{url}{path}"))
            .header("content-type", "application/json")
            .body(json!({"all": true, "reason": "x"}).to_string()),
        false => client.get(format!("{url}{path}")),
    };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

const RIGHT: (&str, &str) = ("authorization", "Bearer open sesame");
const WRONG: (&str, &str) = ("authorization", "Bearer guess");

#[test]
fn the_right_token_passes_whatever_was_tried_before() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let hold = async |headers: &[(&str, &str)]| send(&agent.url, "/api/v1/hold", headers).await;
        // A request without a token is no guess.
        for _ in 0..40 {
            assert_eq!(hold(&[]).await, 401);
            assert_eq!(hold(&[("authorization", "Basic eDp5")]).await, 401);
        }
        assert_eq!(hold(&[WRONG]).await, 401, "the first one");
        for i in 0..40 {
            let began = w.now();
            let status = hold(&[WRONG]).await;
            assert_eq!(
                (status, w.now().since(began) >= Duration::from_secs(1)),
                if i < 9 { (401, false) } else { (429, true) }
            );
            assert_eq!(hold(&[RIGHT]).await, 200, "after {i}");
        }
        agent.stop().await;
    });
}

/// Wrong ones that wait for their answers hold few connections, whoever sends how many.
#[test]
fn guesses_hold_no_connections_that_others_need() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..120 {
            let url = agent.url.clone();
            tasks.spawn(async move { send(&url, "/api/v1/hold", &[WRONG]).await });
        }
        // In this instant: no time passes while we are awake, so nobody's wait is over.
        let mut waits = 120;
        for _ in 0..2000 {
            tokio::task::yield_now().await;
            while let Some(status) = tasks.try_join_next() {
                assert!([401, 429].contains(&status.unwrap()));
                waits -= 1;
            }
        }
        assert!(waits < 16, "{waits} are still held");
        assert_eq!(send(&agent.url, "/api/v1/hold", &[RIGHT]).await, 200);
        while tasks.join_next().await.is_some() {}
        agent.stop().await;
    });
}

/// Whoever holds all connections there are, without a word, in the middle of one, or without reading what he is told,
/// gives way.
#[test]
fn connections_that_are_held_keep_nobody_out() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let address = agent.url.trim_start_matches("http://").to_owned();
        let body = "POST /api/v1/hold HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    content-length: 60\r\nringback-nonce: 0f0f\r\nauthorization: Ringback 0f\r\n\r\n{";
        for word in ["", "GET /metrics HTTP/1.1\r\nhost: loc", "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", body]
        {
            let mut held = Vec::new();
            for _ in 0..300 {
                let mut connection = TcpStream::connect(&address).await.unwrap();
                connection.write_all(word.as_bytes()).await.unwrap();
                held.push(connection);
            }
            let began = w.now();
            assert_eq!(send(&agent.url, "/api/v1/hold", &[RIGHT]).await, 200, "{word:?}");
            assert_eq!(w.now().since(began), Duration::ZERO, "{word:?}");
        }
        agent.stop().await;
    });
}

const PAGES: [&str; 6] =
    ["/metrics", "/-/healthy", "/-/ready", "/api/v1/status", "/api/v1/openapi.json", "/api/v1/hold"];

#[test]
fn only_names_of_ours_are_answered() {
    play(DAY, async |w| {
        with_token(w);
        w.agent_section += "public_url = \"https://Ringback.example.com/agent\"\nhosts = [\"oncall.internal\"]\n";
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        // Whoever stands by has the same door.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let standby = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        let (_leader, leads) = tokio::sync::watch::channel(None);
        server.spawn(serve(admin::standby::router(leads, None), listener, stop.clone()));
        for page in PAGES {
            for host in ["evil.example", "evil.example:9466", "127.0.0.1.evil.example", "0.0.0.0:9466", "10.0.0.1"] {
                for url in [&agent.url, &standby] {
                    assert_eq!(send(url, page, &[("host", host), RIGHT]).await, 421, "{page} {host}");
                }
            }
            for host in ["localhost:1", "127.0.0.1", "[::1]", "ringback.example.com", "ONCALL.internal:8443"] {
                assert_eq!(send(&agent.url, page, &[("host", host), RIGHT]).await, 200, "{page} {host}");
            }
        }
        stop.cancel();
        agent.stop().await;
    });
}

#[test]
fn another_sites_page_neither_writes_nor_reads() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let own = agent.url.clone();
        for page in PAGES {
            for foreign in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("origin", "http://localhost:3000"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                assert_eq!(send(&agent.url, page, &[foreign, RIGHT]).await, 403, "{page} {foreign:?}");
            }
            for ours in [("origin", own.as_str()), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
                assert_eq!(send(&agent.url, page, &[ours, RIGHT]).await, 200, "{page} {ours:?}");
            }
        }
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(send(&agent.url, "/api/v1/status", &link).await, 200, "a link that is followed");
        agent.stop().await;
    });
}

#[test]
fn a_token_that_can_be_guessed_is_refused_and_a_short_one_told() {
    play(DAY, async |w| {
        let auth_token: &'static str = w.sim.scenario().account.auth_token.leak();
        for token in ["x", "12345", "password", "changeme", "aaaaaaaaaaaaaaaa", "1234567890", auth_token] {
            w.env.insert("RINGBACK_TOKEN", token);
            let said = w.config().err().unwrap_or_else(|| panic!("{token} is taken")).to_string();
            assert!(said.contains("the token for writes") && said.contains("openssl rand -hex 32"), "{said}");
            assert!(token.len() < 5 || !said.contains(token), "{said}");
            // Nor from a file.
            w.env.insert("RINGBACK_TOKEN", "");
            std::fs::write(w.folder.path().join("token"), token).unwrap();
            let text = w.config_text().replace("[agent]\n", "[agent]\ntoken_file = \"token\"\n");
            assert!(w.parse(&text).is_err(), "{token}");
        }
        w.env.insert("RINGBACK_TOKEN", "open sesame");
        assert!(w.config().unwrap().warnings.iter().any(|t| t.contains("fewer than 16 characters")));
        w.env.insert("RINGBACK_TOKEN", "6f1d2c3b4a5968770f1e2d3c4b5a6978");
        assert_eq!(w.config().unwrap().warnings, Vec::<String>::new());
    });
}

#[test]
fn a_secrets_file_that_others_read_is_told() {
    play(DAY, async |w| {
        w.env.insert("TWILIO_AUTH_TOKEN", "");
        let token = w.sim.scenario().account.auth_token;
        let path = w.folder.path().join("auth");
        std::fs::write(&path, token).unwrap();
        let text = w.config_text().replacen("[agent]", "auth_token_file = \"auth\"\n[agent]", 1);
        for (mode, is_told) in [(0o600, false), (0o400, false), (0o644, true), (0o640, true), (0o602, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let warnings = w.parse(&text).unwrap().warnings;
            let is = warnings.iter().any(|t| t.contains("auth holds a secret") && t.contains("chmod 600"));
            assert_eq!(is, is_told, "{mode:o}: {warnings:?}");
        }
    });
}

/// Whoever is at the agent's address, on which the command line finds it.
#[derive(Clone)]
struct Stranger {
    /// The agent's own routes, as it answered here until a moment ago.
    agent: Router,
    address: SocketAddr,
    /// From this request on the stranger answers, with what he likes.
    from: usize,
    heard: Arc<Mutex<Vec<(String, HashMap<String, String>, Vec<u8>)>>>,
}

impl Stranger {
    async fn listen(config: &Config, agent: &Running, w: &World, from: usize, servers: &mut JoinSet<()>) -> Stranger {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = admin::router(&agent.agent, &w.clock, config.agent.token.clone());
        let stranger = Stranger { agent: routes, address, from, heard: Arc::default() };
        let router = Router::new().fallback(intercept).with_state(stranger.clone());
        servers.spawn(serve(router, listener, CancellationToken::new()));
        stranger
    }

    fn heard(&self) -> Vec<(String, HashMap<String, String>, Vec<u8>)> {
        self.heard.lock().unwrap().clone()
    }

    /// Asks the agent as it would have been asked at this address.
    async fn ask_agent(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(ListenAddress(self.address));
        self.agent.clone().oneshot(request).await.unwrap()
    }
}

async fn intercept(State(stranger): State<Stranger>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let text = |v: &axum::http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(k, v)| (k.to_string(), text(v))).collect();
    let nth = {
        let mut heard = stranger.heard.lock().unwrap();
        heard.push((format!("{} {}", parts.method, parts.uri), headers, body.to_vec()));
        heard.len()
    };
    if nth >= stranger.from {
        let lie = json!({"done": "everything is held", "is_as_asked": true, "groups": [], "orders": [], "lines": [],
            "is_staged": false, "activated": 0, "is_over": true, "sources": [], "at": "now", "mode": "auto"});
        return Response::builder()
            .header("content-type", "application/json")
            .body(Body::from(lie.to_string()))
            .unwrap();
    }
    stranger.ask_agent(Request::from_parts(parts, Body::from(body))).await
}

async fn command_line(w: &World, address: SocketAddr, words: &[&str]) -> (i32, String) {
    ringback_at(w, &address.to_string(), words).await
}

const COMMANDS: [&[&str]; 4] =
    [&["hold", "--all"], &["mode", "observe"], &["rollback", "--group", "support", "--yes"], &["ported", "--all"]];

/// Whatever a stranger answers, and however late he takes the agent's place: he is not believed, and what he has heard
/// is of no use.
#[test]
fn a_stranger_who_takes_the_agents_place_is_not_believed_and_hears_no_token() {
    for words in COMMANDS {
        for from in 1..=4 {
            play(DAY, async |w| {
                with_token(w);
                let config = w.config().unwrap();
                let agent = w.start_with(&config).await.unwrap();
                w.pass(60).await;
                let mut servers = JoinSet::new();
                let stranger = Stranger::listen(&config, &agent, w, from, &mut servers).await;
                let words: Vec<&str> = words.iter().copied().chain(["--reason", "drill"]).collect();
                let (code, said) = command_line(w, stranger.address, &words).await;
                let heard = stranger.heard();
                if heard.len() < from {
                    // The agent was there for all of it.
                    assert_eq!(code, 0, "{words:?} {from}: {said}");
                    assert!(from > 3, "{words:?}: {heard:?}");
                } else if from > 1 {
                    assert_eq!(code, 3, "{words:?} {from}: {said}");
                    assert!(said.contains("does not prove to be this agent"), "{words:?} {from}: {said}");
                    assert!(!said.contains("everything is held"), "{said}");
                }
                for (line, headers, body) in &heard {
                    let all = format!("{line} {headers:?} {}", String::from_utf8_lossy(body));
                    assert!(!all.contains("open sesame"), "{all}");
                }
                // What was signed is good for the agent once, and not at its other address.
                for (line, headers, body) in heard.iter().filter(|(line, ..)| line.starts_with("POST")) {
                    let path = line.split(' ').nth(1).unwrap();
                    let again = || {
                        let mut request = Request::builder().method("POST").uri(path);
                        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
                            request = request.header(name, value);
                        }
                        request.body(Body::from(body.clone())).unwrap()
                    };
                    let mut at_its_own = reqwest::Client::new().post(format!("{}{path}", agent.url)).body(body.clone());
                    for (name, value) in
                        headers.iter().filter(|(name, _)| name.starts_with("ringback") || *name == "authorization")
                    {
                        at_its_own = at_its_own.header(name, value);
                    }
                    assert_eq!(at_its_own.send().await.unwrap().status(), 401, "{line}");
                    let mut statuses = Vec::new();
                    for _ in 0..2 {
                        statuses.push(stranger.ask_agent(again()).await.status().as_u16());
                    }
                    assert_eq!(statuses[1], 401, "{line}: {statuses:?}");
                }
                agent.stop().await;
            });
        }
    }
}

/// A stranger elsewhere who passes everything on to the agent, and its answers back.
#[test]
fn a_relay_to_the_agent_elsewhere_proves_nothing() {
    play(DAY, async |w| {
        with_token(w);
        let config = w.config().unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        let mut servers = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = agent.url.clone();
        let relay = Router::new().fallback(move |request: Request| {
            let url = url.clone();
            async move { crate::world::pass_on(&reqwest::Client::new(), &url, request).await }
        });
        servers.spawn(serve(relay, listener, CancellationToken::new()));
        for words in COMMANDS {
            let words: Vec<&str> = words.iter().copied().chain(["--reason", "drill"]).collect();
            let (code, said) = command_line(w, address, &words).await;
            assert!(code == 3 && said.contains("does not prove to be this agent"), "{words:?}: {said}");
        }
        assert!(agent.status().holds.is_empty());
        let (code, said) = command_line(w, address, &["status"]).await;
        assert!(code == 1 && said.contains("do not rely on what it says"), "{said}");
        let own = agent.url.trim_start_matches("http://").parse().unwrap();
        let (_, said) = command_line(w, own, &["status", "--all"]).await;
        assert!(!said.contains("do not rely") && said.contains("support"), "{said}");
        agent.stop().await;
    });
}

/// What is asked for with a nonce is proven whatever it is, and what is not asked for has no proof.
#[test]
fn every_answer_can_be_proven() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let nonce = "0f".repeat(32);
        for path in ["/metrics", "/-/ready", "/api/v1/status", "/nowhere", "/api/v1/decisions/D9"] {
            let ask = |nonce: Option<&str>| {
                let request = reqwest::Client::new().get(format!("{}{path}", agent.url));
                nonce.iter().fold(request, |request, nonce| request.header("ringback-nonce", *nonce)).send()
            };
            let proven = ask(Some(&nonce)).await.unwrap();
            assert_eq!(proven.headers()["ringback-proof"].len(), 64, "{path}");
            for nonce in [None, Some("0f")] {
                assert!(!ask(nonce).await.unwrap().headers().contains_key("ringback-proof"), "{path}");
            }
        }
        let body: Value = agent.post("hold", json!({"all": true, "reason": "by the token itself"})).await.1;
        assert_eq!(body["is_as_asked"], true);
        agent.stop().await;
    });
}
