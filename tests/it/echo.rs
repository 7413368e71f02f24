//! Receivers that send back what they were sent: what of it is a secret of ours is told nowhere.

use std::process::Command;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringback::admin::serve::serve;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::DAY;
use crate::receiver::{Receiver, webhook};
use crate::support::{break_app, with_token};
use crate::world::play;

/// Quotes path, headers and body of a request in some writing; the status that it answers is in the path.
async fn quote(uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.to_string();
    let has = |word: &str| path.contains(word);
    let authorization = headers.get("authorization").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let said = format!("Cannot POST {path}; authorization: {}; {body:?}", authorization.unwrap_or_default());
    let said = match () {
        () if has("escaped") => said.bytes().map(|b| format!("%{b:02x}")).collect(),
        () if has("packed") => STANDARD.encode(&said),
        () if has("json") => said.replace('/', "\\/").replace('o', "\\u006f"),
        // So that a cut would leave a piece of it.
        () if has("late") => format!("{}{path}", "x".repeat(160)),
        () => said,
    };
    let status = if has("down") {
        503
    } else if has("fine") {
        200
    } else {
        404
    };
    (StatusCode::from_u16(status).unwrap(), said).into_response()
}

/// Of each of these a run of so many letters is a leak.
const SECRETS: [&str; 5] =
    ["T024BE7LD", "xoxSECRET5QXVW7K1234abcd", "g3n1eK3yg3n1eK3y", "S3cretAm", "YW06UzNjcmV0QW0="];

fn leaks(what: &str, text: &str) -> Vec<String> {
    let piece = |s: &&str| {
        let bytes = s.as_bytes().windows(7).map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>();
        bytes.into_iter().find(|w| text.to_lowercase().contains(&w.to_lowercase()))
    };
    SECRETS.iter().filter_map(piece).map(|found| format!("{what}: {found}: {text}")).collect()
}

#[test]
fn what_a_receiver_quotes_of_its_own_secrets_is_told_nowhere() {
    play(DAY, async |w| {
        with_token(w);
        let mut servers = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        servers.spawn(serve(Router::new().fallback(quote), listener, CancellationToken::new()));
        w.env.insert("HOOK_KEY", "a key");
        let mut text = w.config_text();
        let mut names = Vec::new();
        let mut variables: Vec<(String, String)> = Vec::new();
        for manner in ["plain", "down", "fine", "escaped", "packed", "json", "late"] {
            let slack = format!("http://{host}/{manner}/services/T024BE7LD/B01/xoxSECRET5QXVW7K1234abcd");
            let login = format!("http://am:S3cretAm@{host}/{manner}");
            let genie = format!("http://{host}/{manner}");
            for (kind, url, more) in
                [("slack", slack, ""), ("alertmanager", login, ""), ("opsgenie", genie, "key_env = \"GENIE\"\n")]
            {
                let name = format!("{kind}-{manner}");
                let variable = format!("URL_{}_{}", kind.to_uppercase(), manner.to_uppercase());
                text +=
                    &format!("\n[[notify]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl_env = \"{variable}\"\n{more}");
                variables.push((variable, url));
                names.push(name);
            }
        }
        variables.push(("GENIE".to_owned(), "g3n1eK3yg3n1eK3y".to_owned()));
        for (name, value) in &variables {
            w.env.insert(Box::leak(name.clone().into_boxed_str()), Box::leak(value.clone().into_boxed_str()));
        }
        let hook = Receiver::listen(w, &mut servers).await;
        text += &webhook("hook", &hook);
        let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(1200).await;
        let mut found = leaks("status", &serde_json::to_string(&*agent.status()).unwrap());
        assert!(!agent.status().notifiers.is_empty(), "they do not deliver, and that is said");
        let bodies = hook.bodies();
        assert!(bodies.iter().any(|b| b["kind"] == "notifier_failing"));
        found.extend(bodies.iter().flat_map(|b| leaks("a notice", &b.to_string())));
        for path in ["/", "/api/v1/status"] {
            found.extend(leaks(path, &agent.get(path).await.1));
        }
        agent.stop().await;
        // Commands have the same texts, from the state or by themselves.
        let file = w.folder.path().join("ringback.toml");
        std::fs::write(&file, &text).unwrap();
        let mut commands = vec![vec!["notify".to_owned(), "--log".to_owned()]];
        commands.extend(names.iter().map(|name| ["notify", "--test", name].map(str::to_owned).to_vec()));
        for words in commands {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
            command.args(&words).arg("--config").arg(&file).envs(variables.clone());
            command.env("TWILIO_AUTH_TOKEN", &w.sim.scenario().account.auth_token);
            command.env("RINGBACK_TOKEN", "open sesame").env("HOOK_KEY", "a key");
            let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
            assert!(text.contains("HTTP ") || text.contains("credentials") || words[1] == "--log", "{words:?}: {text}");
            found.extend(leaks(&words.join(" "), &text));
        }
        assert_eq!(found, Vec::<String>::new());
    });
}
