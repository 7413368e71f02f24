//! Agents that stop in the middle of test calls: what they spent counts, and what they left is tidied up.

use ringback::core::model::id::E164;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};

use crate::probes::{QUIET, probing};
use crate::world::{PROBER, Running, World, play, with_prober};

fn quiet() -> String {
    with_prober(QUIET)
}

async fn start(w: &World, text: &str) -> Running {
    w.start_with(&w.parse(text).unwrap()).await.unwrap()
}

#[test]
fn a_crash_loop_spends_no_more_than_an_agent_that_runs() {
    let scenario = quiet().replace("[\"+15005550100\"]", "[\"+15005550100\", \"+15005550101\", \"+15005550102\"]");
    for lives in [7, 45, 130] {
        play(&scenario, async |w| {
            let text = probing(w, "every = \"10s\"\nper_hour = 12\nper_day = 20")
                .replace("[agent]\n", "[probes]\ncalls_per_second = 1.0\nat_once = 2\n[agent]\n");
            let began = w.now();
            while w.now().since(began).as_secs() < 3000 {
                let agent = start(w, &text).await;
                w.pass(lives).await;
                agent.stop().await;
            }
            let calls = w.sim.placed_calls();
            // A quarter of the budget is kept for what cannot wait.
            assert!((3..=9).contains(&calls.len()), "{} calls by agents that live {lives} s", calls.len());
            for (call, _) in &calls {
                let up = calls.iter().filter(|(c, end)| c.asked_at <= call.asked_at && *end > call.asked_at);
                assert!(up.clone().count() <= 2, "at the same time");
                assert!(up.filter(|(c, _)| c.to == call.to).count() <= 1, "its last probe is up");
            }
        });
    }
}

/// Recordings that were deleted.
fn deleted(w: &World) -> u64 {
    let stats = w.sim.stats();
    stats.requests.get("DELETE recording-delete").and_then(|by| by.get("204")).copied().unwrap_or_default()
}

/// A call that somebody else on the account has recorded.
async fn recorded_call(w: &World, from: &str) {
    let account = w.sim.scenario().account;
    let url = format!("{}/2010-04-01/Accounts/{}/Calls.json", w.base_url, account.sid);
    let form = [
        ("To", "+15005550100"),
        ("From", from),
        ("Twiml", "<Response><Pause length=\"15\"/></Response>"),
        ("Record", "true"),
    ];
    let request = reqwest::Client::new().post(url).basic_auth(account.sid, Some(&account.auth_token)).form(&form);
    assert_eq!(request.send().await.unwrap().status(), 201);
}

const HEAR: &str = "every = \"10m\"\npassive_every = \"10m\"\nhear = { speech = true }";
const ONE: &str = "every = \"24h\"\npassive_every = \"24h\"\nhear = { speech = true }";

/// Runs an agent until its first call is up.
async fn until_a_call_is_up(w: &World, text: &str) -> Running {
    let agent = start(w, text).await;
    while w.sim.placed_calls().is_empty() {
        w.pass(1).await;
    }
    w.pass(6).await;
    agent
}

#[test]
fn a_recording_that_an_agent_leaves_is_deleted_by_the_next_one() {
    play(&quiet(), async |w| {
        let text = probing(w, HEAR);
        let agent = until_a_call_is_up(w, &text).await;
        agent.stop().await;
        w.pass(120).await;
        assert_eq!(deleted(w), 0);
        // Nobody else's are touched, though they are calls to the same number.
        recorded_call(w, "+15005550100").await;
        let agent = start(w, &probing(w, ONE)).await;
        w.pass(60).await;
        let calls = w.sim.placed_calls().iter().filter(|(c, _)| c.from != number()).count();
        assert_eq!((deleted(w), calls), (1, 1));
        w.pass(7200).await;
        assert_eq!(deleted(w), 1, "and none is tried twice");
        agent.stop().await;
    });
}

fn number() -> E164 {
    "+15005550100".parse().unwrap()
}

#[test]
fn recordings_that_are_to_be_kept_are_kept_by_every_agent() {
    play(&quiet(), async |w| {
        let keep = "hear = { speech = true, keep = true }";
        let text = probing(w, &HEAR.replace("hear = { speech = true }", keep));
        let agent = until_a_call_is_up(w, &text).await;
        agent.stop().await;
        let agent = start(w, &text).await;
        w.pass(7200).await;
        assert!(w.sim.placed_calls().len() > 5);
        assert_eq!(deleted(w), 0);
        agent.stop().await;
    });
}

#[test]
fn the_recording_of_a_call_whose_answer_was_lost_is_found() {
    for kind in [ApiFaultKind::Cut, ApiFaultKind::Hang, ApiFaultKind::Truncated] {
        play(&quiet(), async |w| {
            w.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(EndpointClass::CallCreate))).unwrap();
            let agent = start(w, &probing(w, ONE)).await;
            w.pass(1800).await;
            assert_eq!((w.sim.placed_calls().len(), deleted(w)), (1, 1), "{kind:?}");
            agent.stop().await;
        });
    }
    // Another call that it could be: it is left to people.
    play(&quiet(), async |w| {
        w.sim.fault(ApiFault::new(ApiFaultKind::Cut, ApiFaultScope::Class(EndpointClass::CallCreate))).unwrap();
        let agent = start(w, &probing(w, ONE)).await;
        while w.sim.placed_calls().is_empty() {
            w.pass(1).await;
        }
        w.sim.calm();
        recorded_call(w, PROBER).await;
        w.pass(7200).await;
        assert_eq!((w.sim.placed_calls().len(), deleted(w)), (2, 0));
        agent.stop().await;
    });
}

#[test]
fn a_recording_that_cannot_be_deleted_now_is_deleted_later() {
    play(&quiet(), async |w| {
        let fault = ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Class(EndpointClass::RecordingDelete));
        w.sim.fault(fault.lasts(std::time::Duration::from_secs(1800))).unwrap();
        let agent = start(w, &probing(w, HEAR)).await;
        w.pass(1700).await;
        assert_eq!(deleted(w), 0);
        w.pass(5000).await;
        let calls = w.sim.placed_calls().len() as u64;
        assert!(calls > 5 && deleted(w) >= calls - 1, "{} of {calls}", deleted(w));
        agent.stop().await;
    });
}
