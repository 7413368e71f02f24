//! Memory, journal and notices agree: whatever the order in which things happen, and however long a commit takes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ringback::config::Config;
use ringback::core::model::decision::Action;
use ringback::core::model::id::Channel;
use ringback::core::model::order::{CloseReason, OrderResult};
use ringback::core::model::verdict::Verdict;
use ringback::core::rollback::entry::Entry;
use ringback::store::Store;
use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::execute::edit;
use crate::probe_trouble::bins_answer;
use crate::probes::{QUIET, probing};
use crate::receiver::{Receiver, webhook};
use crate::support::{break_app, support, url, with_token};
use crate::world::{BIN, Running, play, with_prober};

/// What a commit costs in these worlds.
const COMMIT: Duration = Duration::from_millis(20);

fn slow(mut config: Config) -> Config {
    config.agent.commit_cost = COMMIT;
    config
}

/// Asks while commits take time, so that whoever asks waits for them too.
async fn post(agent: &Running, verb: &str, body: serde_json::Value) -> u16 {
    agent.post(verb, body).await.0
}

async fn journal(config: &Config) -> Vec<Entry> {
    let store = Store::open(&config.agent.state).await.unwrap();
    let entries = store.journal().await.unwrap().into_iter().map(|r| r.entry).collect();
    store.close().await;
    entries
}

/// An order of events that put a proof behind a restore on the disk, and before it in memory, left a
/// journal on which no agent could start.
#[test]
fn a_proof_beside_a_restore_leaves_a_journal_on_which_an_agent_starts() {
    for after in (2..62).step_by(6) {
        play(&with_prober(QUIET), async |w| {
            with_token(w);
            let config = slow(w.parse(&probing(w, "")).unwrap());
            let agent = w.start_with(&config).await.unwrap();
            w.pass(120).await;
            let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "drill"});
            assert_eq!(post(&agent, "rollback", ask.clone()).await, 200);
            w.pass(after).await;
            assert_eq!(post(&agent, "restore", ask).await, 200);
            w.pass(300).await;
            let number = "+15005550100".parse().unwrap();
            let state = agent.channel(number, Channel::Voice).rollback_state;
            assert_eq!(state, "restored", "{after} s");
            agent.stop().await;
            let agent = w.start_with(&config).await.unwrap_or_else(|e| panic!("{after} s: {e}"));
            assert_eq!(agent.channel(number, Channel::Voice).rollback_state, "restored");
            agent.stop().await;
        });
    }
}

/// Numbers that never left the fallback are not on their handler because a restore of the others went wrong.
#[test]
fn a_relapsed_restore_says_nothing_of_the_numbers_that_stayed_on_the_fallback() {
    play(DAY, async |w| {
        with_token(w);
        let config = w.config().unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN), "all are on the fallback");
        let before = agent.status().decisions.len();
        let ask = json!({"group": "support", "channel": "voice", "reason": "it looks fine"});
        assert_eq!(agent.post("restore", ask).await.0, 200);
        w.pass(60).await;
        let canary = *support().iter().find(|n| url(w, **n) != BIN).expect("one is back on its handler");
        for _ in 0..60 {
            w.pass(30).await;
            for n in support().into_iter().filter(|n| *n != canary) {
                let channel = agent.channel(n, Channel::Voice);
                assert!(channel.is_on_fallback, "{n}");
                assert_ne!(channel.verdict, Verdict::Failing, "{n} is served by the fallback");
            }
        }
        let status = agent.status();
        let new = &status.decisions[..status.decisions.len() - before];
        assert!(
            new.iter().all(|d| d.action == Action::Rollback && d.numbers.iter().map(|n| n.e164).eq([canary])),
            "{new:?}"
        );
        agent.stop().await;
        let relapsed = |e: &Entry| matches!(e, Entry::Closed { why: CloseReason::Relapsed, .. });
        assert!(journal(&config).await.iter().any(relapsed), "the restore relapsed");
    });
}

/// Between the time that is written and the time after the write lie milliseconds: a notice that was made with
/// the one and is made again with the other is not known by the outbox.
#[test]
fn a_restart_tells_nothing_twice_when_commits_take_time() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        with_token(w);
        w.env.insert("HOOK_KEY", "a key");
        let config = slow(w.parse(&(w.config_text() + &webhook("hook", &hook))).unwrap());
        let agent = w.start_with(&config).await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        agent.stop().await;
        let told = hook.kinds();
        assert!(told.iter().any(|(kind, _)| kind == "rolled_back"), "{told:?}");
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        agent.stop().await;
        let again: Vec<_> = hook.kinds().into_iter().skip(told.len()).filter(|(k, _)| k == "rolled_back").collect();
        assert!(again.is_empty(), "told twice: {again:?}");
    });
}

/// Law 6: a lost request is no sign that what was broken works again.
#[test]
fn a_fallback_that_is_broken_stays_so_until_it_answers() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let bins = bins_answer(w, &mut servers, 404).await;
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let broken = r#"ringback_fallback{channel="voice",group="support",state="broken"}"#;
        assert_eq!(agent.metric(broken).await, Some(1.0));
        bins.store(503, Ordering::Relaxed);
        break_app(w);
        for _ in 0..90 {
            w.pass(10).await;
            assert_eq!(agent.metric(broken).await, Some(1.0));
        }
        assert!(support().iter().all(|n| url(w, *n) != BIN), "nothing is swapped to it");
        bins.store(0, Ordering::Relaxed);
        w.pass(900).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN), "it answers again");
        agent.stop().await;
    });
}

/// A rollback is counted once: with its proof, or without one where none can be had.
#[test]
fn a_rollback_whose_proof_cannot_be_measured_is_counted_once() {
    play(&with_prober(QUIET), async |w| {
        with_token(w);
        let agent = w.start_with(&w.parse(&probing(w, "")).unwrap()).await.unwrap();
        w.pass(120).await;
        let refuse = ringback::sim::ApiFault::new(
            ringback::sim::ApiFaultKind::Refuse,
            ringback::sim::ApiFaultScope::Class(ringback::sim::EndpointClass::CallCreate),
        );
        w.sim.fault(refuse).unwrap();
        let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "drill"});
        assert_eq!(agent.post("rollback", ask).await.0, 200);
        w.pass(900).await;
        let count = async |result: OrderResult| {
            agent.sum("ringback_rollbacks_total", &[&format!("result=\"{}\"", result.label())]).await
        };
        assert_eq!(count(OrderResult::Written).await, 1.0, "no test call could be placed");
        w.sim.calm();
        w.pass(900).await;
        assert_eq!(agent.channel("+15005550100".parse().unwrap(), Channel::Voice).rollback_state, "proven");
        assert_eq!(agent.sum("ringback_rollbacks_total", &[]).await, 1.0, "counted once");
        agent.stop().await;
    });
}

/// While Twilio's audit log is asked who changed a number, an order may have it: what was read before is old then.
#[test]
fn a_change_that_an_order_has_overtaken_is_no_drift() {
    for after in (5..65).step_by(10) {
        play(DAY, async |w| {
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(120).await;
            let slow = ringback::sim::ApiFault {
                takes: Duration::from_secs(15),
                ..ringback::sim::ApiFault::new(
                    ringback::sim::ApiFaultKind::Slow,
                    ringback::sim::ApiFaultScope::Class(ringback::sim::EndpointClass::Events),
                )
            };
            w.sim.fault(slow).unwrap();
            let first = support()[0];
            edit(w, first, "https://theirs.example.com/voice");
            w.pass(after).await;
            let ask = json!({"numbers": [first.to_string()], "channel": "voice", "reason": "drill"});
            assert_eq!(agent.post("rollback", ask).await.0, 200);
            w.pass(180).await;
            assert_eq!((url(w, first).as_str(), agent.rollback_state(first)), (BIN, "read_back"), "{after} s");
            agent.stop().await;
        });
    }
}
