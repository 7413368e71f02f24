//! Test calls after a rollback or a restore: what proves a swap, and what does not (law 5).

use ringback::core::model::id::Channel;
use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::json;

use crate::probes::{busy, number, quiet, start};
use crate::support::{support, url, with_token};
use crate::world::play;

const APP: &str = "https://app.example.com/voice";

#[test]
fn a_swap_is_proven_and_a_restore_is_tested() {
    play(&busy(""), async |w| {
        let agent = start(w, "every = \"5m\"").await;
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let labels = [r#"group="support""#, r#"result="proven""#];
        assert_eq!(agent.sum("ringback_rollbacks_total", &labels).await, 3.0);
        assert_eq!(agent.sum("ringback_rollbacks_total", &[r#"result="written""#]).await, 0.0, "counted once");
        let status = agent.status();
        let ended: Vec<_> = status.orders.iter().flat_map(|o| &o.ended).collect();
        assert!(ended.iter().all(|e| e.detail.contains("a test was answered")), "{ended:?}");
        assert_eq!(agent.channel(number(), Channel::Voice).rollback_state, "proven");
        agent.stop().await;
        // A restart proves nothing twice.
        let calls = w.sim.placed_calls().len();
        let agent = start(w, "every = \"24h\"\npassive_every = \"24h\"").await;
        w.pass(300).await;
        assert!(w.sim.placed_calls().len() <= calls + 1, "but for the first of the day's round");
        assert_eq!(agent.sum("ringback_rollbacks_total", &[]).await, 0.0);
        assert_eq!(agent.channel(number(), Channel::Voice).rollback_state, "proven");
        agent.stop().await;
    });
}

#[test]
fn a_fallback_that_does_not_answer_is_never_proven() {
    let scenario = busy("").replace("does = \"answer\"", "does = \"dead\"");
    play(&scenario, async |w| {
        let agent = start(w, "every = \"10m\"").await;
        w.pass(300).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1200).await;
        assert_eq!(agent.sum("ringback_rollbacks_total", &[r#"result="proven""#]).await, 0.0);
        assert!(agent.sum("ringback_rollbacks_total", &[r#"result="unproven""#]).await >= 1.0);
        agent.stop().await;
    });
}

#[test]
fn a_staged_restore_of_numbers_that_nobody_calls_is_verified_by_tests() {
    let quiet = quiet().replace("[\"+15005550100\"]", "[\"+15005550100\", \"+15005550101\", \"+15005550102\"]");
    // How many numbers are on their handler again after a while.
    let restored = |does: HandlerState| {
        play(&quiet, async move |w| {
            with_token(w);
            let agent = start(w, "every = \"24h\"\npassive_every = \"24h\"").await;
            w.pass(300).await;
            agent.post("rollback", json!({"group": "support", "channel": "voice", "reason": "drill"})).await;
            w.pass(600).await;
            w.sim.set_handler(APP, does).unwrap();
            agent.post("restore", json!({"group": "support", "channel": "voice", "reason": "over"})).await;
            w.pass(1500).await;
            agent.stop().await;
            support().into_iter().filter(|n| url(w, *n) == APP).count()
        })
    };
    assert_eq!(restored(HandlerState::healthy()), 3);
    assert_eq!(
        restored(HandlerState::all(HandlerCondition::Status(500))),
        1,
        "the canary fails its tests: a person decides on it"
    );
}

#[test]
fn without_a_prober_a_swap_is_written_and_says_why() {
    play(&busy(""), async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(600).await;
        assert_eq!(agent.sum("ringback_rollbacks_total", &[r#"result="written""#]).await, 3.0);
        agent.stop().await;
    });
}

#[test]
fn a_fallback_is_proven_by_its_marker_and_no_recording_is_left() {
    let marked = busy("").replace("does = \"answer\"", "does = \"answer\"\nmarker = \"88\"");
    let ends = |marker: &str| {
        play(&marked, async |w| {
            let agent = start(w, &format!("every = \"10m\"\nhear = {{ fallback_marker = \"{marker}\" }}")).await;
            w.pass(300).await;
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            w.pass(1200).await;
            let [proven, unproven] = ["proven", "unproven"].map(|r| format!("result=\"{r}\""));
            let proven = agent.sum("ringback_rollbacks_total", &[&proven]).await;
            let unproven = agent.sum("ringback_rollbacks_total", &[&unproven]).await;
            let status = agent.status();
            let heard =
                status.orders.iter().flat_map(|o| &o.ended).filter(|e| e.detail.contains("its marker was heard"));
            let heard = heard.count();
            let stats = w.sim.stats();
            let deleted: u64 = stats.requests.get("DELETE recording-delete").map_or(0, |by| by.values().sum());
            agent.stop().await;
            (proven, unproven, heard, deleted)
        })
    };
    let (proven, unproven, heard, deleted) = ends("dtmf:88");
    assert_eq!((proven, unproven, heard), (3.0, 0.0, 3));
    assert!(deleted > 3, "{deleted}");
    let (proven, unproven, heard, ..) = ends("dtmf:77");
    assert!(proven == 0.0 && unproven >= 3.0 && heard == 0, "{proven} {unproven} {heard}");
}

#[test]
fn the_fallbacks_marker_proves_it_as_soon_as_it_is_heard() {
    let marked = quiet().replace("does = \"answer\"", "does = \"answer\"\nmarker = \"88\"");
    let proven_after = |hear: &str| {
        play(&marked, async |w| {
            with_token(w);
            let agent = start(w, &format!("every = \"24h\"\npassive_every = \"24h\"\n{hear}")).await;
            w.pass(300).await;
            agent.post("rollback", json!({"group": "support", "channel": "voice", "reason": "drill"})).await;
            let began = w.now();
            while agent.channel(number(), Channel::Voice).rollback_state != "proven"
                && w.now().since(began).as_secs() < 600
            {
                w.pass(1).await;
            }
            agent.stop().await;
            w.now().since(began).as_secs()
        })
    };
    let (by_ear, by_logs) = (proven_after("hear = { fallback_marker = \"dtmf:88\" }"), proven_after(""));
    assert!(by_ear < 40, "{by_ear} s: the call, what is listened to, and its recording");
    assert!((by_ear + 30..120).contains(&by_logs), "{by_logs} s: its alerts must have had time");
}
