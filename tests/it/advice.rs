//! What people are advised to do can be done: a command that would be refused says so, after what ends that; the button
//! that stands out is the right one; and one blindness is one trouble.

use ringback::agent::publish::trouble::TroubleKind;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Happening};
use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probes::busy;
use crate::receiver::{Receiver, webhook};
use crate::support::{after_a_failure, break_app, with_token};
use crate::world::{Running, World, play};

/// The buttons of a page that stand out: how, and what they say.
async fn buttons(agent: &Running, path: &str) -> Vec<String> {
    let (code, page) = agent.get(path).await;
    assert_eq!(code, 200, "{path}");
    let one = |rest: &str| {
        let (class, rest) = rest.split_once('"')?;
        let text = rest.split_once('>')?.1.split_once("</a>")?.0;
        (class != "quiet").then(|| format!("{} {text}", class.trim()).trim().to_owned())
    };
    page.split("<a class=\"button ").skip(1).filter_map(one).collect()
}

/// The same of the first number's, its group's and the first page.
async fn all_buttons(agent: &Running) -> [Vec<String>; 3] {
    let number = buttons(agent, "/numbers/%2B15005550100").await;
    [number, buttons(agent, "/groups/support").await, buttons(agent, "/").await]
}

/// What the status advises of the first trouble, each step in a line with its command.
fn advice(agent: &Running) -> String {
    let status = agent.status();
    let first = status.troubles.first().map_or(&[][..], |t| t.next.as_slice());
    first.iter().map(|s| format!("{} $ {}\n", s.text, s.command.as_deref().unwrap_or_default())).collect()
}

async fn did(agent: &Running, verb: &str, body: serde_json::Value) {
    let (code, said) = agent.post(verb, body).await;
    assert_eq!(code, 200, "{verb}: {said}");
}

#[test]
fn what_is_advised_and_what_stands_out_is_what_can_be_done_now() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let none: Vec<String> = Vec::new();
        assert_eq!(all_buttons(&agent).await, [none.clone(), none.clone(), none.clone()], "nothing is wrong");
        break_app(w);
        w.pass(900).await;
        // The handler is to be repaired first: Restore is there, and does not stand out.
        assert_eq!(all_buttons(&agent).await.concat(), none);
        assert!(advice(&agent).contains("then restore $ ringback restore --group support"), "{}", advice(&agent));
        assert!(agent.get("/groups/support").await.1.contains("Restore…"));
        // Held: the hold goes first, and is all that stands out.
        did(&agent, "hold", json!({"group": "support", "reason": "we look", "author": "ann", "seconds": 7200})).await;
        w.pass(2).await;
        let said = advice(&agent);
        assert!(said.starts_with("To release the hold $ ringback release --group support --reason"), "{said}");
        assert!(said.contains("then restore (refused now: held until ") && said.contains("(ann: we look)"), "{said}");
        let release = "Release group support…".to_owned();
        let [number, group, first] = all_buttons(&agent).await;
        assert_eq!((&number, &group), (&vec![release.clone()], &vec![release.clone()]));
        assert!(first.iter().all(|b| *b == release), "{first:?}");
        did(&agent, "release", json!({"group": "support", "reason": "done"})).await;
        // In observe nothing is written.
        did(&agent, "mode", json!({"mode": "observe", "reason": "enough"})).await;
        w.pass(2).await;
        let said = advice(&agent);
        assert!(said.starts_with("Let Ringback write, with your approval each time $ ringback mode confirm"), "{said}");
        assert!(said.contains("then restore (refused now: the mode is observe"), "{said}");
        assert_eq!(all_buttons(&agent).await.concat(), none);
        did(&agent, "mode", json!({"mode": "auto", "reason": "on"})).await;
        // After a relapse it waits, and says until when.
        let all = json!({"group": "support", "channel": "voice", "reason": "too early", "at_once": true});
        did(&agent, "restore", all.clone()).await;
        w.pass(900).await;
        let said = advice(&agent);
        assert!(said.contains("then restore (refused now: the last restore relapsed: not before "), "{said}");
        assert!(said.contains(" UTC, unless forced (--force)) $ ringback restore --group support"), "{said}");
        assert_eq!(all_buttons(&agent).await.concat(), none);
        let (_, plan) = agent.post("restore", all).await;
        assert_eq!(plan["lines"][0]["action"], "refuse", "as it was said: {plan}");
        agent.stop().await;
    });
}

#[test]
fn no_rollback_stands_out_where_it_would_not_cure() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let change = json!({"group": "sales", "busy": 1.0});
        w.sim.happen(Happening::Traffic(serde_json::from_value(change).unwrap())).unwrap();
        w.pass(1800).await;
        let status = agent.status();
        assert!(status.troubles.iter().any(|t| t.kind == TroubleKind::NotCurable), "{:?}", status.troubles);
        for path in ["/", "/groups/sales", "/numbers/%2B15005550200"] {
            let out = buttons(&agent, path).await;
            assert!(out.iter().all(|b| !b.starts_with("danger")), "{path}: {out:?}");
        }
        assert!(agent.get("/groups/sales").await.1.contains("<strong>Next:</strong> Call the number"));
        agent.stop().await;
    });
    // A fallback that is known to fail is repaired first.
    let dead = busy("").replace("does = \"answer\"", "does = \"dead\"");
    play(&dead, async |w| {
        with_token(w);
        let agent = crate::probes::start(w, "every = \"10m\"").await;
        w.pass(300).await;
        break_app(w);
        w.pass(1200).await;
        let status = agent.status();
        assert!(status.troubles.iter().any(|t| t.kind == TroubleKind::Unproven), "{:?}", status.troubles);
        assert_eq!(all_buttons(&agent).await.concat(), [""; 0]);
        let page = agent.get("/groups/support").await.1;
        assert!(page.contains("<strong>Next:</strong> Repair https://handler.twilio.com/twiml/"), "{page}");
        agent.stop().await;
    });
}

/// Twilio refuses the credentials: whatever channels that costs, people are told of one trouble.
#[test]
fn one_blindness_is_told_once() {
    let app = "voice_url = \"https://app.example.com/voice\"";
    let day = DAY
        .replace("failure = 0.0 }", "failure = 0.0, messages_per_hour = 60 }")
        .replace(app, &format!("{app}, sms_url = \"https://app.example.com/text\""));
    play(&day, async |w: &mut World| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = crate::notices::start(w, &webhook("hook", &hook)).await;
        w.pass(1200).await;
        assert_eq!(agent.status().blindness.len(), 2, "voice and messaging are watched");
        w.sim.fault(ApiFault::new(ApiFaultKind::Unauthorized, ApiFaultScope::Any)).unwrap();
        w.pass(600).await;
        let status = agent.status();
        let blind: Vec<_> = status.troubles.iter().filter(|t| t.kind == TroubleKind::Blind).collect();
        assert_eq!(blind.len(), 1, "{blind:?}");
        assert!(blind[0].title.ends_with("voice and messaging") && blind[0].numbers.len() == 6, "{:?}", blind[0]);
        let told = hook.bodies();
        assert!(told.iter().all(|n| n["key"] == "blind" && n["status"] == "firing"), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
        let text = told[0]["text"].as_str().unwrap();
        assert!(text.contains("Ringback is blind: voice and messaging"), "{text}");
        assert_eq!(text.matches("Mend the credentials").count(), 1, "{text}");
        w.sim.calm();
        w.pass(600).await;
        let told = hook.bodies();
        assert_eq!((told.len(), &told[told.len() - 1]["status"]), (2, &json!("resolved")), "{told:?}");
        agent.stop().await;
    });
}
