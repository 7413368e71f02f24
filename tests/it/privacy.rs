//! Law 11: no secret and no caller's number in anything that people or other programs read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

use crate::agent::DAY;
use crate::probe_trouble::{Passing, between};
use crate::support::{after_a_failure, listen};
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
    let guard = listen(subscriber);
    let url = "https://ringback:hunter2@app.example.com/voice?token=t0psecret";
    let faults: String = [("bad-row", 400), ("unknown", 800), ("server-error", 1300)]
        .map(|(kind, at)| format!("\n[[event]]\nat = \"{at}s\"\nfault = {{ kind = \"{kind}\", for = \"200s\" }}\n"))
        .concat();
    let day = format!("{}{faults}", DAY.replace("https://app.example.com/voice", url));
    play(&day, async |w| {
        w.env.insert("RINGBACK_TOKEN", "blueh0rizon");
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
                .bearer_auth("blueh0rizon")
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
        for words in [
            &["explain", "D1", "--records"][..],
            &["explain", "D1", "--json"],
            &["journal", "--steps"],
            &["journal", "--verify"],
            &["status"],
        ] {
            let out = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
                .args(words)
                .arg("--config")
                .arg(w.folder.path().join("ringback.toml"))
                .env("TWILIO_AUTH_TOKEN", &w.sim.scenario().account.auth_token)
                .env("RINGBACK_TOKEN", "blueh0rizon")
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
        let secrets = [account.auth_token.as_str(), &basic, "blueh0rizon"];
        let in_urls = ["hunter2", "t0psecret"];
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        assert!(log.contains("a row cannot be understood") && log.contains("rolling back"));
        // The journal has the number's whole record, or it could not be restored.
        for (name, text, has_urls) in [
            ("log", &log, false),
            ("status", &status, false),
            ("metrics", &metrics, false),
            ("state", &state, true),
            ("API", said, false),
            ("command line", &printed, false),
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

/// A caller's number as a person or a program may write it.
fn writings(e164: &str) -> Vec<String> {
    let digits = e164.trim_start_matches('+');
    let national = &digits[1..];
    let [area, exchange, line] = [&national[..3], &national[3..6], &national[6..]];
    vec![
        e164.to_owned(),
        format!("%2B{digits}"),
        format!("%252B{digits}"),
        digits.to_owned(),
        national.to_owned(),
        format!("{area}-{exchange}-{line}"),
        format!("{area}.{exchange}.{line}"),
        format!("1-{area}-{exchange}-{line}"),
        format!("({area}) {exchange}-{line}"),
        format!("%28{area}%29%20{exchange}-{line}"),
        format!("{area}+{exchange}+{line}"),
        format!("+1 {area} {exchange} {line}"),
        format!("011{digits}"),
        national.bytes().map(|b| format!("%{b:02X}")).collect(),
    ]
}

/// Where in a URL it may stand.
fn urls(writing: &str) -> [String; 8] {
    [
        format!("https://relay.example.com/outbound/{writing}"),
        format!("https://relay.example.com/from/{writing}/to/+15005550100?x=1"),
        format!("https://{writing}:sw0rdfish@relay.example.com/voice"),
        format!("https://relay.example.com/voice?From={writing}&token=sw0rdfish"),
        format!("https://relay.example.com/voice#{writing}"),
        format!("https://relay.example.com/voice;from={writing};a=b"),
        format!("sip:{writing}@relay.example.com;transport=tcp"),
        format!("tel:{writing}"),
    ]
}

/// `text` without percent signs that stand for something.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let code = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let code = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok());
        out.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    out
}

/// The national digits of every number of ten that stands in `text`, however it is written.
fn tens(text: &[u8]) -> BTreeSet<String> {
    let text = decoded(&decoded(text));
    let (mut run, mut found) = (String::new(), BTreeSet::new());
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                run.push(byte.into());
                if let Some(start) = run.len().checked_sub(10) {
                    found.insert(run[start..].to_owned());
                }
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'+' => {}
            _ => run.clear(),
        }
    }
    found
}

/// Twilio as it is at a company whose URLs have the caller in them, and whose resources are named after callers.
#[derive(Default)]
struct Talkative {
    /// Who called, by the call's SID.
    callers: BTreeMap<String, String>,
    asked: usize,
}

impl Talkative {
    fn writing(&mut self) -> Option<String> {
        self.asked += 1;
        let caller = self.callers.values().nth(self.asked % self.callers.len().max(1))?;
        let all = writings(caller);
        Some(all[self.asked % all.len()].clone())
    }

    fn refuse(&mut self, passing: &mut Passing) {
        let Some(writing) = self.writing() else { return };
        passing.status = 400;
        passing.set(&json!({
            "code": 21211, "status": 400, "more_info": "https://www.twilio.com/docs/errors/21211",
            "message": format!("{writing} is wrong, see {}", urls(&writing)[self.asked % 8]),
        }));
    }

    fn change(&mut self, passing: &mut Passing, refused: &str) {
        let path = passing.path.clone();
        let Some(mut page) = passing.json() else { return };
        let is = |what: &str| path.contains(what);
        if is("/Calls.json") {
            let rows = page["calls"].as_array_mut().unwrap();
            for row in rows.iter().filter(|r| r["direction"] == "inbound") {
                let text = |key: &str| row[key].as_str().unwrap().to_owned();
                if text("from").len() == 12 {
                    self.callers.insert(text("sid"), text("from"));
                }
            }
            if let Some(writing) = self.writing().filter(|_| self.asked.is_multiple_of(9)) {
                rows.push(json!({ "sid": writing, "direction": "inbound", "to": "+15005550100", "from": writing }));
                rows.push(json!({ "sid": "CA00000000000000000000000000000077", "direction": "inbound",
                    "to": "+15005550100", "status": writing, "start_time": writing, "caller_name": writing }));
            }
        } else if is("/v1/Alerts") && self.asked.is_multiple_of(10) {
            return self.refuse(passing);
        } else if is("/v1/Alerts") {
            let rows = page["alerts"].as_array_mut().unwrap();
            let mut more = Vec::new();
            for row in rows.iter() {
                let Some(caller) = row["resource_sid"].as_str().and_then(|sid| self.callers.get(sid)) else { continue };
                let all = writings(caller).into_iter().flat_map(|w| urls(&w).map(|url| (w.clone(), url)));
                for (i, (writing, url)) in all.enumerate() {
                    let mut another = row.clone();
                    let sid = row["sid"].as_str().unwrap();
                    another["sid"] = format!("NO{i:03x}{}", &sid[5..]).into();
                    another["alert_text"] = format!("Msg={writing}&url={url}").into();
                    another["request_url"] = url.into();
                    more.push(another);
                }
            }
            rows.extend(more);
        } else if is("/IncomingPhoneNumbers.json") {
            let Some(writing) = self.writing() else { return };
            let rows = page["incoming_phone_numbers"].as_array_mut().unwrap();
            let mut foreign = rows[0].clone();
            foreign["friendly_name"] = writing.clone().into();
            foreign["phone_number"] = self.callers.values().next().cloned().into();
            rows.push(foreign);
            if self.asked.is_multiple_of(5) {
                rows.push(
                    json!({ "sid": "PN1", "phone_number": writing, "friendly_name": writing, "status": writing }),
                );
            }
        } else if is("/v1/Events") {
            let Some(writing) = self.writing() else { return };
            for row in page["events"].as_array_mut().unwrap() {
                row["actor_sid"] = writing.clone().into();
            }
        } else if is("/v2/PhoneNumbers") || is(refused) {
            return self.refuse(passing);
        }
        passing.set(&page);
    }
}

#[test]
fn a_callers_number_in_twilios_texts_is_kept_and_told_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).finish();
    let guard = listen(subscriber);
    play(DAY, async |w| {
        w.env.insert("RINGBACK_TOKEN", "open sesame");
        let twilio = Arc::new(Mutex::new(Talkative::default()));
        let refused = w.sim.number("+15005550102".parse().unwrap()).unwrap()["sid"].as_str().unwrap().to_owned();
        let mut servers = JoinSet::new();
        let changing = twilio.clone();
        between(w, &mut servers, move |passing| changing.lock().unwrap().change(passing, &refused)).await;
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        let url = "https://app.example.com/voice";
        w.sim.set_handler(url, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1800).await;
        let mut said = String::new();
        for path in ["/", "/-/ready", "/metrics", "/api/v1/status", "/api/v1/numbers", "/api/v1/decisions"] {
            said += &agent.get(path).await.1;
        }
        for id in 1..12 {
            for what in ["decisions", "orders"] {
                said += &agent.get(&format!("/api/v1/{what}/D{id}")).await.1;
            }
        }
        assert!(said.contains(crate::world::BIN), "numbers were swapped for all that");
        agent.stop().await;
        let mut state = Vec::new();
        for file in std::fs::read_dir(w.folder.path()).unwrap() {
            state.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let log = log.0.lock().unwrap().clone();
        let logged = String::from_utf8_lossy(&log);
        assert!(logged.contains("a row cannot be understood") && logged.contains("code 21211"), "{logged}");
        let stored = String::from_utf8_lossy(&state);
        for kept in ["relay.example.com/outbound/", "/to/+15005550100", "+15005550100"] {
            assert!(stored.contains(kept), "what is no caller's stays: {kept}");
        }
        let callers = std::mem::take(&mut twilio.lock().unwrap().callers);
        assert!(callers.len() > 100, "{}", callers.len());
        for (name, text) in [("log", log.as_slice()), ("API", said.as_bytes()), ("state", state.as_slice())] {
            let found = tens(text);
            let known: BTreeSet<&str> = callers.values().map(|c| &c[2..]).filter(|c| found.contains(*c)).collect();
            assert!(known.is_empty(), "{} callers are in the {name}, such as {:?}", known.len(), known.first());
            assert!(!String::from_utf8_lossy(text).contains("sw0rdfish"), "a password is in the {name}");
        }
        servers.shutdown().await;
    });
    drop(guard);
}
