//! Law 11: no secret and no caller's number in anything that people or other programs read.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::agent::DAY;
use crate::support::after_a_failure;
use crate::world::{World, play};

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// The numbers of all other parties, as the log of calls has them, in each of their dresses.
async fn strangers(w: &World) -> BTreeSet<String> {
    let account = w.sim.scenario().account;
    let mut found = BTreeSet::new();
    let mut next = Some(format!("/2010-04-01/Accounts/{}/Calls.json?PageSize=1000", account.sid));
    while let Some(path) = next {
        let url = format!("{}{path}", w.base_url);
        let request = reqwest::Client::new().get(url).basic_auth(account.sid, Some(&account.auth_token));
        let page: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
        for row in page["calls"].as_array().unwrap() {
            if row["direction"] == "inbound" {
                for key in ["from", "from_formatted"] {
                    found.extend(
                        row[key].as_str().filter(|s| s.len() > 6).map(|s| s.trim_start_matches('+').to_owned()),
                    );
                }
            }
        }
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    found
}

#[test]
fn nothing_that_is_read_has_a_secret_or_a_callers_number() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let url = "https://ringback:hunter2@app.example.com/voice?token=t0psecret";
    let faults: String = [("bad-row", 400), ("unknown", 800), ("server-error", 1300)]
        .map(|(kind, at)| format!("\n[[event]]\nat = \"{at}s\"\nfault = {{ kind = \"{kind}\", for = \"200s\" }}\n"))
        .concat();
    let day = format!("{}{faults}", DAY.replace("https://app.example.com/voice", url));
    play(&day, async |w| {
        w.env.insert("RINGBACK_TOKEN", "adm1nt0ken");
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        w.sim.set_handler(url, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1800).await;
        let [status, metrics] = [agent.get("/api/v1/status").await.1, agent.get("/metrics").await.1];
        assert!(status.contains(crate::world::BIN), "it was swapped");
        // Every command of an operator, what they come to, and what is said to those who err.
        let mut said = String::new();
        let on = |extra: Value| {
            let mut ask = json!({"group": "support", "channel": "voice", "reason": "drill"});
            ask.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            ask
        };
        for (verb, ask) in [
            ("hold", json!({"numbers": ["+15005550101"], "reason": "look", "seconds": 60})),
            ("release", json!({"numbers": ["+15005550101"], "reason": "looked"})),
            ("restore", on(json!({"dry_run": true}))),
            ("restore", on(json!({"at_once": true, "force": true}))),
            ("rollback", on(json!({}))),
            ("mode", json!({"mode": "confirm", "reason": "careful"})),
            ("approve", json!({"decision": "D1", "reason": "yes"})),
            ("ported", json!({"group": "support", "reason": "it is"})),
            ("rollback", json!({"group": "nobody", "reason": "typo"})),
            ("rollback", json!({"numbers": ["+1212"], "reason": "typo"})),
        ] {
            let answer = reqwest::Client::new()
                .post(format!("{}/api/v1/{verb}", agent.url))
                .bearer_auth("adm1nt0ken")
                .header("content-type", "application/json")
                .body(ask.to_string());
            said += &answer.send().await.unwrap().text().await.unwrap();
            w.pass(60).await;
        }
        let wrong = reqwest::Client::new().post(format!("{}/api/v1/hold", agent.url)).bearer_auth("adm1nt0keN");
        said += &wrong.send().await.unwrap().text().await.unwrap();
        for path in ["/", "/-/ready", "/api/v1/numbers", "/api/v1/decisions", "/api/v1/openapi.json", "/metrics"] {
            said += &agent.get(path).await.1;
        }
        for id in 1..12 {
            for what in ["decisions", "orders"] {
                said += &agent.get(&format!("/api/v1/{what}/D{id}")).await.1;
            }
        }
        assert!(said.contains("\"restored\"") && said.contains("held until"), "{said}");
        let said = &said;
        let is_decided = said.contains("\"verdict\":\"follows\"");
        assert!(is_decided, "a decision was explained");
        agent.stop().await;
        // The command line, as a process.
        std::fs::write(w.folder.path().join("ringback.toml"), w.config_text()).unwrap();
        let mut printed = String::new();
        for words in [&["explain", "D1"][..], &["explain", "D1", "--json"], &["journal", "--verify"], &["status"]] {
            let out = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
                .args(words)
                .arg("--config")
                .arg(w.folder.path().join("ringback.toml"))
                .env("TWILIO_AUTH_TOKEN", &w.sim.scenario().account.auth_token)
                .env("RINGBACK_TOKEN", "adm1nt0ken")
                .output()
                .unwrap();
            printed += &(String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr));
        }
        assert!(printed.contains("records, whole"), "{printed}");
        std::fs::remove_file(w.folder.path().join("ringback.toml")).unwrap();
        let mut state = String::new();
        for file in std::fs::read_dir(w.folder.path()).unwrap() {
            state += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
        }
        let strangers = strangers(w).await;
        assert!(strangers.len() > 100, "{}", strangers.len());
        let account = w.sim.scenario().account;
        let basic = base64::prelude::BASE64_STANDARD.encode(format!("{}:{}", account.sid, account.auth_token));
        let secrets = [account.auth_token.as_str(), &basic, "adm1nt0ken"];
        let in_urls = ["hunter2", "t0psecret"];
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        assert!(log.contains("a row cannot be understood") && log.contains("rolling back"));
        // The journal has the number's whole record, or it could not be restored.
        for (name, text, has_urls) in [
            ("log", &log, false),
            ("status", &status, false),
            ("metrics", &metrics, false),
            ("state", &state, true),
            // A decision's explanation has the snapshot and what was written, which are the number's own.
            ("API", said, true),
            ("command line", &printed, true),
        ] {
            let urls = in_urls.into_iter().filter(|_| !has_urls);
            for secret in secrets.into_iter().chain(urls).chain(strangers.iter().map(String::as_str)) {
                if let Some(i) = text.find(secret) {
                    let from = text.floor_char_boundary(i.saturating_sub(300));
                    panic!("{secret:?} is in the {name}: {}", &text[from..text.ceil_char_boundary(i + 100)]);
                }
            }
        }
    });
    drop(guard);
}

/// A core dump would have all that is in memory: what an agent was told of callers within the last
/// answers, and the token. So none is written, whatever the shell allows.
#[cfg(target_os = "linux")]
#[test]
fn an_agent_leaves_no_core_dump() {
    let folder = crate::world::Folder::new();
    let config = folder.path().join("ringback.toml");
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // Nobody answers there for long: the agent starts blind, and lives.
    let text = format!(
        "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\nbase_url = \"http://{}\"\ntimeout = \"1s\"\n\
         [agent]\nlisten = \"127.0.0.1:0\"\n[[group]]\nname = \"a\"\nnumbers = [\"+15005550100\"]\n",
        listen.local_addr().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["run", "--config"])
        .arg(&config)
        .env("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Its first line: from then on.
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["1", "1"], "{core}");
}

#[test]
fn no_secret_and_no_callers_number_is_in_the_state_the_metrics_or_the_api() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        agent.post("restore", json!({"group": "support", "at_once": true, "reason": "drill"})).await;
        w.pass(60).await;
        let mut all = String::new();
        for path in ["/metrics", "/api/v1/status", "/api/v1/numbers", "/api/v1/decisions", "/api/v1/decisions/D1"] {
            all += &agent.get(path).await.1;
        }
        // Callers as Twilio's log has them.
        let account = &w.sim.scenario().account;
        let calls = reqwest::Client::new()
            .get(format!("{}/2010-04-01/Accounts/{}/Calls.json?PageSize=1000", w.base_url, account.sid))
            .basic_auth(account.sid.to_string(), Some(&account.auth_token))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let calls: Value = serde_json::from_str(&calls).unwrap();
        let ours: Vec<String> = agent.status().numbers().map(|(_, n)| n.number.to_string()).collect();
        let callers: Vec<String> = calls["calls"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|c| [c["from"].as_str(), c["to"].as_str()])
            .flatten()
            .filter(|n| n.starts_with('+') && !ours.iter().any(|o| o == n))
            .map(str::to_owned)
            .collect();
        assert!(callers.len() > 20);
        agent.stop().await;
        let mut bytes = all.into_bytes();
        for file in std::fs::read_dir(w.folder.path()).unwrap() {
            bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let found = |what: &str| bytes.windows(what.len()).any(|w| w == what.as_bytes());
        assert!(found("+15005550100"), "ours are there");
        for caller in callers.iter().take(200) {
            assert!(!found(&caller[1..]), "{caller}");
        }
        assert!(!found(&account.auth_token) && !found("open sesame"));
    });
}
