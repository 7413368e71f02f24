//! Law 11 at every field that may hold a URL of a number: user, password, path, query and fragment of each are in no
//! log, notice, answer, metric or output, and nowhere but in the state, which nobody else may read.
//!
//! And what others write, Twilio's audit log above all, comes out nowhere as an order to a terminal or a chat.

use std::time::Duration;

use ringback::core::model::id::E164;
use ringback::core::model::time::Time;
use ringback::core::notice::Notice;
use ringback::notify::email::Mailbox;
use ringback::notify::{Notifier, NotifyChannel};
use ringback::sim::{Edit, HandlerCondition, HandlerState, Happening};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::privacy::Log;
use crate::probe_trouble::between;
use crate::receiver::{Receiver, webhook};
use crate::support::{listen, support, with_token};
use crate::world::{BIN, Folder, Running, World, play};

/// A part of every secret below.
pub const SECRETS: [&str; 6] = ["u5er", "p4ss", "p4th", "m4trix", "qu3ry", "fr4g"];

/// A URL that has a secret in each of its parts, `of` in each secret.
pub fn url(of: &str) -> String {
    format!("https://{of}u5er:{of}p4ss@app.example.com/voice/{of}p4th9Zq;k={of}m4trix?token={of}qu3ry#{of}fr4g")
}

/// The day with such URLs in every field.
fn day() -> String {
    let all: Vec<String> =
        ["voice_fallback_url", "sms_url", "sms_fallback_url", "status_callback"].map(|f| field(f, f)).into();
    let support = format!("{}, {}", field("voice_url", "voice"), all.join(", "));
    let application = "AP00000000000000000000000000000001";
    let sales = format!("application = \"{application}\", {}", all.join(", "));
    let fields: Vec<String> =
        ["voice_url", "voice_fallback_url", "sms_url"].map(|f| field(f, &format!("app{f}"))).into();
    DAY.replace("voice_url = \"https://app.example.com/voice\"", &support)
        .replace("voice_url = \"https://sales.example.com/voice\"", &sales)
        + &format!("\n[[application]]\nsid = \"{application}\"\nfriendly_name = \"IVR\"\n{}\n", fields.join("\n"))
}

fn field(name: &str, of: &str) -> String {
    format!("{name} = \"{}\"", url(of))
}

fn edit(number: E164, of: &str) -> Happening {
    let names = [("VoiceUrl", "voice"), ("VoiceFallbackUrl", "back"), ("StatusCallback", "status")];
    let set = names.map(|(name, which)| (name.to_owned(), url(&format!("{of}{which}")))).into();
    Happening::Edit(Edit { number, set })
}

/// What every kind of notifier sends of a notice.
fn rendered(notice: &Notice) -> String {
    let secret = || SecretString::from("https://receiver.example.com".to_owned());
    let mailbox = Mailbox {
        url: SecretString::from("smtp://mail.example.com".to_owned()),
        from: "a@example.com".parse().unwrap(),
        to: vec!["b@example.com".parse().unwrap()],
    };
    let channels = [
        NotifyChannel::Desktop,
        NotifyChannel::Slack { url: secret() },
        NotifyChannel::Teams { url: secret() },
        NotifyChannel::PagerDuty { url: secret(), key: secret() },
        NotifyChannel::Opsgenie { url: secret(), key: secret() },
        NotifyChannel::Alertmanager { url: secret() },
        NotifyChannel::Email(mailbox),
        NotifyChannel::Webhook { url: secret(), key: None },
        NotifyChannel::Command { argv: vec!["page".to_owned()] },
    ];
    let one = |channel| {
        let notifier = Notifier {
            name: "any".to_owned(),
            channel,
            severities: [].into(),
            groups: Vec::new(),
            per_minute: 1,
            timeout: Duration::from_secs(1),
            through_twilio: None,
        };
        notifier.render(notice).to_string()
    };
    channels.map(one).concat()
}

/// All that the agent answers to whoever asks.
async fn said(agent: &Running) -> Vec<(String, String)> {
    let mut paths: Vec<String> = ["/", "/-/ready", "/metrics"].map(str::to_owned).into();
    paths.extend(["status", "numbers", "decisions", "openapi.json"].map(|p| format!("/api/v1/{p}")));
    for id in 1..20 {
        paths.extend(["decisions", "orders"].map(|what| format!("/api/v1/{what}/D{id}")));
    }
    let mut all = Vec::new();
    for path in paths {
        let text = agent.get(&path).await.1;
        all.push((path, text));
    }
    all
}

/// What the commands print that read the state beside no agent.
fn printed(w: &World) -> Vec<(String, String)> {
    std::fs::write(w.folder.path().join("ringback.toml"), config(w)).unwrap();
    let mut all = Vec::new();
    let commands = [
        &["journal", "--verify"][..],
        &["journal", "--steps"],
        &["journal", "--steps", "--json"],
        &["status"],
        &["explain", "D1", "--records"],
        &["explain", "D1", "--json"],
    ];
    let more = ["D2", "D3", "D4", "D5"].map(|id| ["explain", id, "--json"]);
    for words in commands.into_iter().chain(more.iter().map(|w| &w[..])) {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(words)
            .arg("--config")
            .arg(w.folder.path().join("ringback.toml"))
            .env("TWILIO_AUTH_TOKEN", &w.sim.scenario().account.auth_token)
            .env("RINGBACK_TOKEN", "open sesame")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        all.push((words.join(" "), text.into_owned()));
    }
    std::fs::remove_file(w.folder.path().join("ringback.toml")).unwrap();
    all
}

/// The configuration, in which the fallback has secrets of its own.
fn config(w: &World) -> String {
    w.config_text().replace(BIN, &format!("{BIN}?token=f4llqu3ry"))
}

/// Everything in which a secret stands, with the words around it.
pub fn leaks(texts: &[(String, String)], secrets: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in texts {
        for secret in secrets {
            if let Some(i) = text.find(secret) {
                let around = &text[text.floor_char_boundary(i.saturating_sub(120))..text.ceil_char_boundary(i + 60)];
                found.push(format!("{secret} is in {name}: {around}"));
            }
        }
    }
    found
}

/// What somebody may be called who means harm: orders to terminals and chats, and what nobody sees.
const HOSTILE: &str = "<!channel> *b*\r\nERROR forged=line\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}gnp\u{2066}\u{200b}\
                       \u{feff}\u{e0041}\u{2028}[win](https://u:hostp4ss@evil.example/?t=hostqu3ry) {{ . }} @here";

/// Orders and what nobody sees, in a text whose lines may end and whose words may be apart.
fn harmful(text: &str) -> Option<(usize, char)> {
    let is_seen = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2061}'..='\u{206f}'
                | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    text.char_indices().find(|(_, c)| !matches!(c, '\n' | '\t' | '\r') && !is_seen(*c))
}

#[test]
fn what_others_write_is_an_order_to_nobody() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_target(false)
        .with_writer(log.clone())
        .finish();
    let guard = listen(subscriber);
    play(DAY, async |w| {
        with_token(w);
        w.env.insert("HOOK_KEY", "a key");
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let refused = w.sim.number(support()[1]).unwrap()["sid"].as_str().unwrap().to_owned();
        between(w, &mut servers, move |passing| {
            let hostile = HOSTILE.to_owned() + &"A".repeat(100_000);
            if passing.path.contains("/v1/Events") {
                let mut page = passing.json().unwrap();
                for row in page["events"].as_array_mut().unwrap() {
                    row["actor_sid"] = hostile.clone().into();
                    row["source"] = HOSTILE.into();
                }
                passing.set(&page);
            } else if passing.path.contains("/v1/Alerts") && passing.path.contains("LogLevel=warning") {
                passing.status = 400;
                passing.set(&json!({"code": 20001, "status": 400, "message": hostile}));
            } else if passing.path.contains(&refused) {
                passing.status = 403;
                passing.headers.insert("content-type", "text/html".parse().unwrap());
                passing.body = format!("<html>\u{1b}[2J{hostile}</html>").into_bytes();
            }
        })
        .await;
        let text = w.config_text() + &webhook("hook", &hook);
        let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        w.pass(300).await;
        w.sim.happen(edit(support()[2], "drift")).unwrap();
        w.pass(300).await;
        crate::support::break_app(w);
        w.pass(900).await;
        let reason =
            "look\u{202e}gnp\u{200b} <!channel> https://u:reasonp4ss@h/?token=reasonqu3ry for +44 20 7946 0123";
        let ask = json!({"group": "sales", "reason": reason, "author": "ann\u{2066} 442079460123", "seconds": 600});
        assert_eq!(agent.post("hold", ask).await.0, 200);
        w.pass(60).await;
        let mut texts = said(&agent).await;
        assert!(texts.iter().any(|(_, text)| text.contains("look")), "the hold is told");
        agent.stop().await;
        texts.extend(printed(w));
        for got in hook.taken() {
            let notice: Notice = serde_json::from_value(got.body.clone()).unwrap();
            texts.push((format!("a notice: {}", notice.kind.label()), got.text + &rendered(&notice)));
            texts.push(("a notice's text".to_owned(), notice.text()));
        }
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        assert!(log.contains("somebody else changed this number") && log.contains("forged=line"), "{log}");
        assert!(!log.lines().any(|line| line.starts_with("ERROR")), "a line of theirs");
        let longest = log.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest < 6000, "{longest} characters in one line");
        texts.push(("log".to_owned(), log));
        let state = crate::guards::drifts(w).await;
        assert!(!state.is_empty(), "the change is in the state");
        for drift in state {
            let actor = drift["actor"].as_str().unwrap().to_owned();
            assert!(actor.chars().count() <= 500 && !actor.contains('\n'), "{actor}");
            texts.push(("state".to_owned(), actor));
        }
        for (name, text) in &texts {
            if let Some((i, c)) = harmful(text) {
                let from = text.floor_char_boundary(i.saturating_sub(100));
                panic!("{c:?} is in {name}: {:?}", &text[from..text.ceil_char_boundary(i + 100)]);
            }
        }
        let found = leaks(&texts, &["hostp4ss", "hostqu3ry", "reasonp4ss", "reasonqu3ry", "7946 0123", "79460123"]);
        assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
        servers.shutdown().await;
    });
    drop(guard);
}

#[test]
fn what_is_secret_in_a_numbers_urls_is_told_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = listen(subscriber);
    play(&day(), async |w| {
        with_token(w);
        w.env.insert("HOOK_KEY", "a key");
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let text = config(w) + &webhook("hook", &hook);
        let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
        w.pass(600).await;
        // Somebody else changes a number; its handler and another fail; the changed one is swapped by hand.
        w.sim.happen(edit(support()[2], "drift")).unwrap();
        w.pass(300).await;
        w.sim.set_handler(&url("voice"), HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1200).await;
        let on = |number: usize, extra: Value| {
            let mut ask = json!({"numbers": [support()[number]], "channel": "voice", "reason": "drill"});
            ask.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            ask
        };
        let mut texts = Vec::new();
        for (verb, ask) in [
            ("rollback", on(2, json!({}))),
            ("rollback", json!({"group": "sales", "reason": "drill"})),
            ("restore", on(0, json!({"dry_run": true, "at_once": true}))),
        ] {
            texts.push((verb.to_owned(), agent.post(verb, ask).await.1.to_string()));
            w.pass(120).await;
        }
        // Somebody else takes swapped numbers; what is restored then is theirs.
        w.sim.set_handler(&url("voice"), HandlerState::all(HandlerCondition::Healthy)).unwrap();
        for n in 0..2 {
            w.sim.happen(edit(support()[n], "theirs")).unwrap();
        }
        let ask = json!({"numbers": [support()[1]], "channel": "voice", "at_once": true, "reason": "drill"});
        texts.push(("restore".to_owned(), agent.post("restore", ask).await.1.to_string()));
        w.pass(300).await;
        texts.push(("restore".to_owned(), agent.post("restore", on(0, json!({"at_once": true}))).await.1.to_string()));
        w.pass(60).await;
        let force = on(0, json!({"at_once": true, "force": true}));
        texts.push(("restore".to_owned(), agent.post("restore", force).await.1.to_string()));
        w.pass(20).await;
        let status = agent.status();
        texts.push(("status in Debug".to_owned(), format!("{status:?}")));
        texts.extend(said(&agent).await);
        let all: String = texts.iter().map(|(_, text)| text.as_str()).collect();
        for seen in ["\"snapshot\"", "\"intent\"", "\"superseded\"", "somebody else changed it", "\"restored\""] {
            assert!(all.contains(seen), "{seen}");
        }
        agent.stop().await;
        texts.extend(printed(w));
        let kinds: Vec<String> = hook.kinds().into_iter().map(|(kind, _)| kind).collect();
        assert!(kinds.contains(&"drift".to_owned()) && kinds.contains(&"rolled_back".to_owned()), "{kinds:?}");
        for got in hook.taken() {
            let notice: Notice = serde_json::from_value(got.body.clone()).unwrap();
            texts.push((format!("a notice: {}", notice.kind.label()), got.text + &rendered(&notice)));
        }
        texts.push(("log".to_owned(), String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned()));
        assert!(texts.last().unwrap().1.contains("somebody else changed this number"));
        let found = leaks(&texts, &SECRETS);
        assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
        // The state has them, or nothing could be put back; so nobody else may read it.
        use std::os::unix::fs::PermissionsExt as _;
        for file in std::fs::read_dir(w.folder.path()).unwrap() {
            let file = file.unwrap();
            // Of the rest only the key says something.
            if !file.file_name().to_string_lossy().contains(".db") {
                continue;
            }
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
        servers.shutdown().await;
    });
    drop(guard);
}

#[test]
fn what_is_secret_in_a_recording_is_in_no_decision_of_a_replay() {
    let dir = Folder::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let start: Time = "2026-11-21T09:00:00Z".parse().unwrap();
    let at = |seconds: u64| (start + Duration::from_secs(seconds)).to_string();
    let number = json!({
        "sid": "PN00000000000000000000000000000001", "phone_number": "+15005550100", "voice_url": url("voice"),
        "voice_fallback_url": url("back"), "status_callback": url("status"), "friendly_name": url("name"),
    });
    let mut lines = vec![json!({ "seen_at": at(0), "kind": "number", "resource": number })];
    for i in 0..20 {
        let (sid, began) = (format!("CA{i:032x}"), at(60 + i * 40));
        let call = json!({
            "sid": sid, "to": "+15005550100", "from": format!("+1917555{i:04}"), "status": "completed",
            "direction": "inbound", "start_time": began, "end_time": began, "duration": "3",
        });
        let alert = json!({
            "sid": format!("NO{i:032x}"), "resource_sid": sid, "error_code": "11200", "log_level": "error",
            "request_url": url("voice"), "date_created": began, "alert_text": url("text"),
        });
        lines.push(json!({ "seen_at": at(63 + i * 40), "kind": "call", "resource": call }));
        lines.push(json!({ "seen_at": at(65 + i * 40), "kind": "alert", "resource": alert }));
    }
    let rows = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let broken = rows.replacen("\"sid\":\"CA", &format!("\"sid\":{:?},\"was\":\"CA", url("sid")), 1);
    let config = "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\n\n[[group]]\nname = \"support\"\n\
                  numbers = [\"+15005550100\"]\nchannels = [\"voice\"]\n[group.fallback]\nvoice_url = \"";
    std::fs::write(path("ringback.toml"), format!("{config}{BIN}?token=fallqu3ry\"\n")).unwrap();
    for (name, text) in [("whole.jsonl", rows), ("broken.jsonl", broken)] {
        std::fs::write(path(name), text).unwrap();
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["replay", "--config", &path("ringback.toml"), "--events", &path(name), "--decisions", "-"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        assert!(told.contains("\"decision\":\"rollback\"") || name == "broken.jsonl", "{told}");
        let found = leaks(&[(name.to_owned(), told.into_owned())], &SECRETS);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
