//! Transport is not sight: an answer that came and says nothing is not read; one list, one row or one call that cannot
//! be had costs itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass, HandlerCondition, HandlerState};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::notices::start;
use crate::probe_trouble::{Passing, between};
use crate::receiver::{Receiver, webhook};
use crate::support::{drill, support, url, with_token};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

fn verdict(agent: &Running) -> Verdict {
    agent.channel(support()[0], Channel::Voice).verdict
}

async fn polls(agent: &Running, source: &str, result: &str) -> f64 {
    let (source, result) = (format!("source=\"{source}\""), format!("result=\"{result}\""));
    agent.sum("ringback_polls_total", &[&source, &result]).await
}

/// Changes the rows of a list on their way, while `is_on`.
fn rows(passing: &mut Passing, list: &str, key: &str, change: impl Fn(usize, &mut Value)) {
    if !passing.path.contains(list) {
        return;
    }
    let Some(mut page) = passing.json() else { return };
    let Some(rows) = page[key].as_array_mut() else { return };
    rows.iter_mut().enumerate().for_each(|(i, row)| change(i, row));
    passing.set(&page);
}

/// A list of another time is not the one that was asked for, however well its rows can be read.
#[test]
fn a_list_of_days_that_were_not_asked_for_is_not_read() {
    let old: [(&str, &str, fn(&mut Value)); 2] = [
        ("Calls.json", "calls", |row| {
            for field in ["date_created", "start_time", "end_time"] {
                row[field] = "Wed, 01 Jan 2020 10:00:00 +0000".into();
            }
        }),
        ("/Alerts", "alerts", |row| {
            for field in ["date_created", "date_generated", "date_updated"] {
                row[field] = "2020-01-01T10:00:00Z".into();
            }
        }),
    ];
    for (list, key, change) in old {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let is_on = Arc::new(AtomicBool::new(false));
            let on = is_on.clone();
            between(w, &mut servers, move |passing| {
                if on.load(Ordering::Relaxed) {
                    rows(passing, list, key, |_, row| change(row));
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(900).await;
            assert_eq!(verdict(&agent), Verdict::Healthy, "{key}");
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            is_on.store(true, Ordering::Relaxed);
            w.pass(400).await;
            assert_eq!(verdict(&agent), Verdict::Blind, "{key}");
            let (code, body) = agent.get("/-/ready").await;
            assert!(code == 503 && body.contains(&format!("cannot read {key}")), "{key}: {body}");
            agent.stop().await;
        });
    }
}

/// All callers fail, and of every row something cannot be read: that is blindness, and its end is enough.
#[test]
fn a_log_of_which_a_large_part_cannot_be_understood_is_not_read() {
    let damages: [(&str, fn(&mut Value), &str); 4] = [
        ("a date", |row| row["date_created"] = "yesterday".into(), "date"),
        ("a SID", |row| row["sid"] = "CA-1".into(), "sid"),
        ("a shape", |row| row["to"] = json!({"number": "+15005550100"}), "row"),
        ("a direction", |row| row["direction"] = Value::Null, "direction"),
    ];
    for (what, damage, said) in damages {
        play(DAY, async |w| {
            with_token(w);
            w.env.insert("HOOK_KEY", "a key");
            let mut servers = JoinSet::new();
            let is_on = Arc::new(AtomicBool::new(false));
            let on = is_on.clone();
            between(w, &mut servers, move |passing| {
                if on.load(Ordering::Relaxed) {
                    // One in two: what can be read looks well.
                    rows(passing, "Calls.json", "calls", |i, row| {
                        if i % 2 == 0 {
                            row["start_time"] = row["date_created"].clone();
                            damage(row);
                            row["start_time"] = row["date_created"].clone();
                        }
                    });
                }
            })
            .await;
            let receiver = Receiver::listen(w, &mut servers).await;
            let agent = start(w, &webhook("hook", &receiver)).await;
            w.pass(900).await;
            assert_eq!(verdict(&agent), Verdict::Healthy, "{what}");
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            is_on.store(true, Ordering::Relaxed);
            w.pass(400).await;
            assert_eq!(verdict(&agent), Verdict::Blind, "{what}");
            let (code, body) = agent.get("/-/ready").await;
            assert!(code == 503 && body.contains("cannot read calls"), "{what}: {body}");
            assert!(polls(&agent, "calls", "failure").await > 0.0, "{what}");
            let told = receiver.taken().into_iter().find(|got| got.body["kind"] == "rows_not_understood");
            let told = told.unwrap_or_else(|| panic!("{what}: somebody is told")).body.to_string();
            assert!(told.contains(said), "{what}, with what kind of row: {told}");
            is_on.store(false, Ordering::Relaxed);
            w.pass(600).await;
            assert!(agent.channel(support()[0], Channel::Voice).is_on_fallback, "{what}: they are judged after all");
            agent.stop().await;
        });
    }
}

/// Rows of numbers that are not ours, and old ones, cost nobody's sight; a few are set aside.
#[test]
fn rows_of_others_and_old_and_few_ones_that_cannot_be_understood_cost_no_sight() {
    type Change = fn(usize, &mut Value);
    let changes: [(&str, Change); 3] = [
        ("of others", |_, row| {
            if row["to"].as_str().is_some_and(|to| to.starts_with("+15005559")) {
                row["direction"] = Value::Null;
            }
        }),
        ("old", |_, row| {
            (row["start_time"], row["date_created"]) = ("Fri, 20 Nov 2026 06:00:00 +0000".into(), Value::Null);
            row["duration"] = "long".into();
        }),
        ("few", |i, row| {
            if i < 2 {
                row["sid"] = "CA-1".into();
            }
        }),
    ];
    let others = "\n[[group]]\nname = \"others\"\nforeign = true\nnumbers = [\"+15005559100\"]\n\
                  traffic = { calls_per_hour = 600, shape = \"flat\", failure = 0.0 }\n\
                  routing = { voice_url = \"https://others.example.com/voice\" }\n";
    for (what, change) in changes {
        play(&format!("{DAY}{others}"), async |w| {
            let mut servers = JoinSet::new();
            let is_on = Arc::new(AtomicBool::new(false));
            let on = is_on.clone();
            between(w, &mut servers, move |passing| {
                if on.load(Ordering::Relaxed) {
                    rows(passing, "Calls.json", "calls", |i, row| {
                        // Every other row is as it was, so that there is something to be seen.
                        if what != "old" || i % 2 == 0 {
                            change(i, row);
                        }
                    });
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(900).await;
            is_on.store(true, Ordering::Relaxed);
            w.pass(300).await;
            assert!(agent.sum("ringback_rows_total", &[r#"result="bad""#]).await > 0.0, "{what}");
            assert_eq!(verdict(&agent), Verdict::Healthy, "{what}");
            agent.stop().await;
        });
    }
}

/// What is read of a log is used, whatever of it cannot be; what is not read is blindness.
#[test]
fn what_was_read_of_a_list_that_broke_off_is_used() {
    // Of the alerts one list fails: what the other says is counted.
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("LogLevel=error") {
                passing.status = 500;
            }
        })
        .await;
        w.sim.set_handler("https://sales.example.com/voice", HandlerState::all(HandlerCondition::Blocked)).unwrap();
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        let read = agent.sum("ringback_rows_total", &[r#"source="alerts""#, r#"result="new""#]).await;
        assert!(read > 0.0, "the warnings were read");
        assert_eq!(verdict(&agent), Verdict::Blind, "the errors were not");
        agent.stop().await;
    });
}

/// A page far back that cannot be read for days (twilio-php#507) must not blind an agent that sees all it has to.
#[test]
fn the_far_end_of_a_list_costs_no_sight_and_its_middle_does() {
    let busy =
        DAY.replace("history = \"0s\"", "history = \"5h\"").replace("calls_per_hour = 90", "calls_per_hour = 400");
    for (overlap, is_blind) in [("15m", false), ("3h", true)] {
        play(&busy, async |w| {
            let mut servers = JoinSet::new();
            between(w, &mut servers, |passing| {
                if passing.path.contains("Calls.json") && passing.path.contains("PageToken") {
                    passing.status = 400;
                }
            })
            .await;
            let text = w.config_text().replacen("[agent]", &format!("[poll]\noverlap = \"{overlap}\"\n\n[agent]"), 1);
            let agent = w.start_with(&w.parse(&text).unwrap_or_else(|e| panic!("{e}"))).await.unwrap();
            w.pass(900).await;
            assert_eq!(verdict(&agent) == Verdict::Blind, is_blind, "{overlap}: {:?}", verdict(&agent));
            assert!(
                agent.sum("ringback_rows_total", &[r#"source="calls""#, r#"result="new""#]).await > 0.0,
                "{overlap}"
            );
            agent.stop().await;
        });
    }
}

/// A call that is fetched by itself and hangs holds up neither the list nor the other calls.
#[test]
fn a_fetch_that_hangs_does_not_hold_up_the_list() {
    play(DAY, async |w| {
        w.sim.fault(ApiFault::new(ApiFaultKind::Hang, ApiFaultScope::Class(EndpointClass::Call))).unwrap();
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        // Calls of an hour leave the list before they are over, and are fetched.
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        let read = polls(&agent, "calls", "success").await;
        assert!(read > 100.0, "a poll every few seconds, {read} in a quarter of an hour");
        assert!(agent.channel(support()[0], Channel::Voice).is_on_fallback);
        agent.stop().await;
    });
}

/// A number whose region cannot be told keeps no other's from being asked for.
#[test]
fn a_region_that_cannot_be_told_is_one_numbers_trouble() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("PhoneNumbers/%2B15005550100") {
                passing.status = 500;
            } else if passing.path.contains("PhoneNumbers/%2B15005550202") {
                passing.set(&json!({"phone_number": "+15005550202", "voice_region": "ie1"}));
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        let last: E164 = "+15005550202".parse().unwrap();
        let routing = agent.channel(last, Channel::Voice).routing;
        assert_eq!(routing, ringback::core::routing::history::RoutingState::Elsewhere);
        agent.stop().await;
    });
}

/// A row among a service's numbers that cannot be read costs what it may be, and no other.
#[test]
fn a_bad_row_of_a_service_hides_no_other_number() {
    let service = "MG00000000000000000000000000000001";
    let day = DAY.replacen(
        "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
        &format!(
            "failure = 0.0, messages_per_hour = 60 }}\nrouting = {{ voice_url = \"{APP}\", service = \"{service}\" }}"
        ),
        1,
    ) + &format!(
        "\n[[service]]\nsid = \"{service}\"\nfriendly_name = \"texts\"\ninbound_request_url = \
         \"https://app.example.com/service\"\n"
    );
    play(&day, async |w| {
        let mut servers = JoinSet::new();
        let bad = w.sim.number(support()[0]).unwrap()["sid"].as_str().unwrap().to_owned();
        between(w, &mut servers, move |passing| {
            rows(passing, "/PhoneNumbers", "phone_numbers", |_, row| {
                if row["sid"] == bad.as_str() {
                    row["sid"] = "PN-1".into();
                }
            });
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        let of = |n: E164| agent.channel(n, Channel::Messaging);
        assert_eq!(of(support()[0]).verdict, Verdict::Blind, "it may be in that service");
        for n in &support()[1..] {
            let handler = of(*n).handler.map(|h| h.to_string()).unwrap_or_default();
            assert!(handler.contains(service), "{n}: {handler}");
            assert_eq!(of(*n).verdict, Verdict::Healthy, "{n}");
        }
        agent.stop().await;
    });
}

/// A list that gives our number another one's SID: the other one is not written to, and ours is.
#[test]
fn a_list_that_mixes_up_two_numbers_has_nobody_written_to() {
    let day = DAY.replace(
        "numbers = [\"+15005550100\", \"+15005550101\", \"+15005550102\"]",
        "first = \"+15005550100\"\ncount = 12",
    );
    play(&day, async |w| {
        with_token(w);
        let mut servers = JoinSet::new();
        let sid = |w: &World, n: E164| w.sim.number(n).unwrap()["sid"].as_str().unwrap().to_owned();
        let other: E164 = "+15005550200".parse().unwrap();
        let (ours, theirs) = (sid(w, support()[0]), sid(w, other));
        let is_on = Arc::new(AtomicBool::new(false));
        let on = is_on.clone();
        between(w, &mut servers, move |passing| {
            if on.load(Ordering::Relaxed) {
                rows(passing, "IncomingPhoneNumbers.json", "incoming_phone_numbers", |_, row| {
                    if row["sid"] == ours.as_str() {
                        row["sid"] = theirs.as_str().into();
                    }
                });
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        is_on.store(true, Ordering::Relaxed);
        agent.post("rollback", drill()).await;
        w.pass(30).await;
        assert_eq!(url(w, support()[0]), BIN, "it is found by the SID that is known");
        assert_eq!(crate::support::writes(w).get(&other), None, "it was written to");
        agent.stop().await;
    });
}
