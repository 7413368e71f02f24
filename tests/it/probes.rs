//! Test calls and messages: what no log tells is found, with the right reason; what we cannot measure
//! changes nothing.

use ringback::core::model::decision::Action;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{
    ApiFault, ApiFaultKind, ApiFaultScope, Edit, EndpointClass, HandlerCondition, HandlerState, Happening,
};

use serde_json::json;

use crate::support::with_token;
use crate::world::{BIN, PROBER, Running, World, play, with_prober};

const APP: &str = "https://app.example.com/voice";

/// A group that is probed; nobody calls.
pub const QUIET: &str = r#"
name = "quiet"
seed = 11
lasts = "12h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[bin]]
sid = "EH00000000000000000000000000000002"
does = "dead"

[[group]]
name = "support"
numbers = ["+15005550100"]
traffic = { calls_per_hour = 0, floor_per_hour = 0, failure = 0.0, messages_per_hour = 0 }
routing = { voice_url = "https://app.example.com/voice", sms_url = "https://app.example.com/sms" }
"#;

pub fn quiet() -> String {
    with_prober(QUIET)
}

fn quiet_with_messages() -> String {
    quiet().replace("messages_per_hour = 0 ", "messages_per_hour = 0.01 ")
}

pub fn number() -> E164 {
    "+15005550100".parse().unwrap()
}

/// The configuration, with lines of `[group.probe]`.
pub fn probing(w: &World, more: &str) -> String {
    w.config_text() + &format!("[group.probe]\nfrom = \"{PROBER}\"\n{more}\n")
}

pub async fn start(w: &World, more: &str) -> Running {
    w.start_with(&w.parse(&probing(w, more)).unwrap()).await.unwrap()
}

pub async fn attempts(agent: &Running, result: &str) -> f64 {
    agent.sum("ringback_probe_attempts_total", &[&format!("result=\"{result}\"")]).await
}

pub async fn reasons(agent: &Running) -> Vec<String> {
    let (_, text) = agent.get("/metrics").await;
    let mut all: Vec<String> = text
        .lines()
        .filter(|l| l.starts_with("ringback_probe_failures_total{") && !l.ends_with(" 0"))
        .filter_map(|l| Some(l.split("reason=\"").nth(1)?.split('"').next()?.to_owned()))
        .collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_quiet_number_is_probed_and_nothing_is_wrong() {
    play(&quiet_with_messages(), async |w| {
        let agent = start(w, "every = \"2m\"").await;
        w.pass(1200).await;
        let served = attempts(&agent, "success").await;
        assert!((12.0..=24.0).contains(&served), "{served} of voice and messaging in 20 minutes");
        assert_eq!((attempts(&agent, "failure").await, attempts(&agent, "error").await), (0.0, 0.0));
        assert_eq!(agent.sum("ringback_calls_total", &[r#"outcome="ok""#]).await, 0.0, "no caller was counted");
        assert!(agent.metric(r#"ringback_log_lag_seconds{source="calls"}"#).await.unwrap() > 0.0);
        let last = agent.channel(number(), Channel::Voice).last_probe.unwrap();
        assert_eq!((last.origin, last.caution.is_some()), ("twilio", true), "it proves nothing about the port");
        agent.stop().await;
    });
}

/// What is wrong, and the reason that probes give for it; nobody calls.
fn finds(break_it: impl Fn(&World), scenario: &str, more: &str) -> (Vec<String>, Verdict, Vec<String>) {
    play(scenario, async |w| {
        break_it(w);
        let agent = start(w, more).await;
        w.pass(1500).await;
        let reasons = reasons(&agent).await;
        let verdict = agent.channel(number(), Channel::Voice).verdict;
        let status = agent.status();
        let pages = status.decisions.iter().filter_map(|d| match d.action {
            Action::Page { reason } => Some(reason.label().to_owned()),
            Action::Rollback | Action::Withheld { .. } => None,
        });
        let pages = pages.collect();
        agent.stop().await;
        (reasons, verdict, pages)
    })
}

const VOICE_ONLY: &str = "every = \"3m\"";

#[test]
fn faults_that_leave_no_trace_are_found_with_the_right_reason() {
    let quiet = quiet();
    let empty = |w: &World| {
        let edit = Edit { number: number(), set: [("VoiceUrl".to_owned(), String::new())].into() };
        w.sim.happen(Happening::Edit(edit)).unwrap();
    };
    let (reasons, verdict, _) = finds(empty, &quiet, VOICE_ONLY);
    assert_eq!(reasons, ["no_handler"]);
    assert_eq!(verdict, Verdict::Failing);

    let not_ported = quiet.replace("routing = {", "port = { requested = false }\nrouting = {");
    let (reasons, verdict, pages) = finds(|_| {}, &not_ported, VOICE_ONLY);
    assert_eq!(reasons, ["not_arriving"]);
    assert_eq!(verdict, Verdict::Unknown, "a swap would not cure it");
    assert_eq!(pages, ["not_arriving"], "a person is told, once");

    let (reasons, verdict, _) = finds(
        |w| w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap(),
        &quiet,
        VOICE_ONLY,
    );
    assert_eq!((reasons, verdict), (vec!["webhook".to_owned()], Verdict::Failing));

    let own = quiet.replace("sms_url = ", "voice_fallback_url = \"https://app.example.com/spare\", sms_url = ");
    let (reasons, verdict, _) =
        finds(|w| w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap(), &own, VOICE_ONLY);
    assert_eq!((reasons, verdict), (vec!["rescued".to_owned()], Verdict::Failing));

    // Whom the number's own fallback URL put through to a person was served, and the handler failed all the same.
    for own_url in
        ["https://app.example.com/spare", "https://handler.twilio.com/twiml/EH00000000000000000000000000000003"]
    {
        let put_through = own.replace("failure = 0.0,", "failure = 0.0, forward = 1.0,");
        let put_through = put_through.replace("https://app.example.com/spare", own_url).replace(
            "[[group]]\nname = \"support\"",
            "[[bin]]\nsid = \"EH00000000000000000000000000000003\"\ndoes = \"forward\"\nto = \"+15005550177\"\n\n[[group]]\nname = \"support\"",
        );
        let (reasons, verdict, _) = finds(
            |w| w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap(),
            &put_through,
            VOICE_ONLY,
        );
        assert_eq!((reasons, verdict), (vec!["rescued".to_owned()], Verdict::Failing), "{own_url}");
    }

    let forwards = quiet.replace("failure = 0.0,", "failure = 0.0, forward = 1.0,");
    let dead = |w: &World| w.sim.set_handler(APP, HandlerState::all(HandlerCondition::DeadTarget(None))).unwrap();
    let (reasons, verdict, _) = finds(dead, &forwards, VOICE_ONLY);
    assert_eq!((reasons, verdict), (vec!["forward".to_owned()], Verdict::Failing));
}

#[test]
fn messages_that_stay_with_the_losing_carrier_are_found() {
    let scenario =
        quiet_with_messages().replace("routing = {", "port = { at = \"0s\", messages_after = \"10h\" }\nrouting = {");
    let (reasons, _, pages) = finds(|_| {}, &scenario, "every = \"2m\"");
    assert_eq!((reasons, pages), (vec!["not_arriving".to_owned()], vec!["not_arriving".to_owned()]));
    // In the first hours after a port that is how it is.
    play(&scenario, async |w| {
        let text = probing(w, "every = \"2m\"")
            .replace("name = \"support\"\n", "name = \"support\"\nport_at = \"2026-11-21T14:00:00Z\"\n");
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(1500).await;
        assert_eq!(self::reasons(&agent).await, ["settling"]);
        assert_eq!(agent.status().decisions, []);
        agent.stop().await;
    });
}

#[test]
fn a_toll_free_numbers_messages_may_take_two_days_and_an_unknown_port_is_one_too() {
    let scenario =
        quiet_with_messages().replace("routing = {", "port = { at = \"0s\", messages_after = \"10h\" }\nrouting = {");
    let told = |scenario: &str, port: &str, toll_free: bool| {
        play(scenario, async |w| {
            with_token(w);
            let text =
                probing(w, "every = \"2m\"").replace("name = \"support\"\n", &format!("name = \"support\"\n{port}\n"));
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            if port.contains("unknown") {
                let number = if toll_free { TOLL_FREE } else { LOCAL };
                let (status, _) = agent.post("ported", json!({"numbers": [number], "reason": "they said so"})).await;
                assert_eq!(status, 200);
            }
            w.pass(1500).await;
            let told = reasons(&agent).await;
            agent.stop().await;
            told
        })
    };
    const LOCAL: &str = "+15005550100";
    const TOLL_FREE: &str = "+18005550100";
    let long_ago = "port_at = \"2026-11-21T05:00:00Z\"";
    assert_eq!(told(&scenario, long_ago, false), ["not_arriving"], "two hours are long over");
    assert_eq!(told(&scenario.replace(LOCAL, TOLL_FREE), long_ago, true), ["settling"]);
    assert_eq!(told(&scenario, "port_at = \"unknown\"", false), ["settling"], "ported a moment ago, they say");
}

#[test]
fn probes_own_trouble_is_no_verdict() {
    let troubles: [(&str, fn(&World)); 4] = [
        ("busy", |w| {
            w.sim.fault(ApiFault::new(ApiFaultKind::TooMany, ApiFaultScope::Class(EndpointClass::CallCreate))).unwrap();
        }),
        ("permission", |w| {
            let fault = ApiFault::new(ApiFaultKind::Refuse, ApiFaultScope::Class(EndpointClass::CallCreate));
            w.sim.fault(ApiFault { code: 21215, ..fault }).unwrap();
        }),
        ("credit", |w| {
            let fault = ApiFault::new(ApiFaultKind::Refuse, ApiFaultScope::Class(EndpointClass::CallCreate));
            w.sim.fault(ApiFault { code: 10001, ..fault }).unwrap();
        }),
        // The log shows neither leg: it is late, and nothing else is known.
        ("log_late", |w| {
            w.sim.fault(ApiFault::new(ApiFaultKind::Stall, ApiFaultScope::Class(EndpointClass::Calls))).unwrap();
        }),
    ];
    let quiet = quiet();
    for (reason, trouble) in troubles {
        let (reasons, verdict, pages) = finds(trouble, &quiet, VOICE_ONLY);
        assert_eq!(reasons, [reason]);
        assert!(matches!(verdict, Verdict::Unknown | Verdict::Blind), "{reason}: {verdict:?}");
        assert_eq!(pages, [""; 0], "{reason}");
    }
    // A queue that others fill.
    let slow = quiet.replace(
        "[[bin]]\nsid = \"EH00000000000000000000000000000001\"",
        "[twilio]\ncalls_per_second = 0.005\n[[bin]]\nsid = \"EH00000000000000000000000000000001\"",
    );
    let (reasons, verdict, _) = finds(|_| {}, &slow, VOICE_ONLY);
    assert_eq!((reasons, verdict), (vec!["queue".to_owned()], Verdict::Unknown));
    // A number that is not ours to call from.
    play(&quiet, async |w| {
        let text = probing(w, VOICE_ONLY).replace(PROBER, "+15005550198");
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(600).await;
        assert_eq!(self::reasons(&agent).await, ["permission"]);
        assert_eq!(agent.channel(number(), Channel::Voice).verdict, Verdict::Unknown);
        agent.stop().await;
    });
}

#[test]
fn two_failing_probes_swap_a_number_in_five_only() {
    // One number: a person is asked. Five: one may be swapped on probes alone.
    let five = quiet().replace(
        "[\"+15005550100\"]",
        "[\"+15005550100\", \"+15005550101\", \"+15005550102\", \"+15005550103\", \"+15005550104\"]",
    );
    play(&five, async |w| {
        w.agent_section = "mode = \"auto\"\n".into();
        let agent = start(w, "every = \"1m\"").await;
        w.pass(300).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let swapped = (100..105).filter(|n| {
            let number = format!("+15005550{n}").parse().unwrap();
            w.sim.number(number).unwrap()["voice_url"] == BIN
        });
        assert_eq!(swapped.count(), 1);
        assert!(!agent.status().waiting.is_empty(), "for the others a person is asked");
        let proven = agent.sum("ringback_rollbacks_total", &[r#"result="proven""#]).await;
        assert_eq!(proven, 1.0);
        agent.stop().await;
    });
}

/// A group with callers, which is probed.
pub fn busy(more: &str) -> String {
    let day = format!(
        r#"
name = "busy"
seed = 7
lasts = "6h"
history = "0s"
{more}
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = {{ calls_per_hour = 60, shape = "flat", skew = 0.3, failure = 0.0 }}
routing = {{ voice_url = "https://app.example.com/voice" }}
"#
    );
    with_prober(&day)
}

#[test]
fn failing_probes_leave_the_customers_ratios_as_they_are() {
    // The same day, with and without probes, of which some fail.
    let day = |probes: bool| {
        play(&busy("").replace("lasts = \"6h\"", "lasts = \"75m\""), async move |w| {
            w.agent_section = "mode = \"observe\"\n".into();
            let text = if probes { probing(w, "every = \"30s\"") } else { w.config_text() };
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            w.pass(1200).await;
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            w.pass(1200).await;
            w.sim.set_handler(APP, HandlerState::healthy()).unwrap();
            w.pass(3600).await;
            let failures = agent.sum("ringback_probe_attempts_total", &[r#"result="failure""#]).await;
            let (_, text) = agent.get("/metrics").await;
            let is_customers = |l: &&str| l.starts_with("ringback_calls_total{") && !l.contains("ignored");
            let lines: Vec<String> = text.lines().filter(is_customers).map(str::to_owned).collect();
            agent.stop().await;
            (lines, failures)
        })
    };
    let ((with, failures), (without, none)) = (day(true), day(false));
    assert!(failures > 10.0 && none == 0.0, "{failures}");
    assert_eq!(with, without);
}

#[test]
fn two_thousand_numbers_for_an_hour_exceed_no_limit() {
    let scenario = quiet().replace("numbers = [\"+15005550100\"]", "first = \"+15005560000\"\ncount = 2000");
    play(&scenario, async |w| {
        let text = probing(w, "every = \"1m\"\nper_hour = 150").replace(
            "[agent]\n",
            "[probes]\ncalls_per_second = 1.0\nreserve = 0.25\nat_once = 5\nper_hour = 200\nper_day = 300\n[agent]\n",
        );
        w.agent_section = "mode = \"observe\"\n".into();
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(300).await;
        // Trouble, so that probes are repeated and asked for beyond their schedule.
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(3900).await;
        agent.stop().await;
        let calls = w.sim.placed_calls();
        let mut asked: Vec<_> = calls.iter().map(|(c, _)| c.asked_at).collect();
        asked.sort();
        assert!(asked.len() > 100, "{}", asked.len());
        for (i, t) in asked.iter().enumerate() {
            let within = |s: u64| asked[i..].iter().take_while(|u| u.since(*t).as_secs_f64() < s as f64).count();
            assert!(within(1) <= 1, "calls a second");
            assert!(within(3590) <= 150, "calls an hour: {}", within(3590));
        }
        for (call, _) in &calls {
            let up = calls.iter().filter(|(c, end)| c.asked_at <= call.asked_at && *end > call.asked_at);
            assert!(up.clone().count() <= 5, "at the same time");
            assert!(up.filter(|(c, _)| c.to == call.to).count() <= 1, "its last probe is up");
        }
    });
}

#[test]
fn what_is_heard_tells_the_right_answer_from_any_other() {
    let scenario = quiet().replace(
        "[[group]]\nname = \"support\"",
        "[[handler]]\nurl = \"https://app.example.com/voice\"\nmarker = \"42\"\n\n[[group]]\nname = \"support\"",
    );
    let hear = "every = \"3m\"\nhear = { speech = true, marker = \"dtmf:42\" }";
    let (reasons, verdict, _) = finds(|_| {}, &scenario, hear);
    assert_eq!((reasons, verdict), (vec![], Verdict::Unknown), "the handler plays its marker");
    for (condition, reason) in [
        (HandlerCondition::Wrong, "wrong_answer"),
        (HandlerCondition::Spoken, "wrong_answer"),
        (HandlerCondition::OutOfService, "wrong_answer"),
        (HandlerCondition::Silent, "nothing_heard"),
    ] {
        let broken = |w: &World| w.sim.set_handler(APP, HandlerState::all(condition)).unwrap();
        let (reasons, verdict, _) = finds(broken, &scenario, hear);
        assert_eq!((reasons, verdict), (vec![reason.to_owned()], Verdict::Failing), "{condition:?}");
    }
}

#[test]
fn a_failing_caller_outweighs_what_test_calls_only_asked_for() {
    // A group of one, on which probes alone decide nothing: a person is asked. Then callers come.
    let late = busy("").replace(
        "numbers = [\"+15005550100\", \"+15005550101\", \"+15005550102\"]\ntraffic = { calls_per_hour = 60,",
        "numbers = [\"+15005550100\"]\ntraffic = { calls_per_hour = 2, floor_per_hour = 2,",
    );
    assert_ne!(late, busy(""));
    play(&late, async |w| {
        let agent = start(w, "every = \"1m\"").await;
        w.pass(120).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        let swapped = || w.sim.number(number()).unwrap()["voice_url"] == BIN;
        let mut was_asked = false;
        for _ in 0..120 {
            w.pass(60).await;
            was_asked |= !agent.status().waiting.is_empty();
            if swapped() {
                break;
            }
        }
        let status = agent.status();
        let decision = status.decisions.iter().find(|d| d.action == Action::Rollback).unwrap().clone();
        agent.stop().await;
        assert!(was_asked, "on test calls alone");
        assert!(swapped() && decision.evidence.failing > 0, "{decision:?}");
        assert!(status.waiting.is_empty(), "nobody needs to be asked any more");
    });
}
