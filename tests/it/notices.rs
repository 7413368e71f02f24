//! What on-call is told: each notice by itself, and an incident from its beginning to its end, through the agent,
//! in virtual time, with receivers on loopback.

use std::time::Duration;

use ringback::core::model::time::Time;
use ringback::notify::webhook::signature;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState, Happening};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probes::{QUIET, probing};
use crate::receiver::{Got, Receiver, webhook};
use crate::support::break_app;
use crate::world::{Running, World, play, with_prober};

const APP: &str = "https://app.example.com/voice";

fn config_text(w: &World, notify: &str) -> String {
    w.config_text().replace("channels = [", "timezone = \"America/New_York\"\nchannels = [") + notify
}

pub async fn start(w: &mut World, notify: &str) -> Running {
    w.env.insert("HOOK_KEY", "a key");
    let text = config_text(w, notify);
    let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
    w.start_with(&config).await.unwrap()
}

#[test]
fn a_rollback_pages_once_an_incident_and_answers_the_six_questions() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        w.agent_section += "public_url = \"https://ringback.example.com/\"\n";
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(1800).await;
        assert_eq!(hook.kinds(), [], "nothing is wrong yet");
        break_app(w);
        w.pass(1800).await;
        let rolled_back = ("rolled_back".to_owned(), "firing".to_owned());
        assert!(agent.status().decisions.len() >= hook.kinds().len());
        // When it begins, and when it is most of the group.
        assert!((1..=2).contains(&hook.kinds().len()), "{:?}", hook.kinds());
        assert!(hook.kinds().iter().all(|k| *k == rolled_back), "{:?}", hook.kinds());
        for got in hook.taken() {
            let notice = &got.body;
            let text = notice["text"].as_str().unwrap();
            let id = notice["decision"].as_u64().map(|n| format!("D{n}")).unwrap();
            let account = w.sim.scenario().account.sid;
            let ours = format!("{account}/+150055501");
            assert!(notice["numbers"].as_array().unwrap().iter().all(|n| n.as_str().unwrap().starts_with(&ours)));
            assert!(text.contains("+150055501") && !text.contains(&account.to_string()), "it is implied: {text}");
            assert!(text.starts_with("CRITICAL Rolled back: support voice"), "{text}");
            assert!(text.contains("\nSince    2026-11-21 14:3"), "{text}");
            assert!(text.contains(" failed\n") && text.contains("11200: HTTP retrieval failure"), "{text}");
            assert!(text.contains(": rolled back ") && text.contains(&id), "{text}");
            assert_eq!(
                (&notice["key"], &notice["incident_severity"]),
                (&json!("support/voice/handler"), &json!("critical"))
            );
            assert!(text.contains("\nProven   "), "{text}");
            assert!(text.contains("\n         $ ringback restore ") && text.contains("--channel voice"), "{text}");
            let evidence = format!("https://ringback.example.com/decisions/{id}");
            assert!(text.contains(&evidence), "{text}");
            let samples = notice["samples"].as_array().unwrap();
            assert!(
                (1..=3).contains(&samples.len()) && text.contains("https://www.twilio.com/console/voice/calls/logs/CA")
            );
            // Signed over the time and the very bytes.
            let timestamp: i64 = got.headers["ringback-timestamp"].to_str().unwrap().parse().unwrap();
            assert_eq!(got.headers["ringback-signature"], signature("a key", timestamp, &got.text).as_str());
            assert_eq!(timestamp, got.at.as_millis() / 1000);
        }
        let counted = r#"ringback_notifications_total{notifier="hook",result="success"}"#;
        assert_eq!(agent.metric(counted).await, Some(hook.taken().len() as f64));
        agent.stop().await;
    });
}

#[test]
fn a_pager_is_told_when_it_is_over() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let pager = Receiver::listen(w, &mut servers).await;
        w.env.insert("RINGBACK_TOKEN", "open sesame");
        w.env.insert("PD_KEY", "0123456789abcdef0123456789abcdef");
        let notify = format!(
            "\n[[notify]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}/v2/enqueue\"\nkey_env = \"PD_KEY\"\nseverities = [\"critical\"]\n",
            pager.url
        );
        let agent = start(w, &notify).await;
        w.pass(1200).await;
        break_app(w);
        w.pass(900).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        let ask = json!({"group": "support", "channel": "voice", "reason": "repaired", "at_once": true});
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/restore", agent.url))
            .bearer_auth("open sesame")
            .header("content-type", "application/json")
            .body(ask.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        w.pass(120).await;
        let events: Vec<(String, String)> = pager
            .taken()
            .iter()
            .map(|g| {
                assert_eq!(g.path, "/v2/enqueue");
                let word = |key: &str| g.body[key].as_str().unwrap().to_owned();
                (word("event_action"), word("dedup_key"))
            })
            .collect();
        let keys = |action: &str| -> Vec<String> {
            let mut keys: Vec<String> = events.iter().filter(|(a, _)| a == action).map(|(_, k)| k.clone()).collect();
            keys.sort();
            // An incident may have had an update.
            keys.dedup();
            keys
        };
        assert!(!keys("trigger").is_empty());
        assert_eq!(keys("trigger"), keys("resolve"), "every trouble is over: {events:?}");
        agent.stop().await;
    });
}

/// A person's rollback that takes too long is critical, and once it has worked it is only information: whoever was
/// paged is also told the rest, under the same identity.
#[test]
fn who_was_told_of_an_incident_is_told_its_end_whatever_the_severity_of_that() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let (pager, am, hook) = (
            Receiver::listen(w, &mut servers).await,
            Receiver::listen(w, &mut servers).await,
            Receiver::listen(w, &mut servers).await,
        );
        w.env.insert("RINGBACK_TOKEN", "open sesame");
        w.env.insert("PD_KEY", "0123456789abcdef0123456789abcdef");
        let critical = "severities = [\"critical\"]\n";
        let notify = format!(
            "\n[[notify]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nkey_env = \"PD_KEY\"\n{critical}\
             \n[[notify]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"{}\"\n{critical}{}{critical}",
            pager.url,
            am.url,
            webhook("hook", &hook)
        );
        let agent = start(w, &notify).await;
        w.pass(600).await;
        let word = async |verb: &str, ask: Value| {
            let post = reqwest::Client::new().post(format!("{}/api/v1/{verb}", agent.url)).bearer_auth("open sesame");
            let post = post.header("content-type", "application/json").body(ask.to_string());
            assert_eq!(post.send().await.unwrap().status(), 200, "{verb}");
        };
        // The number cannot be read for so long that the rollback takes over a minute.
        w.sim.fault(ApiFault::new(ApiFaultKind::Hang, ApiFaultScope::Reads).lasts(Duration::from_secs(45))).unwrap();
        word("rollback", json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "by hand"})).await;
        w.pass(400).await;
        let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "repaired", "at_once": true});
        word("restore", ask).await;
        w.pass(300).await;
        let told = hook.taken();
        let Some(first) = told.iter().find(|g| g.body["kind"] == "underway") else { panic!("{:?}", hook.kinds()) };
        let key = first.body["key"].as_str().unwrap();
        let status = |g: &Got| g.body["status"].as_str().unwrap().to_owned();
        let of_it: Vec<String> = told.iter().filter(|g| g.body["key"] == key).map(status).collect();
        assert_eq!(of_it.last().unwrap(), "resolved", "{:?}", hook.kinds());
        let rolled_back = told.iter().find(|g| g.body["key"] == key && g.body["kind"] == "rolled_back").unwrap();
        assert_eq!(rolled_back.body["severity"], "info", "less than it was told of at first");
        let dedup = format!("ringback/{key}");
        let events: Vec<Value> = pager
            .taken()
            .iter()
            .filter(|g| g.body["dedup_key"] == *dedup)
            .map(|g| g.body["event_action"].clone())
            .collect();
        assert_eq!((events.first(), events.last()), (Some(&json!("trigger")), Some(&json!("resolve"))), "{events:?}");
        let alerts: Vec<(Value, bool)> = am
            .taken()
            .iter()
            .flat_map(|g| g.body.as_array().unwrap().iter().map(|a| (g.at, a.clone())).collect::<Vec<_>>())
            .filter(|(_, a)| a["labels"]["key"] == key)
            .map(|(at, a)| (a["labels"].clone(), a["endsAt"].as_str().unwrap().parse::<Time>().unwrap() <= at))
            .collect();
        assert!(alerts.iter().all(|(labels, _)| *labels == alerts[0].0), "one identity: {alerts:?}");
        assert_eq!(alerts[0].0["severity"], "critical");
        assert!(alerts.last().unwrap().1, "it is over: {alerts:?}");
        agent.stop().await;
    });
}

/// A person's rollback is information until its test call fails. A pager keeps what it has of an incident, so the
/// milder alert is ended and the more severe one begins.
#[test]
fn an_incident_that_becomes_more_severe_pages_again() {
    let dead = with_prober(QUIET).replacen("does = \"answer\"", "does = \"dead\"", 1);
    play(&dead, async |w| {
        let mut servers = JoinSet::new();
        let (pager, am) = (Receiver::listen(w, &mut servers).await, Receiver::listen(w, &mut servers).await);
        w.env.insert("RINGBACK_TOKEN", "open sesame");
        w.env.insert("PD_KEY", "0123456789abcdef0123456789abcdef");
        let text = probing(w, "every = \"24h\"")
            + &format!(
                "\n[[notify]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nkey_env = \"PD_KEY\"\n\
                 \n[[notify]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"{}\"\n",
                pager.url, am.url
            );
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(300).await;
        let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "by hand"});
        let post = reqwest::Client::new().post(format!("{}/api/v1/rollback", agent.url)).bearer_auth("open sesame");
        let answer = post.header("content-type", "application/json").body(ask.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        w.pass(900).await;
        let of_it = |g: &Got| g.body["dedup_key"].as_str().is_some_and(|k| k == "ringback/support/voice/handler");
        let events: Vec<(String, String)> = pager
            .taken()
            .iter()
            .filter(|g| of_it(g))
            .map(|g| (g.body["event_action"].to_string(), g.body["payload"]["severity"].to_string()))
            .collect();
        let told: Vec<(&str, &str)> = events.iter().map(|(a, s)| (a.trim_matches('"'), s.trim_matches('"'))).collect();
        assert_eq!(told, [("trigger", "info"), ("resolve", "null"), ("trigger", "critical")]);
        let mut open = std::collections::BTreeMap::new();
        for got in am.taken() {
            for alert in got.body.as_array().unwrap() {
                let ends: Time = alert["endsAt"].as_str().unwrap().parse().unwrap();
                open.insert(alert["labels"].to_string(), (alert["labels"]["severity"].clone(), ends > got.at));
            }
        }
        let stands: Vec<&Value> = open.values().filter(|(_, is_open)| *is_open).map(|(s, _)| s).collect();
        assert_eq!((open.len(), stands), (2, vec![&json!("critical")]), "{open:?}");
        agent.stop().await;
    });
}

#[test]
fn an_alertmanager_hears_of_what_stands_until_it_is_over() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let am = Receiver::listen(w, &mut servers).await;
        let notify = format!("\n[[notify]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"{}\"\n", am.url);
        let agent = start(w, &notify).await;
        w.pass(1200).await;
        let calm = ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Reads);
        w.sim.fault(calm).unwrap();
        w.pass(900).await;
        let alert = |g: &Got| -> Value {
            g.body.as_array().unwrap().iter().find(|a| a["labels"]["key"] == "blind").cloned().unwrap_or_default()
        };
        let words: Vec<(Time, Time, Time)> = am
            .taken()
            .iter()
            .filter(|g| !alert(g).is_null())
            .map(|g| {
                let time = |key: &str| alert(g)[key].as_str().unwrap().parse().unwrap();
                (g.at, time("startsAt"), time("endsAt"))
            })
            .collect();
        assert!(words.len() > 8, "again every minute: {words:?}");
        assert!(words.iter().all(|(at, starts, ends)| starts <= at && at < ends && *starts == words[0].1));
        for pair in words.windows(2) {
            assert!(pair[1].0 < pair[0].2, "no gap in which it would be over");
        }
        w.sim.calm();
        w.pass(300).await;
        let last = am.taken().into_iter().rfind(|g| !alert(g).is_null()).unwrap();
        let ends: Time = alert(&last)["endsAt"].as_str().unwrap().parse().unwrap();
        assert!(ends <= last.at, "it is over");
        let later = am.taken().into_iter().filter(|g| g.at > last.at && !alert(g).is_null()).count();
        assert_eq!(later, 0);
        agent.stop().await;
    });
}

/// Five incidents as on-call would meet them; with `RINGBACK_INCIDENTS` set to a folder, their texts are
/// left there, as `notify --render` reads them from the state.
#[test]
fn five_incidents_answer_the_six_questions() {
    type Break = fn(&World);
    let incidents: [(&str, &str, &str, Break); 5] = [
        ("rolled-back", "mode = \"auto\"\n", "rolled_back", break_app),
        ("held", "mode = \"observe\"\n", "held", break_app),
        ("not-curable", "mode = \"auto\"\n", "not_curable", |w| {
            let change = json!({"group": "sales", "busy": 1.0});
            w.sim.happen(Happening::Traffic(serde_json::from_value(change).unwrap())).unwrap();
        }),
        ("blind", "mode = \"auto\"\n", "blind", |w| {
            w.sim.fault(ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Reads)).unwrap();
        }),
        ("unproven", "mode = \"auto\"\n", "unproven", |w| {
            w.sim.fault(ApiFault::new(ApiFaultKind::Ineffective, ApiFaultScope::Writes)).unwrap();
            break_app(w);
        }),
    ];
    for (name, mode, kind, happens) in incidents {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let hook = Receiver::listen(w, &mut servers).await;
            w.agent_section = format!(
                "{mode}public_url = \"https://ringback.example.com\"\ndashboard_url = \"https://grafana.example.com/d/ringback-port-day\"\n"
            );
            let notify = webhook("hook", &hook);
            let agent = start(w, &notify).await;
            w.pass(1800).await;
            happens(w);
            w.pass(1800).await;
            let notice = hook.taken().into_iter().find(|g| g.body["kind"] == kind);
            let Some(notice) = notice else { panic!("{name}: {:?}", hook.kinds()) };
            let text = notice.body["text"].as_str().unwrap().to_owned();
            for answer in
                ["Numbers  +1500555", "Callers  ", "Since    2026-11-21 14:", "Why      ", "Ringback ", "Next     "]
            {
                assert!(text.contains(answer), "{name} does not answer {answer:?}:\n{text}");
            }
            if ["rolled-back", "unproven"].contains(&name) {
                assert!(text.contains("\nProven   "), "{text}");
            }
            if ["rolled-back", "held", "unproven"].contains(&name) {
                assert!(
                    text.contains("\nHandler  https://app.example.com/voice answered HTTP 500, last at 2026"),
                    "{text}"
                );
            }
            assert!(name != "rolled-back" || text.contains(" to the fallback, the last at 2026-11-21 "), "{text}");
            assert!(name != "blind" || text.contains("cannot be read: ") && text.contains("HTTP 503"), "{text}");
            if let Some(folder) = std::env::var_os("RINGBACK_INCIDENTS") {
                let folder = std::path::Path::new(&folder).join(name);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("key"), notice.body["key"].as_str().unwrap()).unwrap();
                std::fs::write(folder.join("ringback.toml"), config_text(w, &notify)).unwrap();
                agent.stop().await;
                std::fs::copy(w.folder.path().join("ringback.db"), folder.join("ringback.db")).unwrap();
            } else {
                agent.stop().await;
            }
        });
    }
}
