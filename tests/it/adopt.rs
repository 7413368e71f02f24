//! `ringback adopt`: the handler that a number has is the right one, whoever wrote it.

use ringback::core::model::id::E164;
use ringback::core::model::order::AdoptedBy;
use ringback::core::rollback::entry::Entry;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Edit, EndpointClass, Happening};
use ringback::store::Store;
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{after_a_failure, sql, support, url, with_token, writes};
use crate::words::{ringback, ringback_at};
use crate::world::{BIN, Running, World, own_address, play};

const APP: &str = "https://app.example.com/voice";

/// Where the application that takes the numbers over answers.
pub const THEIRS: &str = "https://calls.example.net/answer";

/// Of another host, that only begins alike.
const ELSEWHERE: &str = "https://calls.example.net.elsewhere.example/answer";

/// Somebody else writes a voice URL.
pub fn edit(w: &World, number: E164, to: &str) {
    let set = [("VoiceUrl".to_owned(), to.to_owned())].into();
    w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
}

pub fn one(number: E164) -> Value {
    json!({"numbers": [number.to_string()], "channel": "voice", "reason": "handed over", "author": "ann"})
}

/// Whoever takes the numbers over serves their callers.
pub fn day() -> String {
    format!("{DAY}\n[[handler]]\nurl = \"{THEIRS}\"\n[[handler]]\nurl = \"{ELSEWHERE}\"\n")
}

/// What was said of the one number: the action and its words.
pub async fn adopt(agent: &Running, number: E164) -> (String, String) {
    let (status, answer) = agent.post("adopt", one(number)).await;
    assert_eq!(status, 200, "{answer}");
    let lines = answer["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{answer}");
    let text = |key: &str| lines[0][key].as_str().unwrap().to_owned();
    (text("action"), text("detail"))
}

/// The whole journal.
pub async fn journal(w: &World) -> Vec<Entry> {
    let store = Store::open(&w.folder.path().join("ringback.db")).await.unwrap();
    let journal = store.journal().await.unwrap();
    store.close().await;
    journal.into_iter().map(|r| r.entry).collect()
}

/// How many entries of a kind the journal has.
pub async fn count(w: &World, kind: &str) -> usize {
    journal(w).await.iter().filter(|e| e.kind() == kind).count()
}

pub async fn drift(agent: &Running, number: E164) -> f64 {
    let label = format!("number=\"{number}\"");
    agent.sum("ringback_config_drift", &[&label, "channel=\"voice\""]).await
}

#[test]
fn what_is_adopted_is_no_drift_any_more_and_what_differs_from_it_is() {
    play(&day(), async |w| {
        with_token(w);
        let number = support()[0];
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        edit(w, number, THEIRS);
        // Before any poll has seen it: it is read anew.
        let (action, detail) = adopt(&agent, number).await;
        assert!(action == "adopt" && detail.contains("calls.example.net"), "{action}: {detail}");
        w.pass(1).await;
        let (action, detail) = adopt(&agent, number).await;
        assert!(action == "nothing" && detail.contains("already"), "twice is once: {action}: {detail}");
        w.pass(600).await;
        assert_eq!((count(w, "adopted").await, count(w, "drift").await, drift(&agent, number).await), (1, 0, 0.0));
        // It is what stands after a restart, and what a change is told by.
        agent.stop().await;
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        assert_eq!(count(w, "drift").await, 0);
        edit(w, number, APP);
        w.pass(300).await;
        assert_eq!((count(w, "drift").await, drift(&agent, number).await), (1, 1.0), "its old handler is foreign now");
        // And a drift that was told is over once it is adopted.
        assert_eq!(adopt(&agent, number).await.0, "adopt");
        assert_eq!((count(w, "adopted").await, drift(&agent, number).await), (2, 0.0));
        assert_eq!(writes(w).len(), 0, "nothing was written to any number");
        agent.stop().await;
    });
}

/// The journal alone has it, if the agent was stopped before the table of what numbers point at was written.
#[test]
fn an_adoption_survives_a_stop_right_after_it_was_journaled() {
    play(&day(), async |w| {
        with_token(w);
        let number = support()[0];
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        edit(w, number, THEIRS);
        assert_eq!(adopt(&agent, number).await.0, "adopt");
        agent.stop().await;
        sql(w, "DELETE FROM baseline").await;
        // While no agent runs somebody changes it.
        edit(w, number, ELSEWHERE);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        assert_eq!((count(w, "drift").await, drift(&agent, number).await), (1, 1.0));
        agent.stop().await;
    });
}

#[test]
fn a_rollback_that_another_writer_has_undone_ends_with_the_adoption() {
    play(&day(), async |w| {
        let agent = after_a_failure(w).await;
        let [first, second, _] = support();
        assert_eq!((url(w, first).as_str(), url(w, second).as_str()), (BIN, BIN));
        let (action, detail) = adopt(&agent, second).await;
        assert!(action == "refuse" && detail.contains("on the fallback"), "{action}: {detail}");
        edit(w, first, THEIRS);
        let (action, detail) = adopt(&agent, first).await;
        assert!(action == "adopt" && detail.contains("superseded"), "{action}: {detail}");
        w.pass(60).await;
        assert_eq!(agent.rollback_state(first), "superseded");
        assert_eq!(count(w, "drift").await, 0, "the adoption says it");
        // There is nothing to put back, and nobody puts anything back.
        let restore = json!({"numbers": [first.to_string()], "channel": "voice", "reason": "x", "at_once": true});
        let (_, plan) = agent.post("restore", restore).await;
        assert_eq!(plan["lines"][0]["action"], "nothing", "{plan}");
        w.pass(300).await;
        assert_eq!(url(w, first), THEIRS);
        // A restart knows it too. A later swap restores to what was adopted, and asks nobody because of that.
        agent.stop().await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let numbers = json!({"numbers": [first.to_string()], "channel": "voice", "reason": "drill", "at_once": true});
        let mut rollback = numbers.clone();
        rollback.as_object_mut().unwrap().remove("at_once");
        assert_eq!(agent.post("rollback", rollback).await.0, 200);
        w.pass(60).await;
        assert_eq!(url(w, first), BIN);
        assert_eq!(agent.post("restore", numbers).await.0, 200);
        w.pass(60).await;
        assert_eq!(url(w, first), THEIRS, "what was adopted is what is put back");
        agent.stop().await;
    });
}

#[test]
fn what_could_not_be_read_is_never_adopted() {
    play(&day(), async |w| {
        with_token(w);
        let [number, other, _] = support();
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        edit(w, number, THEIRS);
        for class in [EndpointClass::Number, EndpointClass::Numbers] {
            w.sim.fault(ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Class(class))).unwrap();
        }
        let (action, detail) = adopt(&agent, number).await;
        assert!(action == "refuse" && detail.contains("could not be read"), "{action}: {detail}");
        w.sim.calm();
        assert_eq!(count(w, "adopted").await, 0);
        edit(w, other, "");
        let (action, detail) = adopt(&agent, other).await;
        assert!(action == "refuse" && detail.contains("nobody answers"), "{action}: {detail}");
        let (status, answer) = agent.post("adopt", json!({"group": "support", "reason": ""})).await;
        assert_eq!(status, 422, "a reason is kept: {answer}");
        agent.stop().await;
    });
}

/// Through the running agent and, where none runs, by taking the lease.
#[test]
fn the_command_line_adopts_with_an_agent_and_without() {
    play(&day(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        let [first, second, third] = support();
        edit(w, first, THEIRS);
        let words = ["adopt", "--group", "support", "--channel", "voice", "--reason", "handed over", "--author", "ann"];
        let (code, said) = ringback(w, &agent, &words).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("{first} voice: adopt: ")), "{said}");
        assert!(said.contains(&format!("{second} voice: nothing: ")), "{said}");
        agent.stop().await;
        edit(w, third, THEIRS);
        let words = ["adopt", &third.to_string(), "--channel", "voice", "--reason", "handed over", "--author", "ann"];
        let (code, said) = ringback_at(w, &own_address().to_string(), &words).await;
        assert!(code == 0 && said.contains(&format!("{third} voice: adopt: ")), "{said}");
        let entries = journal(w).await;
        let adopted = entries.iter().filter(|e| matches!(e, Entry::Adopted { .. })).count();
        assert_eq!(adopted, 2);
    });
}

/// The group's numbers are handed over to somebody who sets their own handler.
fn with_owner(w: &World) -> String {
    let owner = "[group.handler]\nowner = \"CallTracker\"\nowner_urls = [\"https://calls.example.net/\"]\n";
    w.config_text().replacen("[group.fallback]", &format!("{owner}[group.fallback]"), 1)
}

#[test]
fn a_change_that_was_said_to_come_is_adopted_and_another_is_drift() {
    play(&day(), async |w| {
        with_token(w);
        let [first, second, _] = support();
        let config = w.parse(&with_owner(w)).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        w.pass(300).await;
        edit(w, first, THEIRS);
        edit(w, second, ELSEWHERE);
        w.pass(300).await;
        assert_eq!((count(w, "adopted").await, count(w, "drift").await), (1, 1));
        assert_eq!((drift(&agent, first).await, drift(&agent, second).await), (0.0, 1.0));
        let by_owner = |e: &Entry| {
            let Entry::Adopted { by: AdoptedBy::Owner(owner), actor, .. } = e else { return None };
            Some((owner.to_string(), actor.is_some()))
        };
        let found: Vec<_> = journal(w).await.iter().filter_map(by_owner).collect();
        assert_eq!(found, [("CallTracker".to_owned(), true)], "who wrote it is told from the audit log");
        agent.stop().await;
    });
}

#[test]
fn an_owner_is_told_by_its_trunk_too() {
    let trunk = |n: u8| format!("TK{n:032}");
    let listed = |n| {
        format!("[[trunk]]\nsid = \"{}\"\nfriendly_name = \"T\"\norigination_url = \"sip:x.example.com\"\n", trunk(n))
    };
    play(&day().replacen("[[group]]", &format!("{}{}[[group]]", listed(1), listed(2)), 1), async |w| {
        with_token(w);
        let [first, second, _] = support();
        let owner = format!("owner_sids = [\"{}\"]\n[group.fallback]", trunk(1));
        let text = with_owner(w).replacen("owner_urls = [\"https://calls.example.net/\"]\n[group.fallback]", &owner, 1);
        let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        w.pass(300).await;
        for (number, n) in [(first, 1), (second, 2)] {
            let set = [("TrunkSid".to_owned(), trunk(n))].into();
            w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
        }
        w.pass(300).await;
        assert_eq!((count(w, "adopted").await, count(w, "drift").await), (1, 1));
        assert_eq!((drift(&agent, first).await, drift(&agent, second).await), (0.0, 1.0));
        agent.stop().await;
    });
}

#[test]
fn an_import_that_overwrites_a_rollback_ends_it_and_nothing_fights_it() {
    play(&day(), async |w| {
        with_token(w);
        let config = w.parse(&with_owner(w)).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        w.pass(300).await;
        let drill = json!({"group": "support", "channel": "voice", "reason": "drill"});
        assert_eq!(agent.post("rollback", drill).await.0, 200);
        w.pass(60).await;
        let [first, second, _] = support();
        assert_eq!((url(w, first).as_str(), url(w, second).as_str()), (BIN, BIN));
        let before = writes(w);
        edit(w, first, THEIRS);
        w.pass(600).await;
        assert_eq!((url(w, first).as_str(), agent.rollback_state(first)), (THEIRS, "superseded"));
        assert_eq!((count(w, "drift").await, count(w, "adopted").await), (0, 1));
        assert_eq!(drift(&agent, first).await, 0.0);
        assert_eq!(writes(w), before, "nothing of ours was written since");
        assert_eq!(url(w, second), BIN, "the others stay where they are");
        agent.stop().await;
    });
}
