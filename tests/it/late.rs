//! Writes of ours whose answer was lost, and which land when their orders have ended otherwise: each is known as
//! ours, is told, and can be put back.

use std::time::Duration;

use ringback::core::model::id::E164;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};
use serde_json::json;

use crate::adopt::{THEIRS, adopt, count, day, edit};
use crate::agent::DAY;
use crate::handlers::{self, NEW, asking, watching};
use crate::support::{support, url, with_token};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

/// The answers to the updates of the next second, which is the first try of one, are lost; they happen a minute and a
/// half later.
fn lose(w: &World) {
    let scope = ApiFaultScope::Class(EndpointClass::NumberUpdate);
    let fault = ApiFault { takes: Duration::from_secs(90), ..ApiFault::new(ApiFaultKind::Late, scope) };
    w.sim.fault(fault.lasts(Duration::from_secs(1))).unwrap();
}

async fn started(w: &mut World) -> (Running, E164) {
    with_token(w);
    let agent = w.start().await.unwrap();
    w.pass(120).await;
    (agent, support()[0])
}

/// What was said of the one number: the action and its words.
async fn say(agent: &Running, verb: &str, number: E164) -> (String, String) {
    let ask = json!({"numbers": [number.to_string()], "channel": "voice", "reason": "test"});
    let (status, answer) = agent.post(verb, ask).await;
    assert_eq!(status, 200, "{answer}");
    let lines = answer["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{answer}");
    let text = |key: &str| lines[0][key].as_str().unwrap().to_owned();
    (text("action"), text("detail"))
}

/// Rolled back, with its answer lost, and restored; the lost write lands a minute later.
async fn with_a_rollback_on_its_way(w: &mut World) -> (Running, E164) {
    let (agent, number) = started(w).await;
    lose(w);
    assert_eq!(say(&agent, "rollback", number).await.0, "rollback");
    w.pass(20).await;
    assert_eq!(url(w, number), BIN, "it was written again");
    assert_eq!(say(&agent, "restore", number).await.0, "restore");
    w.pass(10).await;
    assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (APP, "restored"));
    let (action, detail) = say(&agent, "restore", number).await;
    assert_eq!(action, "nothing");
    assert!(detail.contains(APP) && detail.contains("a write of D1 may still land on it until"), "{detail}");
    (agent, number)
}

#[test]
fn a_rollback_that_lands_after_its_restore_is_ours_is_told_and_is_put_back() {
    play(DAY, async |w| {
        let (agent, number) = with_a_rollback_on_its_way(w).await;
        w.pass(150).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (BIN, "read_back"));
        let (_, status) = agent.get("/api/v1/status").await;
        assert!(status.contains("A late write of ours put +15005550100 on the fallback (voice)"), "{status}");
        assert!(status.contains("ringback restore +15005550100 --channel voice --at-once"), "{status}");
        assert!(!status.contains("Somebody else changed"), "{status}");
        assert_eq!((count(w, "landed").await, count(w, "drift").await), (1, 0));
        let (action, detail) = adopt(&agent, number).await;
        assert!(action == "refuse" && detail.contains("restore it first"), "{action}: {detail}");
        let (action, detail) = say(&agent, "rollback", number).await;
        assert_eq!((action.as_str(), detail.as_str()), ("nothing", "it is on the fallback already"));
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(10).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (APP, "restored"));
        let (_, status) = agent.get("/api/v1/status").await;
        assert!(!status.contains("A late write of ours"), "{status}");
        agent.stop().await;
    });
}

#[test]
fn a_restore_looks_before_it_says_that_there_is_nothing_to_do() {
    play(DAY, async |w| {
        let (agent, number) = with_a_rollback_on_its_way(w).await;
        while url(w, number) != BIN {
            w.pass(1).await;
        }
        assert_eq!(say(&agent, "restore", number).await.0, "restore", "nobody has looked since");
        w.pass(10).await;
        assert_eq!(url(w, number), APP);
        // By somebody's hand it is not ours to put back, and is not called its own handler either.
        let other = support()[1];
        edit(w, other, BIN);
        let (action, detail) = say(&agent, "restore", other).await;
        assert!(action == "refuse" && detail.contains("the journal knows of no rollback"), "{action}: {detail}");
        edit(w, other, THEIRS);
        let (action, detail) = say(&agent, "restore", other).await;
        assert!(action == "nothing" && detail.contains("somebody else has given it"), "{action}: {detail}");
        agent.stop().await;
    });
}

#[test]
fn a_restore_that_lands_after_the_next_rollback_is_nobody_elses_and_is_rolled_back_again() {
    play(DAY, async |w| {
        let (agent, number) = started(w).await;
        say(&agent, "rollback", number).await;
        w.pass(20).await;
        for round in 0..2 {
            lose(w);
            assert_eq!(say(&agent, "restore", number).await.0, "restore");
            w.pass(20).await;
            assert_eq!(say(&agent, "rollback", number).await.0, "rollback");
            w.pass(20).await;
            assert_eq!(url(w, number), BIN);
            while url(w, number) == BIN {
                w.pass(1).await;
            }
            // Noticed by itself, or because somebody asks.
            if round == 0 {
                w.pass(70).await;
                assert_eq!(agent.rollback_state(number), "restored");
            }
            assert_eq!(say(&agent, "rollback", number).await.0, "rollback");
            w.pass(20).await;
            assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (BIN, "read_back"));
        }
        assert_eq!((count(w, "landed").await, count(w, "drift").await), (2, 0));
        agent.stop().await;
    });
}

#[test]
fn what_lands_while_no_agent_runs_is_ours_to_the_next_one() {
    play(DAY, async |w| {
        let (agent, number) = with_a_rollback_on_its_way(w).await;
        agent.stop().await;
        w.pass(120).await;
        assert_eq!(url(w, number), BIN);
        let agent = w.start().await.unwrap();
        w.pass(70).await;
        assert_eq!(agent.rollback_state(number), "read_back");
        assert_eq!((count(w, "landed").await, count(w, "drift").await), (1, 0));
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(10).await;
        assert_eq!(url(w, number), APP);
        agent.stop().await;
    });
}

#[test]
fn what_lands_over_an_adopted_handler_gives_that_one_back() {
    play(&day(), async |w| {
        let (agent, number) = with_a_rollback_on_its_way(w).await;
        edit(w, number, THEIRS);
        w.pass(5).await;
        assert_eq!(adopt(&agent, number).await.0, "adopt");
        w.pass(150).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (BIN, "read_back"));
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(10).await;
        assert_eq!(url(w, number), THEIRS);
        agent.stop().await;
    });
}

/// A restore that nobody knows the end of lands just before the next rollback reads the number.
#[test]
fn an_order_that_finds_a_late_restore_of_ours_rolls_back_and_calls_it_nobody_elses() {
    play(DAY, async |w| {
        let (agent, number) = started(w).await;
        say(&agent, "rollback", number).await;
        w.pass(70).await;
        let scope = ApiFaultScope::Class(EndpointClass::NumberUpdate);
        let late = ApiFault { takes: Duration::from_secs(200), ..ApiFault::new(ApiFaultKind::Late, scope) };
        w.sim.fault(late.lasts(Duration::from_secs(150))).unwrap();
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(1).await;
        for class in [EndpointClass::Number, EndpointClass::Numbers] {
            let unread = ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Class(class));
            w.sim.fault(unread.lasts(Duration::from_secs(150))).unwrap();
        }
        w.pass(160).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (BIN, "unproven"));
        while url(w, number) == BIN {
            w.pass(1).await;
        }
        assert_eq!(say(&agent, "rollback", number).await.0, "rollback");
        w.pass(20).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (BIN, "read_back"));
        assert_eq!(count(w, "drift").await, 0);
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(10).await;
        assert_eq!((url(w, number).as_str(), agent.rollback_state(number)), (APP, "restored"));
        agent.stop().await;
    });
}

/// Somebody has pointed the number at the fallback by hand meanwhile, which is no handler of its own.
#[test]
fn an_apply_that_lands_late_never_makes_the_fallback_a_numbers_own_handler() {
    play(handlers::DAY, async |w| {
        let config = asking(w, NEW);
        let agent = watching(w, &config).await;
        let number = support()[0];
        lose(w);
        assert_eq!(say(&agent, "apply", number).await.0, "apply");
        w.pass(15).await;
        assert_eq!(url(w, number), handlers::APP, "it was written again");
        edit(w, number, BIN);
        w.pass(65).await;
        assert_eq!((url(w, number).as_str(), count(w, "drift").await), (BIN, 1));
        while url(w, number) == BIN {
            w.pass(1).await;
        }
        w.pass(70).await;
        assert_eq!((count(w, "landed").await, count(w, "drift").await), (1, 1));
        let (action, detail) = say(&agent, "restore", number).await;
        assert!(action == "nothing", "{action}: {detail}");
        assert_eq!(say(&agent, "rollback", number).await.0, "rollback");
        w.pass(20).await;
        assert_eq!(say(&agent, "restore", number).await.0, "restore");
        w.pass(20).await;
        assert_eq!(url(w, number), handlers::APP);
        agent.stop().await;
    });
}
