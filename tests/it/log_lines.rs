//! Log lines are for people: they name numbers, groups and commands as people do, and show no Rust.

use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::json;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::agent::DAY;
use crate::privacy::Log;
use crate::support::listen;
use crate::world::play;

/// The parts of `line` that look like `Debug` text: `NumberIx(0)`, `Swap(Request { …`, `Scope::All`, `None`.
fn rust_in(line: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_type =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase());
        if is_type && (["(", "{", " {", "::"].iter().any(|then| after.starts_with(then)) || name == "None") {
            found.push(rest.chars().take(40).collect());
        }
        rest = after;
    }
    found
}

#[test]
fn debug_text_is_recognised() {
    for rust in [
        "numbers=[NumberIx(0)]",
        "word=Swap(Request { operation: Rollback",
        "x=Scope::All",
        "until=None",
        "Some(\"a\")",
    ] {
        assert!(!rust_in(rust).is_empty(), "{rust}");
    }
    for plain in [
        "2026-11-21T09:00:00Z INFO execute{decision=D1 group=support}: ringback::agent::execute: rolling back",
        "command=voice of +15005550101; by operator: drill (see Ann)",
        "Twilio has no such number (HTTP 404)",
    ] {
        assert_eq!(rust_in(plain), Vec::<String>::new());
    }
}

/// An hour with a broken handler, a broken API, and every command.
#[test]
fn log_lines_show_no_rust() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish()
        .with(Targets::new().with_target("ringback", tracing::Level::TRACE));
    let guard = listen(subscriber);
    let faults: String = [("bad-row", 400), ("unknown", 800), ("server-error", 1300), ("hang", 2600)]
        .map(|(kind, at)| format!("\n[[event]]\nat = \"{at}s\"\nfault = {{ kind = \"{kind}\", for = \"200s\" }}\n"))
        .concat();
    play(&format!("{DAY}{faults}"), async |w| {
        w.env.insert("RINGBACK_TOKEN", "blueh0rizon");
        let agent = w.start().await.unwrap();
        w.pass(1500).await;
        let url = "https://app.example.com/voice";
        w.sim.set_handler(url, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1500).await;
        let (group, one) = (json!({"group": "support"}), json!({"numbers": ["+15005550101"], "channel": "voice"}));
        for (verb, about, extra) in [
            ("hold", &one, json!({"seconds": 60})),
            ("hold", &group, json!({"seconds": 60})),
            ("release", &one, json!({})),
            ("release", &group, json!({})),
            ("restore", &one, json!({"at_once": true, "force": true})),
            ("rollback", &one, json!({})),
            ("restore", &group, json!({})),
            ("mode", &json!({}), json!({"mode": "confirm"})),
            ("approve", &json!({}), json!({"decision": "D1"})),
            ("ported", &group, json!({})),
        ] {
            let mut ask = json!({"reason": "drill"});
            for part in [about, &extra] {
                ask.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            let answer = reqwest::Client::new()
                .post(format!("{}/api/v1/{verb}", agent.url))
                .bearer_auth("blueh0rizon")
                .header("content-type", "application/json")
                .body(ask.to_string());
            // Resting: the agent may read numbers meanwhile, which takes time.
            w.clock.wait(None, answer.send()).await.unwrap().unwrap();
            w.pass(60).await;
        }
        agent.stop().await;
    });
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for said in ["rolling back", "a row cannot be understood", "an operator's command", "+15005550101"] {
        let warnings =
            || log.lines().filter(|l| l.contains(" WARN ") || l.contains("ERROR")).collect::<Vec<_>>().join("\n");
        assert!(log.contains(said), "{said:?} is not in\n{}", warnings());
    }
    let faults: Vec<&str> = log.lines().filter(|line| !rust_in(line).is_empty()).collect();
    assert!(faults.is_empty(), "{} of {} lines:\n{}", faults.len(), log.lines().count(), faults.join("\n"));
}
