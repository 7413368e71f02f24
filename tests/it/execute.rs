//! Carrying out orders where something is missing, broken, elsewhere or back already: one number's trouble is its
//! own, our own write is never somebody else's, and what cannot be told is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringback::core::model::id::{Channel, E164};
use ringback::core::model::order::OrderResult;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Edit, EndpointClass, Happening};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::guards::drifts;
use crate::probe_trouble::{Passing, between};
use crate::support::{drill, support, url, with_token, writes};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

fn one(number: E164) -> Value {
    json!({"numbers": [number.to_string()], "channel": "voice", "reason": "drill"})
}

pub fn edit(w: &World, number: E164, url: &str) {
    let set = [("VoiceUrl".to_owned(), url.to_owned())].into();
    w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
}

/// A fault of one kind of request, for so many seconds.
fn fault(w: &World, kind: ApiFaultKind, class: EndpointClass, seconds: u64) {
    w.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(class)).lasts(Duration::from_secs(seconds))).unwrap();
}

/// How a number's part of the latest order ended, and what is said of it.
fn ended(agent: &Running, number: E164) -> (OrderResult, String) {
    let status = agent.status();
    let end = status.orders[0].ended.iter().find(|e| e.number == number).unwrap();
    (end.result, end.detail.clone())
}

async fn gauge(agent: &Running, name: &str, number: E164) -> Option<f64> {
    agent.metric(&format!(r#"{name}{{channel="voice",group="support",number="{number}"}}"#)).await
}

/// An agent whose swap of the first number was taken and could not be read back.
async fn after_an_unread_write(w: &mut World) -> Running {
    with_token(w);
    let agent = w.start().await.unwrap();
    w.pass(120).await;
    agent.post("rollback", one(support()[0])).await;
    while url(w, support()[0]) != BIN {
        w.clock.sleep(Duration::from_millis(10)).await;
    }
    fault(w, ApiFaultKind::ServerError, EndpointClass::Number, 200);
    w.pass(400).await;
    agent
}

#[test]
fn a_write_that_cannot_be_read_back_is_ours_all_the_same() {
    play(DAY, async |w| {
        let agent = after_an_unread_write(w).await;
        let first = support()[0];
        assert_eq!(ended(&agent, first).0, OrderResult::Unproven);
        assert_eq!(drifts(w).await, Vec::<Value>::new(), "it was us");
        assert_eq!(agent.rollback_state(first), "unproven");
        assert_eq!(gauge(&agent, "ringback_config_drift", first).await, Some(0.0));
        // It points there by our own write, and that is said, beside that it is not proven.
        assert!(agent.channel(first, Channel::Voice).is_on_fallback);
        assert_eq!(gauge(&agent, "ringback_rolled_back", first).await, Some(1.0));
        assert_eq!(gauge(&agent, "ringback_rollback_unproven", first).await, Some(1.0));
        let group = r#"ringback_group_rolled_back_numbers{channel="voice",group="support"}"#;
        assert_eq!(agent.metric(group).await, Some(1.0));
        agent.post("restore", one(first)).await;
        w.pass(30).await;
        assert_eq!((url(w, first).as_str(), agent.rollback_state(first)), (APP, "restored"));
        agent.stop().await;
    });
}

#[test]
fn a_write_that_lands_after_the_last_look_is_ours_and_can_be_undone() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        fault(w, ApiFaultKind::ServerError, EndpointClass::NumberUpdate, 90);
        let first = support()[0];
        agent.post("rollback", one(first)).await;
        w.pass(100).await;
        assert_eq!(url(w, first), APP, "five answers 500, and nothing to be seen");
        assert_eq!(ended(&agent, first).0, OrderResult::Unproven, "one of them may still happen");
        assert!(!agent.channel(first, Channel::Voice).is_on_fallback, "and did not so far");
        // And so it does.
        edit(w, first, BIN);
        w.pass(180).await;
        assert_eq!(drifts(w).await, Vec::<Value>::new(), "it was us");
        assert!(agent.channel(first, Channel::Voice).is_on_fallback);
        agent.post("restore", one(first)).await;
        w.pass(30).await;
        assert_eq!((url(w, first).as_str(), agent.rollback_state(first)), (APP, "restored"), "the snapshot was kept");
        agent.stop().await;
    });
}

#[test]
fn one_number_that_cannot_be_read_keeps_no_other_from_its_swap() {
    let not_found = |p: &mut Passing| {
        p.status = 404;
        p.set(&json!({"code": 20404, "message": "not found", "status": 404}));
    };
    let broken = |p: &mut Passing| {
        p.status = 500;
        p.set(&json!({"code": 20500, "message": "internal", "status": 500}));
    };
    let rubbish = |p: &mut Passing| p.body = b"{\"sid\": 3}".to_vec();
    let kinds: [(&str, fn(&mut Passing)); 3] =
        [("not in the account", not_found), ("HTTP 500", broken), ("phone_number", rubbish)];
    for (reason, change) in kinds {
        play(DAY, async |w| {
            with_token(w);
            let mut servers = JoinSet::new();
            let first = support()[0];
            let sid = w.sim.number(first).unwrap()["sid"].as_str().unwrap().to_owned();
            let path = format!("IncomingPhoneNumbers/{sid}.json");
            between(w, &mut servers, move |passing| {
                if passing.path.contains(&path) {
                    change(passing);
                } else if passing.path.contains("IncomingPhoneNumbers.json") {
                    // From its list it is gone, too.
                    let Some(mut json) = passing.json() else { return };
                    let rows = json["incoming_phone_numbers"].as_array_mut().unwrap();
                    if reason == "not in the account" && IS_GONE.load(Ordering::Relaxed) {
                        rows.retain(|r| r["sid"] != sid.as_str());
                    }
                    passing.set(&json);
                }
            })
            .await;
            IS_GONE.store(false, Ordering::Relaxed);
            let agent = w.start().await.unwrap();
            w.pass(120).await;
            IS_GONE.store(true, Ordering::Relaxed);
            agent.post("rollback", drill()).await;
            w.pass(120).await;
            for n in &support()[1..] {
                assert_eq!((url(w, *n).as_str(), agent.rollback_state(*n)), (BIN, "read_back"), "{reason}");
            }
            assert_eq!(url(w, first), APP);
            let (result, detail) = ended(&agent, first);
            assert!(result == OrderResult::Failed && detail.contains(reason), "{reason}: {result:?}: {detail}");
            // The way back is no other.
            agent.post("restore", json!({"group": "support", "reason": "over", "at_once": true})).await;
            w.pass(120).await;
            assert!(support().iter().all(|n| url(w, *n) == APP), "{reason}");
            agent.stop().await;
        });
    }
}

/// One number has left the account.
static IS_GONE: AtomicBool = AtomicBool::new(false);

#[test]
fn a_bad_row_of_a_long_list_hides_no_number_and_a_missing_one_no_other() {
    let day = DAY.replace(
        "numbers = [\"+15005550100\", \"+15005550101\", \"+15005550102\"]",
        "first = \"+15005550100\"\ncount = 12",
    );
    play(&day, async |w| {
        with_token(w);
        let mut servers = JoinSet::new();
        let sid = |n: E164| w.sim.number(n).unwrap()["sid"].as_str().unwrap().to_owned();
        let (bad, gone) = (sid(support()[0]), sid(support()[1]));
        let is_begun = Arc::new(AtomicBool::new(false));
        let begun = is_begun.clone();
        between(w, &mut servers, move |passing| {
            if !begun.load(Ordering::Relaxed) {
                return;
            }
            if passing.path.contains(&format!("IncomingPhoneNumbers/{gone}.json")) {
                passing.status = 404;
                passing.set(&json!({"code": 20404, "message": "not found", "status": 404}));
            } else if passing.path.contains("IncomingPhoneNumbers.json") {
                let Some(mut json) = passing.json() else { return };
                let rows = json["incoming_phone_numbers"].as_array_mut().unwrap();
                rows.retain(|r| r["sid"] != gone.as_str());
                rows.iter_mut().filter(|r| r["sid"] == bad.as_str()).for_each(|r| r["sid"] = Value::Null);
                passing.set(&json);
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        is_begun.store(true, Ordering::Relaxed);
        agent.post("rollback", drill()).await;
        w.pass(120).await;
        let all: Vec<E164> = agent.status().numbers().map(|(_, n)| n.number).take(12).collect();
        for n in &all {
            let is_gone = *n == support()[1];
            assert_eq!(url(w, *n), if is_gone { APP } else { BIN }, "{n}");
        }
        let (result, detail) = ended(&agent, support()[1]);
        assert_eq!((result, detail.as_str()), (OrderResult::Failed, "it is not in the account"));
        agent.stop().await;
    });
}

#[test]
fn an_application_that_answers_500_keeps_no_number_from_its_swap() {
    let day = DAY.replacen(
        "routing = { voice_url = \"https://app.example.com/voice\" }",
        "routing = { application = \"AP00000000000000000000000000000001\" }",
        1,
    ) + "\n[[application]]\nsid = \"AP00000000000000000000000000000001\"\nfriendly_name = \"IVR\"\nvoice_url = \"https://app.example.com/voice\"\n";
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        fault(w, ApiFaultKind::ServerError, EndpointClass::Application, 3600);
        w.pass(600).await;
        // Our numbers are read all the same, the others' URLs are what they were.
        let numbers = agent.status().sources.iter().find(|s| s.source == "numbers").cloned().unwrap();
        assert!(numbers.polled_at.is_some_and(|t| t + Duration::from_secs(120) > w.now()), "{numbers:?}");
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        assert!(support().iter().all(|n| agent.rollback_state(*n) == "read_back"));
        agent.stop().await;
    });
}

#[test]
fn where_a_region_cannot_be_read_the_swap_says_so() {
    play(DAY, async |w| {
        with_token(w);
        fault(w, ApiFaultKind::ServerError, EndpointClass::Regions, 3600);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        agent.post("rollback", one(support()[0])).await;
        w.pass(120).await;
        let (result, detail) = ended(&agent, support()[0]);
        assert_eq!(result, OrderResult::Written);
        assert!(detail.contains("which region processes its calls cannot be read"), "{detail}");
        agent.stop().await;
    });
}

#[test]
fn where_a_service_cannot_be_read_the_swap_of_messages_is_unproven() {
    let day = DAY.replacen("failure = 0.0 }", "failure = 0.0, messages_per_hour = 1 }", 1).replacen(
        "voice_url = \"https://app.example.com/voice\" }",
        "sms_url = \"https://app.example.com/sms\" }",
        1,
    ) + "\n[[service]]\nsid = \"MG00000000000000000000000000000001\"\nfriendly_name = \"Reminders\"\n\
           use_inbound_webhook_on_number = false\n";
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        fault(w, ApiFaultKind::ServerError, EndpointClass::ServiceNumbers, 600);
        let ask = json!({"numbers": [support()[0].to_string()], "channel": "messaging", "reason": "drill"});
        agent.post("rollback", ask).await;
        w.pass(300).await;
        let (result, detail) = ended(&agent, support()[0]);
        assert_eq!(result, OrderResult::Unproven, "{detail}");
        assert!(detail.contains("MG00000000000000000000000000000001"), "{detail}");
        assert_eq!(w.sim.number(support()[0]).unwrap()["sms_url"], BIN, "and yet it is tried");
        agent.stop().await;
    });
}

#[test]
fn a_restore_that_is_refused_leaves_an_unproven_rollback_unproven() {
    play(DAY, async |w| {
        let agent = after_an_unread_write(w).await;
        let first = support()[0];
        fault(w, ApiFaultKind::Refuse, EndpointClass::NumberUpdate, 60);
        agent.post("restore", one(first)).await;
        w.pass(120).await;
        assert_eq!(ended(&agent, first).0, OrderResult::Failed);
        assert_eq!(agent.rollback_state(first), "unproven");
        assert_eq!(gauge(&agent, "ringback_rollback_unproven", first).await, Some(1.0));
        agent.stop().await;
    });
}

#[test]
fn a_forced_restore_that_is_refused_leaves_somebody_elses_number_theirs() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let first = support()[0];
        agent.post("rollback", one(first)).await;
        w.pass(60).await;
        edit(w, first, "https://theirs.example.com/voice");
        w.pass(180).await;
        assert_eq!((agent.rollback_state(first), drifts(w).await.len()), ("superseded", 1));
        fault(w, ApiFaultKind::Refuse, EndpointClass::NumberUpdate, 60);
        let mut force = one(first);
        force["force"] = json!(true);
        agent.post("restore", force).await;
        w.pass(300).await;
        assert_eq!(ended(&agent, first).0, OrderResult::Failed);
        assert_eq!(
            (agent.rollback_state(first), drifts(w).await.len()),
            ("superseded", 1),
            "and nothing is told twice"
        );
        agent.stop().await;
    });
}

#[test]
fn what_is_back_on_its_own_handler_is_restored() {
    // At once, and after the change was noticed.
    for noticed_after in [0, 180] {
        play(DAY, async |w| {
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(120).await;
            let first = support()[0];
            agent.post("rollback", one(first)).await;
            w.pass(5).await;
            assert_eq!(agent.rollback_state(first), "read_back");
            edit(w, first, APP);
            w.pass(noticed_after).await;
            agent.post("restore", one(first)).await;
            w.pass(30).await;
            assert_eq!(ended(&agent, first).0, OrderResult::Restored, "{noticed_after}: {}", ended(&agent, first).1);
            assert_eq!((agent.rollback_state(first), writes(w)[&first]), ("restored", 1), "nothing had to be written");
            w.pass(180).await;
            assert_eq!(drifts(w).await.len(), usize::from(noticed_after > 0));
            agent.stop().await;
        });
    }
    // And where the swap never had an effect.
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let first = support()[0];
        fault(w, ApiFaultKind::Ineffective, EndpointClass::NumberUpdate, 60);
        agent.post("rollback", one(first)).await;
        w.pass(90).await;
        assert_eq!(agent.rollback_state(first), "unproven");
        assert!(!agent.channel(first, Channel::Voice).is_on_fallback, "it points where it did");
        agent.post("restore", one(first)).await;
        w.pass(30).await;
        assert_eq!((ended(&agent, first).0, agent.rollback_state(first)), (OrderResult::Restored, "restored"));
        agent.stop().await;
    });
}

#[test]
fn what_is_known_of_a_number_is_said_also_when_the_journal_takes_nothing() {
    use sqlx::Connection;
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        // Refused by Twilio's own rules: somebody else's number by now.
        agent.post("rollback", one(support()[0])).await;
        w.pass(30).await;
        edit(w, support()[0], "https://theirs.example.com/voice");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(w.folder.path().join("ringback.db"));
        let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        agent.post("rollback", one(support()[1])).await;
        w.pass(10).await;
        let trigger = "CREATE TRIGGER no_intent BEFORE INSERT ON journal WHEN NEW.kind = 'intent'
                       BEGIN SELECT RAISE(ABORT, 'read-only'); END";
        sqlx::query(trigger).execute(&mut db).await.unwrap();
        agent.post("restore", json!({"group": "support", "reason": "over", "at_once": true})).await;
        w.pass(10).await;
        let (result, detail) = ended(&agent, support()[0]);
        assert_eq!(result, OrderResult::Superseded, "{detail}");
        let (result, detail) = ended(&agent, support()[1]);
        assert!(result == OrderResult::Failed && detail.starts_with("nothing was written, because the journal"));
        assert_eq!((agent.rollback_state(support()[1]), url(w, support()[1]).as_str()), ("read_back", BIN));
        db.close().await.unwrap();
        agent.stop().await;
    });
}
