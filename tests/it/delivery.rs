//! How notices reach people: receivers that are slow, down or refuse, restarts, bursts, filters, and the heartbeat.

use std::time::Duration;

use ringback::agent::publish::trouble::TroubleKind;
use ringback::core::model::id::E164;
use ringback::core::model::time::Time;
use ringback::core::notice::Severity;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState, TimelineMark};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::notices::start;
use crate::receiver::{Got, Manner, Receiver, webhook};
use crate::support::{break_app, sql, with_token};
use crate::world::{Running, World, play};

/// When each number was written, and when each decision was made.
fn instants(w: &World, agent: &Running) -> (Vec<(E164, Time)>, Vec<(String, Time)>) {
    let mut writes = Vec::new();
    for entry in &w.sim.truth().timeline {
        if let TimelineMark::Updated(update) = &entry.what {
            writes.push((update.number, entry.at));
        }
    }
    let decisions = agent.status().decisions.iter().map(|d| (d.id.to_string(), d.at)).collect();
    (writes, decisions)
}

#[test]
fn a_receiver_that_is_slow_down_or_refuses_loses_nothing_and_delays_nothing() {
    /// Plays the day with a receiver of this manner for the first minutes, or without any.
    fn day(manner: Option<Manner>) -> ((Vec<(E164, Time)>, Vec<(String, Time)>), usize) {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let hook = Receiver::listen(w, &mut servers).await;
            let notify = manner.map_or_else(String::new, |_| webhook("hook", &hook));
            let agent = start(w, &notify).await;
            w.pass(1200).await;
            hook.behaves(manner.unwrap_or(Manner::Takes));
            break_app(w);
            w.pass(1200).await;
            let during = hook.taken().len();
            if matches!(manner, Some(Manner::TooMany(_) | Manner::Status(_))) {
                assert_eq!(during, 0, "{manner:?}");
                assert!(hook.all().len() > 2, "it was tried again");
            }
            if manner == Some(Manner::TooMany(70)) {
                let tries: Vec<Time> = hook.all().iter().map(|g| g.at).collect();
                assert!(
                    tries.windows(2).all(|t| t[1].since(t[0]) >= Duration::from_secs(70)),
                    "Retry-After: {tries:?}"
                );
            }
            hook.behaves(Manner::Takes);
            w.pass(900).await;
            let instants = instants(w, &agent);
            let told = hook.kinds().iter().filter(|(kind, _)| kind == "rolled_back").count();
            agent.stop().await;
            (instants, told)
        })
    }
    let (alone, _) = day(None);
    assert!(!alone.0.is_empty() && !alone.1.is_empty(), "{alone:?}");
    let (_, usual) = day(Some(Manner::Takes));
    assert!(usual >= 1);
    let manners = [
        Manner::Takes,
        Manner::Slow(Duration::from_secs(8)),
        Manner::Slow(Duration::from_secs(3600)),
        Manner::TooMany(70),
        Manner::Status(500),
    ];
    for manner in manners {
        let (with, told) = day(Some(manner));
        assert_eq!(with, alone, "{manner:?}: the same decisions and writes at the same instants");
        // A receiver that takes longer than we wait has it, and gets it again.
        let most = if manner == Manner::Slow(Duration::from_secs(3600)) { usize::MAX } else { usual };
        assert!((usual..=most).contains(&told), "{manner:?}: {told} of {usual}");
    }
}

#[test]
fn a_restart_tells_what_was_not_told_and_nothing_twice() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(1200).await;
        hook.behaves(Manner::Status(503));
        break_app(w);
        w.pass(900).await;
        assert!(!agent.status().decisions.is_empty() && hook.taken().is_empty());
        agent.stop().await;
        hook.behaves(Manner::Takes);
        for _ in 0..2 {
            let agent = start(w, &webhook("hook", &hook)).await;
            w.pass(300).await;
            agent.stop().await;
        }
        // The same notice has the same key, kind and time in each life of the agent, and is kept once.
        let titles: Vec<Value> = hook.bodies().iter().map(|n| n["title"].clone()).collect();
        let mut distinct = titles.clone();
        distinct.dedup();
        assert!((1..=2).contains(&titles.len()) && distinct == titles, "{titles:?}");
    });
}

#[test]
fn what_the_courier_had_not_kept_is_found_in_the_journal() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        // The first agent tells nobody, as one that dies right after its journal's commit.
        let agent = start(w, "").await;
        w.pass(1200).await;
        break_app(w);
        w.pass(900).await;
        assert!(!agent.status().decisions.is_empty());
        agent.stop().await;
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(60).await;
        assert!((1..=2).contains(&hook.kinds().len()), "{:?}", hook.kinds());
        agent.stop().await;
    });
}

#[test]
fn more_than_a_person_can_read_is_summed_up_and_kept() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let notify = webhook("hook", &hook) + "per_minute = 1\n";
        w.agent_section = "mode = \"observe\"\n".to_owned();
        let agent = start(w, &notify).await;
        w.pass(1200).await;
        break_app(w);
        w.sim.set_handler("https://sales.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let taken = hook.taken();
        let summaries: Vec<&Got> = taken.iter().filter(|g| g.body["kind"] == "summary").collect();
        assert!(!summaries.is_empty(), "{:?}", hook.kinds());
        let text = summaries[0].body["text"].as_str().unwrap();
        assert!(text.contains("more notices held back") && text.contains("CRITICAL Rollback blocked"), "{text}");
        for pair in taken.windows(2) {
            assert!(pair[1].at.since(pair[0].at) >= Duration::from_secs(60), "one a minute");
        }
        let held_back = agent.metric(r#"ringback_notifications_total{notifier="hook",result="held_back"}"#).await;
        assert!(held_back.unwrap() >= 1.0);
        agent.stop().await;
    });
}

/// A burst beyond `per_minute` at a receiver that refuses, and at one that fails right after it: what was held back is
/// summed up a minute later, and until then nobody loops (the clock panics at a million waits without time passing).
#[test]
fn a_receiver_that_fails_after_a_burst_costs_no_processor_and_gets_the_summary() {
    for (kind, during, after) in [
        ("webhook", Manner::Status(400), Manner::Status(400)),
        ("alertmanager", Manner::Takes, Manner::Status(503)),
        ("alertmanager", Manner::Takes, Manner::TooMany(300)),
    ] {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let hook = Receiver::listen(w, &mut servers).await;
            let notify =
                format!("\n[[notify]]\nname = \"hook\"\nkind = \"{kind}\"\nurl = \"{}\"\nper_minute = 1\n", hook.url);
            w.agent_section = "mode = \"observe\"\n".to_owned();
            let agent = start(w, &notify).await;
            w.pass(1200).await;
            hook.behaves(during);
            break_app(w);
            w.sim
                .set_handler("https://sales.example.com/voice", HandlerState::all(HandlerCondition::Status(500)))
                .unwrap();
            let held_back = r#"ringback_notifications_total{notifier="hook",result="held_back"}"#;
            for _ in 0..600 {
                w.pass(2).await;
                if agent.metric(held_back).await.unwrap() >= 1.0 {
                    break;
                }
            }
            hook.behaves(after);
            w.pass(600).await;
            let summaries = |got: Vec<Got>| got.iter().filter(|g| g.text.contains("summary/hook")).count();
            assert!(summaries(hook.all()) >= 1, "{kind}, {after:?}: it was tried");
            hook.behaves(Manner::Takes);
            w.pass(900).await;
            assert!(kind == "webhook" || summaries(hook.taken()) >= 1, "{kind}, {after:?}: {:?}", hook.kinds());
            agent.stop().await;
        });
    }
}

#[test]
fn a_notifier_that_does_not_deliver_is_news_for_the_others() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let (bad, good) = (Receiver::listen(w, &mut servers).await, Receiver::listen(w, &mut servers).await);
        bad.behaves(Manner::Status(500));
        let agent = start(w, &(webhook("bad", &bad) + &webhook("good", &good))).await;
        w.pass(1200).await;
        break_app(w);
        w.pass(600).await;
        let failing = good.taken().into_iter().find(|g| g.body["kind"] == "notifier_failing").unwrap();
        assert_eq!(failing.body["key"], "notifier/bad");
        assert!(failing.body["text"].as_str().unwrap().contains("HTTP 500"));
        assert!(agent.metric(r#"ringback_notifications_total{notifier="bad",result="failure"}"#).await.unwrap() >= 3.0);
        bad.behaves(Manner::Takes);
        w.pass(600).await;
        let over = ("notifier_failing".to_owned(), "resolved".to_owned());
        assert!(good.kinds().contains(&over), "{:?}", good.kinds());
        assert!(bad.kinds().iter().all(|(kind, _)| kind != "notifier_failing"), "it is not told of itself");
        agent.stop().await;
    });
}

#[test]
fn a_dead_notifier_is_known_after_a_restart_although_nobody_else_was_told() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let only = Receiver::listen(w, &mut servers).await;
        only.behaves(Manner::Status(500));
        let agent = start(w, &webhook("only", &only)).await;
        w.pass(1200).await;
        break_app(w);
        w.pass(600).await;
        let trouble = |agent: &Running| {
            let all = &agent.status().troubles;
            all.iter()
                .find(|t| t.kind == TroubleKind::NotifierFailing)
                .map(|t| (t.severity, t.since.as_ref().unwrap().at))
        };
        let before = trouble(&agent).expect("it is known while the agent runs");
        assert_eq!(before.0, Severity::Critical, "nobody at all is told");
        agent.stop().await;

        let agent = start(w, &webhook("only", &only)).await;
        w.pass(5).await;
        let (severity, since) = trouble(&agent).expect("it is known after a restart");
        assert!(severity == Severity::Critical && since <= before.1, "{since} {before:?}");
        assert_eq!(agent.metric(r#"ringback_notifier_failing{notifier="only"}"#).await, Some(1.0));
        only.behaves(Manner::Takes);
        w.pass(900).await;
        assert!(trouble(&agent).is_none(), "it delivers");
        agent.stop().await;

        let agent = start(w, &webhook("only", &only)).await;
        w.pass(5).await;
        assert!(trouble(&agent).is_none(), "what came of older tries does not count");
        agent.stop().await;
    });
}

#[test]
fn the_heartbeat_stops_while_anything_is_stale() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let service = Receiver::listen(w, &mut servers).await;
        let agent = start(w, &format!("\n[heartbeat]\nurl = \"{}/ping\"\nevery = \"30s\"\n", service.url)).await;
        w.pass(630).await;
        let before = service.all().len();
        assert!((20..=21).contains(&before), "{before}");
        w.sim.fault(ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Reads)).unwrap();
        w.pass(180).await;
        let blind_at = service.all().len();
        w.pass(600).await;
        assert_eq!(service.all().len(), blind_at, "no sign of life while blind");
        w.sim.calm();
        w.pass(300).await;
        assert!(service.all().len() > blind_at + 5);
        agent.stop().await;
    });
}

#[test]
fn groups_and_severities_are_filters() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let (sales, info) = (Receiver::listen(w, &mut servers).await, Receiver::listen(w, &mut servers).await);
        let notify =
            webhook("sales", &sales) + "groups = [\"sales\"]\n" + &webhook("info", &info) + "severities = [\"info\"]\n";
        let agent = start(w, &notify).await;
        w.pass(1200).await;
        break_app(w);
        w.pass(900).await;
        assert!(!agent.status().decisions.is_empty());
        assert_eq!((sales.kinds(), info.kinds()), (vec![], vec![]));
        agent.stop().await;
    });
}

/// The disk takes no notice when an incident begins: it is sent all the same. After the incident's end a restart would
/// find its beginning in the journal, not in the outbox, and nothing would ever end what it tells of.
#[test]
fn an_incident_that_is_over_does_not_begin_again_with_a_restart() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        with_token(w);
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(300).await;
        let full =
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
        sql(w, full).await;
        let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "by hand"});
        let back = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "over", "at_once": true});
        assert_eq!(agent.post("rollback", ask).await.0, 200);
        w.pass(60).await;
        sql(w, "DROP TRIGGER full").await;
        assert_eq!(agent.post("restore", back).await.0, 200);
        w.pass(60).await;
        let told = hook.kinds();
        let is = |n: usize, status: &str| told.get(n).is_some_and(|(_, s)| s == status);
        assert!(told.len() == 2 && is(0, "firing") && is(1, "resolved"), "{told:?}");
        agent.stop().await;
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(300).await;
        assert_eq!(hook.kinds(), told, "nothing begins again");
        agent.stop().await;
    });
}
