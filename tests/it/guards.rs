//! What may stop a swap, bounds it, or shows that it did nothing: through the outermost door.

use std::time::Duration;

use ringback::core::model::guard::Guard;
use ringback::core::model::id::{Channel, E164};
use ringback::core::rollback::entry::Entry;
use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::json;

use crate::agent::DAY;
use crate::support::{break_app, id, support, url, with_token, writes};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

fn refusals(agent: &Running) -> Vec<Guard> {
    let mut guards: Vec<Guard> = agent.status().waiting.iter().flat_map(|d| d.guards.clone()).collect();
    guards.dedup();
    guards
}

async fn entries(agent: &Running) -> Vec<Entry> {
    let mut all = Vec::new();
    for line in agent.agent.memory.latest(100).await.unwrap() {
        let id = line.entry.decision().unwrap();
        all.extend(agent.agent.memory.explain(id).await.unwrap().unwrap().entries.into_iter().map(|l| l.entry));
    }
    all
}

#[test]
fn a_veto_has_its_time_and_a_hold_is_one() {
    play(DAY, async |w| {
        with_token(w);
        w.agent_section = "mode = \"auto\"\nveto = \"5m\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        // The countdown begins with the decision, and nothing is written while it runs.
        while agent.status().waiting.is_empty() {
            w.pass(1).await;
        }
        let decided = agent.status().waiting[0].clone();
        assert_eq!(decided.guards, [Guard::Veto]);
        w.pass(290).await;
        assert!(writes(w).is_empty(), "somebody may still object: {:?}", writes(w));
        let held = support()[0];
        let hold = json!({"numbers": [held.to_string()], "reason": "not this one", "seconds": 3600});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        w.pass(600).await;
        assert_eq!(url(w, held), APP, "objected to");
        assert!(support()[1..].iter().all(|n| url(w, *n) == BIN), "nobody objected to these");
        assert!(writes(w).values().all(|n| *n == 1));
        agent.stop().await;
    });
}

#[test]
fn when_most_of_everything_fails_at_once_a_person_is_asked() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.sim.set_handler("https://sales.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        // What failed first was alone and went; from then on it is a storm.
        let by = w.now() + Duration::from_secs(900);
        while !refusals(&agent).contains(&Guard::Storm) {
            w.pass(1).await;
            assert!(w.now() < by, "{:?}", agent.status().decisions);
        }
        let all: Vec<E164> = agent.status().numbers().map(|(_, n)| n.number).collect();
        let on_bin = |w: &World| all.iter().filter(|n| url(w, **n) == BIN).count();
        let before = on_bin(w);
        assert!(before < all.len(), "not all without a person's word");
        for d in agent.status().waiting.clone() {
            let ask = json!({"decision": d.decision.to_string(), "reason": "it is our own outage"});
            assert_eq!(agent.post("approve", ask).await.0, 200);
        }
        w.pass(120).await;
        assert!(on_bin(w) > before, "a person's word is enough");
        agent.stop().await;
    });
}

#[test]
fn a_handler_that_flaps_causes_a_bounded_number_of_writes() {
    // Whoever restores each time it is allowed, of a handler that is never mended: the hold-offs are half
    // an hour, an hour, two, …, and each costs two writes of the canary.
    let day = DAY.replace("lasts = \"4h\"", "lasts = \"40h\"");
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        let first: usize = writes(w).values().sum();
        let ask = json!({"group": "support", "channel": "voice", "reason": "it looks fine"});
        let (mut relapses, mut holdoffs) = (0u32, Vec::new());
        let end = w.now() + Duration::from_secs(8 * 3600);
        let mut relapsed_at = None;
        while w.now() < end {
            let (_, plan) = agent.post("restore", ask.clone()).await;
            let refused = plan["lines"][0]["detail"].as_str().unwrap_or_default().contains("relapsed");
            if refused {
                w.pass(60).await;
                continue;
            }
            if let Some(at) = relapsed_at.take() {
                holdoffs.push(w.now().since(at).as_secs() / 60);
            }
            // Until the canary is back on the fallback.
            w.pass(30).await;
            while support().iter().any(|n| url(w, *n) == APP) && w.now() < end {
                w.pass(10).await;
            }
            relapses += 1;
            relapsed_at = Some(w.now());
            w.pass(10).await;
        }
        for (i, minutes) in holdoffs.iter().enumerate() {
            let least = (30u64 << i).min(1440);
            assert!(
                (least - 1..=least + 2).contains(minutes),
                "hold-off {i}: {minutes} min, not {least}: {holdoffs:?}"
            );
        }
        assert!(holdoffs.len() >= 3, "{holdoffs:?}");
        let total: usize = writes(w).values().sum();
        assert_eq!(total - first, 2 * relapses as usize, "the canary there and back, and nothing else");
        agent.stop().await;
    });
}

#[test]
fn another_update_in_flight_is_waited_for() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        // 409, code 20162, as Twilio answers while another update of the same resource is under way.
        w.sim.fault(ringback::sim::ApiFault { code: 20162, ..fault(ringback::sim::ApiFaultKind::Refuse) }).unwrap();
        let ask = json!({"numbers": [support()[0].to_string()], "channel": "voice", "reason": "drill"});
        agent.post("rollback", ask).await;
        w.pass(300).await;
        assert_eq!((url(w, support()[0]).as_str(), agent.rollback_state(support()[0])), (BIN, "read_back"));
        assert_eq!(writes(w).values().sum::<usize>(), 1);
        agent.stop().await;
    });
}

fn fault(kind: ringback::sim::ApiFaultKind) -> ringback::sim::ApiFault {
    ringback::sim::ApiFault::new(kind, ringback::sim::ApiFaultScope::Writes).lasts(Duration::from_secs(4))
}

#[test]
fn a_swap_where_the_calls_are_processed_in_another_region_is_refused_and_not_tried_for_ever() {
    let day = DAY.replacen(
        "routing = { voice_url = \"https://app.example.com/voice\" }",
        "routing = { voice_url = \"https://app.example.com/voice\", voice_region = \"ie1\" }",
        1,
    );
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let ask = json!({"numbers": [support()[0].to_string()], "channel": "voice", "reason": "drill"});
        agent.post("rollback", ask).await;
        w.pass(60).await;
        assert_eq!(agent.rollback_state(support()[0]), "refused");
        let order = agent.status().orders[0].clone();
        assert!(order.ended[0].detail.contains("region ie1 processes voice"), "{:?}", order.ended);
        // The detector meets the same, and looks once an hour whether somebody has changed it.
        w.pass(300).await;
        break_app(w);
        w.pass(3 * 3600).await;
        assert!(writes(w).is_empty(), "a write would change nothing: {:?}", writes(w));
        let of =
            |n: E164| agent.status().orders.iter().filter(|o| o.order.numbers.iter().any(|id| id.e164 == n)).count();
        assert!(support().iter().all(|n| (1..=5).contains(&of(*n))), "{:?}", support().map(of));
        agent.stop().await;
    });
}

#[test]
fn a_fallback_that_the_numbers_point_at_already_is_no_fallback() {
    let day = DAY.replacen("voice_url = \"https://app.example.com/voice\"", &format!("voice_url = \"{BIN}\""), 1);
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let is = async |group: &str, state: &str| {
            agent.metric(&format!(r#"ringback_fallback{{channel="voice",group="{group}",state="{state}"}}"#)).await
        };
        assert_eq!(is("support", "broken").await, Some(1.0));
        assert_eq!(is("sales", "good").await, Some(1.0));
        agent.stop().await;
    });
}

#[test]
fn a_number_whose_own_fallback_is_our_bin_is_swapped_and_put_back_whole() {
    let with_own = format!("voice_url = \"{APP}\", voice_fallback_url = \"{BIN}\"");
    let day = DAY.replacen(&format!("voice_url = \"{APP}\""), &with_own, 1);
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let before = w.sim.number(support()[0]).unwrap();
        break_app(w);
        w.pass(1200).await;
        // The bin serves the callers, and a primary that fails is a failure all the same.
        assert_eq!(url(w, support()[0]), BIN);
        assert!(entries(&agent).await.iter().any(|e| matches!(e, Entry::Decision(d) if d.evidence.failing >= 4)));
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        let ask = json!({"group": "support", "channel": "voice", "reason": "mended", "at_once": true});
        agent.post("restore", ask).await;
        w.pass(60).await;
        let after = w.sim.number(support()[0]).unwrap();
        for field in ["voice_url", "voice_fallback_url", "voice_method", "voice_fallback_method"] {
            assert_eq!(before[field], after[field]);
        }
        agent.stop().await;
    });
}

#[test]
fn who_changed_a_number_is_told_also_when_no_agent_ran() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(180).await;
        let theirs = "https://theirs.example.com/voice";
        w.sim.set_handler(theirs, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        let edit = |number: E164| {
            let set = [("VoiceUrl".to_owned(), theirs.to_owned())].into();
            ringback::sim::Happening::Edit(ringback::sim::Edit { number, set })
        };
        let drift = |n: E164| format!(r#"ringback_config_drift{{channel="voice",group="support",number="{n}"}}"#);
        w.sim.happen(edit(support()[0])).unwrap();
        w.pass(180).await;
        assert_eq!(agent.metric(&drift(support()[0])).await, Some(1.0));
        agent.stop().await;
        // Neither number was ever touched by us; the second is changed while nobody looks.
        w.pass(30).await;
        w.sim.happen(edit(support()[1])).unwrap();
        w.pass(300).await;
        let agent = w.start().await.unwrap();
        w.pass(180).await;
        assert_eq!(agent.metric(&drift(support()[1])).await, Some(1.0), "noticed after the start");
        assert_eq!(url(w, support()[1]), theirs, "and left alone");
        let drifts = drifts(w).await;
        let of = |n: E164| drifts.iter().filter(|d| d["number"] == id(w, n).key()).collect::<Vec<_>>();
        assert_eq!((of(support()[0]).len(), of(support()[1]).len(), drifts.len()), (1, 1, 2), "{drifts:?}");
        let actor = of(support()[0])[0]["actor"].as_str().unwrap();
        assert!(actor.starts_with("user US") && actor.ends_with(" by web"), "{actor}");
        assert_eq!(agent.channel(support()[2], Channel::Voice).rollback_state, "idle");
        agent.stop().await;
    });
}

/// The journal's entries of changes that were not ours.
pub async fn drifts(w: &World) -> Vec<serde_json::Value> {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(w.folder.path().join("ringback.db"));
    let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM journal WHERE kind = 'drift' ORDER BY seq")
        .fetch_all(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect()
}
