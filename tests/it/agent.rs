//! The agent against the simulator: what on-call would see.

use ringback::core::model::decision::{Action, Phase};
use ringback::core::model::guard::Guard;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{HandlerCondition, HandlerState};

use crate::world::{BIN, World, play};
use ringback::agent::publish::status::RollbackStatus;

const APP: &str = "https://app.example.com/voice";

/// Two groups of three numbers, each with a call a minute to its busiest number.
pub const DAY: &str = r#"
name = "day"
seed = 7
lasts = "4h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = { calls_per_hour = 90, shape = "flat", skew = 0.3, failure = 0.0 }
routing = { voice_url = "https://app.example.com/voice" }

[[group]]
name = "sales"
numbers = ["+15005550200", "+15005550201", "+15005550202"]
traffic = { calls_per_hour = 90, shape = "flat", skew = 0.3, failure = 0.0, forward = 1.0 }
routing = { voice_url = "https://sales.example.com/voice" }
"#;

fn e164(s: &str) -> E164 {
    s.parse().unwrap()
}

fn support() -> [E164; 3] {
    ["+15005550100", "+15005550101", "+15005550102"].map(e164)
}

fn voice_url(world: &World, number: E164) -> String {
    world.sim.number(number).unwrap()["voice_url"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_broken_webhook_is_seen_swapped_and_served_again() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        assert_eq!(agent.status().decisions, [], "nothing is wrong yet");
        for number in support() {
            assert_eq!(agent.channel(number, Channel::Voice).verdict, Verdict::Healthy);
        }
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let broken_at = w.now();
        w.pass(600).await;
        for number in support() {
            assert_eq!(voice_url(w, number), BIN);
            let status = agent.channel(number, Channel::Voice);
            assert!(matches!(status.rollback, RollbackStatus::Done { .. }), "{status:?}");
        }
        let sales = e164("+15005550200");
        assert_eq!(voice_url(w, sales), "https://sales.example.com/voice");
        let status = agent.status();
        let decided = status.decisions.iter().filter(|d| d.action == Action::Rollback);
        assert_eq!(decided.map(|d| d.numbers.len()).sum::<usize>(), 3);
        assert!(
            w.sim.truth().groups[&"support".parse().unwrap()].last_failed.unwrap().since(broken_at).as_secs() < 420
        );

        let failed = |t: &ringback::sim::Truth| t.groups[&"support".parse().unwrap()].failed;
        let before = failed(&w.sim.truth());
        w.pass(3600).await;
        assert_eq!(failed(&w.sim.truth()), before, "callers are served again");
        assert_eq!(agent.status().decisions.len(), status.decisions.len(), "and nothing is done twice");

        let labels = [r#"group="support""#, r#"result="written""#];
        assert_eq!(agent.sum("ringback_rollbacks_total", &labels).await, 3.0);
        let on = r#"ringback_rolled_back{channel="voice",group="support",number="+15005550100"}"#;
        assert_eq!(agent.metric(on).await, Some(1.0));
        assert!(agent.stop().await);
    });
}

#[test]
fn every_call_is_counted_once_whatever_the_log_does() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let truth = w.sim.truth().total;
        let counted = agent.sum("ringback_calls_total", &[]).await;
        // Calls of the last minutes are still up, or not listed, or not settled.
        let late = truth.calls as f64 - counted;
        assert!((0.0..30.0).contains(&late), "{counted} of {}", truth.calls);
        w.pass(3 * 3600).await;
        let truth = w.sim.truth().total;
        assert_eq!(agent.sum("ringback_calls_total", &[]).await, truth.calls as f64);
        let failed = agent.sum("ringback_calls_total", &[r#"outcome="failed""#]).await;
        assert_eq!(failed, truth.failed as f64);
        agent.stop().await;
    });
}

#[test]
fn a_restart_neither_misses_nor_repeats() {
    play(DAY, async |w| {
        let mut counted = 0.0;
        for minutes in [17, 1, 42, 95, 3] {
            let agent = w.start().await.unwrap();
            w.pass(minutes * 60).await;
            counted += agent.sum("ringback_calls_total", &[]).await;
            assert!(agent.stop().await);
            // Down for a while, calls go on.
            w.pass(minutes * 7).await;
        }
        let agent = w.start().await.unwrap();
        w.pass(4 * 3600).await;
        counted += agent.sum("ringback_calls_total", &[]).await;
        assert_eq!(counted, w.sim.truth().total.calls as f64);
        agent.stop().await;
    });
}

#[test]
fn a_rollback_is_remembered_across_a_restart() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let decisions = agent.status().decisions.len();
        agent.stop().await;
        let updates = updates(w);
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        assert!(matches!(agent.channel(support()[0], Channel::Voice).rollback, RollbackStatus::Done { .. }));
        assert_eq!(agent.status().decisions.len(), decisions);
        assert_eq!(self::updates(w), updates, "nothing is written twice");
        agent.stop().await;
    });
}

fn updates(w: &World) -> usize {
    use ringback::sim::TimelineMark;
    w.sim.truth().timeline.iter().filter(|e| matches!(e.what, TimelineMark::Updated(_))).count()
}

#[test]
fn observe_writes_nothing() {
    play(DAY, async |w| {
        w.agent_section = "mode = \"observe\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1800).await;
        assert_eq!(updates(w), 0);
        assert_eq!(voice_url(w, support()[0]), APP);
        let status = agent.status();
        assert!(!status.waiting.is_empty());
        assert!(status.waiting.iter().all(|w| w.guards == [Guard::Mode]), "{:?}", status.waiting);
        assert!(agent.metric(r#"ringback_rollbacks_suppressed_total{reason="mode"}"#).await > Some(0.0));
        agent.stop().await;
    });
}

#[test]
fn phases_follow_the_first_caller_and_the_clock() {
    play(DAY, async |w| {
        w.agent_section = "mode = \"auto\"\nactive_for = \"45m\"\n".into();
        let text = w.config_text().replace("name = \"support\"\n", "name = \"support\"\nport_at = \"unknown\"\n");
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        let phase = |agent: &crate::world::Running| agent.channel(support()[0], Channel::Voice).phase;
        assert_eq!(phase(&agent), Phase::Waiting);
        w.pass(600).await;
        assert_eq!(phase(&agent), Phase::Active);
        w.pass(3600).await;
        assert_eq!(phase(&agent), Phase::Passive);
        let passive = r#"ringback_phase{channel="voice",group="support",number="+15005550100",phase="passive"}"#;
        assert_eq!(agent.metric(passive).await, Some(1.0));
        agent.stop().await;
    });
}

#[test]
fn what_is_withheld_is_said_once() {
    play(DAY, async |w| {
        w.agent_section = "mode = \"observe\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(3 * 3600).await;
        let decisions = agent.status().decisions.len();
        assert!((1..=4).contains(&decisions), "{decisions} decisions on one fault of three numbers");
        agent.stop().await;
    });
}
