//! Adoption beside everything else: an apply, its undo, a plan, what waits for a yes, a hold, the mode, an older state.

use ringback::core::rollback::entry::Entry;
use serde_json::{Value, json};

use crate::adopt::{THEIRS, adopt, count, day, drift, edit, journal, one};
use crate::handlers::{APP, DAY, NEW, asking, watching};
use crate::support::{break_app, program, support, url, with_token, writes};
use crate::world::{BIN, World, play};

/// What the file asks, and to whom the numbers are handed over.
fn owned(w: &World) -> String {
    asking(w, &format!("{NEW}owner = \"CallTracker\"\nowner_urls = [\"https://calls.example.net\"]\n"))
}

/// The line of one number, on voice.
fn line(answer: &Value) -> (String, String) {
    let text = |key: &str| answer["lines"][0][key].as_str().unwrap_or_default().to_owned();
    (text("action"), text("detail"))
}

#[test]
fn an_apply_and_its_undo_leave_what_a_person_has_adopted_unless_forced() {
    play(DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let [first, second, _] = support();
        agent.post("apply", json!({"all": true, "reason": "new app"})).await;
        w.pass(60).await;
        assert_eq!((url(w, first).as_str(), url(w, second).as_str()), (APP, APP));
        let (action, detail) = adopt(&agent, second).await;
        assert!(action == "nothing", "what an apply left is no other handler: {detail}");
        edit(w, first, THEIRS);
        let (action, detail) = adopt(&agent, first).await;
        assert!(action == "adopt" && detail.contains("[group.handler] of the file asks for another"), "{detail}");
        let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
        let found = config.replace("listen = \"127.0.0.1:0\"", &listen);
        let (code, said, _) = program(w, &found, &["plan", &first.to_string()]).await;
        assert!(code == 1 && said.contains("; what is there now was adopted by ann at 2026-"), "{said}");
        assert!(said.contains(": handed over: apply leaves it without --force"), "{said}");
        // What somebody has written since was adopted by nobody.
        edit(w, second, THEIRS);
        let (_, said, _) = program(w, &found, &["plan", &second.to_string()]).await;
        assert!(!said.contains("adopted") && said.contains("VoiceUrl"), "{said}");
        let undo = json!({"numbers": [first.to_string()], "channel": "voice", "reason": "x", "at_once": true, "applied": true, "force": true});
        let (status, said) = agent.post("restore", undo.clone()).await;
        assert_eq!((status, line(&said).0.as_str()), (200, "nothing"), "forced or not: {said}");
        let mut apply = one(first);
        let (status, said) = agent.post("apply", apply.clone()).await;
        assert_eq!(status, 200, "{said}");
        let (action, detail) = line(&said);
        assert!(action == "refuse" && detail.contains("ann: handed over") && detail.contains("force"), "{detail}");
        w.pass(60).await;
        assert_eq!((url(w, first).as_str(), writes(w)[&first]), (THEIRS, 1));
        // A restart knows it too.
        agent.stop().await;
        let agent = watching(w, &config).await;
        assert_eq!(line(&agent.post("apply", apply.clone()).await.1).0, "refuse");
        apply["force"] = json!(true);
        assert_eq!(line(&agent.post("apply", apply.clone()).await.1).0, "apply");
        w.pass(60).await;
        assert_eq!(url(w, first), APP);
        // And that is undone to what was adopted.
        assert_eq!(line(&agent.post("restore", undo).await.1).0, "undo");
        w.pass(60).await;
        assert_eq!(url(w, first), THEIRS);
        agent.stop().await;
    });
}

#[test]
fn a_plan_and_an_apply_leave_what_is_handed_over() {
    play(DAY, async |w| {
        let config = owned(w);
        let agent = watching(w, &config).await;
        let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
        let config = config.replace("listen = \"127.0.0.1:0\"", &listen);
        let [first, second, _] = support();
        edit(w, first, THEIRS);
        let (code, said, complained) = program(w, &config, &["plan"]).await;
        assert_eq!(code, 1, "{said}{complained}");
        let theirs = format!("support voice: {first}: with CallTracker, to whom they are handed over: left");
        assert!(said.contains(&theirs) && said.contains("2 to change, 1 handed over"), "{said}");
        // Of the others alone, whoever asks for all.
        let (status, said) = agent.post("apply", json!({"all": true, "channel": "voice", "reason": "new app"})).await;
        assert_eq!(status, 200, "{said}");
        w.pass(60).await;
        assert_eq!((url(w, first).as_str(), url(w, second).as_str()), (THEIRS, APP));
        assert!(!writes(w).contains_key(&first));
        let (code, said, complained) = program(w, &config, &["plan"]).await;
        assert_eq!(code, 0, "{said}{complained}");
        assert!(said.contains("nothing to do: channels of numbers: 2 as wanted, 1 handed over"), "{said}");
        let (code, said, _) = program(w, &config, &["plan", "--json"]).await;
        let json: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (code, &json["handed_over"][0]["owner"], &json["is_as_wanted"]),
            (0, &json!("CallTracker"), &json!(true))
        );
        agent.stop().await;
    });
}

/// What was seen of the handler before says nothing of the one that it has now.
#[test]
fn what_waits_for_a_yes_is_over_with_the_adoption_of_its_number() {
    play(&day(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        agent.post("mode", json!({"mode": "confirm", "reason": "ask"})).await;
        w.pass(600).await;
        break_app(w);
        let waiting = || -> Vec<String> {
            let status = agent.status();
            status.waiting.iter().flat_map(|p| p.numbers.iter().map(|n| n.e164.to_string())).collect()
        };
        for _ in 0..30 {
            w.pass(60).await;
            if waiting().len() == 3 {
                break;
            }
        }
        let [first, second, _] = support();
        assert_eq!(waiting().len(), 3, "all of them wait");
        edit(w, first, THEIRS);
        assert_eq!(adopt(&agent, first).await.0, "adopt");
        w.pass(1).await;
        assert!(!waiting().contains(&first.to_string()), "{:?}", waiting());
        assert!(waiting().contains(&second.to_string()), "the others still wait: {:?}", waiting());
        let closed =
            journal(w).await.into_iter().any(|e| matches!(e, Entry::Closed { numbers, .. } if numbers.len() == 1));
        assert!(closed, "it is said why");
        agent.stop().await;
    });
}

/// What the group's callers meet says nothing of the one number that has another handler.
#[test]
fn a_fault_of_the_others_takes_no_adopted_number_with_it_unasked() {
    play(&day(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let [first, second, third] = support();
        w.pass(300).await;
        edit(w, first, THEIRS);
        assert_eq!(adopt(&agent, first).await.0, "adopt");
        w.pass(300).await;
        break_app(w);
        for _ in 0..30 {
            w.pass(60).await;
            if url(w, second) == BIN && url(w, third) == BIN {
                break;
            }
        }
        assert_eq!((url(w, second).as_str(), url(w, third).as_str()), (BIN, BIN));
        w.pass(600).await;
        assert_eq!(url(w, first), THEIRS, "its callers are served");
        assert!(!writes(w).contains_key(&first));
        agent.stop().await;
    });
}

/// Nothing is written to a number by it: so nothing that stands against writes stands against it.
#[test]
fn a_hold_and_observe_stand_against_no_adoption() {
    play(&day(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        let [first, ..] = support();
        agent.post("mode", json!({"mode": "observe", "reason": "look"})).await;
        agent.post("hold", json!({"all": true, "reason": "look"})).await;
        edit(w, first, THEIRS);
        assert_eq!(adopt(&agent, first).await.0, "adopt");
        assert_eq!(drift(&agent, first).await, 0.0);
        assert!(writes(w).is_empty());
        agent.stop().await;
    });
}

/// A state from before the adoption does not know of it: the change is another writer's, and is told.
#[test]
fn with_a_state_from_before_it_an_adoption_is_drift() {
    play(&day(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.stop().await;
        let path = w.folder.path().join("ringback.db");
        let before = std::fs::read(&path).unwrap();
        let agent = w.start().await.unwrap();
        let [first, ..] = support();
        edit(w, first, THEIRS);
        assert_eq!(adopt(&agent, first).await.0, "adopt");
        agent.stop().await;
        for beside in ["ringback.db-wal", "ringback.db-shm"] {
            let _ = std::fs::remove_file(w.folder.path().join(beside));
        }
        std::fs::write(&path, before).unwrap();
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        assert_eq!((count(w, "adopted").await, count(w, "drift").await, drift(&agent, first).await), (0, 1, 1.0));
        agent.stop().await;
    });
}
