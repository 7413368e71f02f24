//! Reading the logs: nothing missed, nothing counted twice, however long the day, however late the
//! entry, and whenever the agent is restarted.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use ringback::core::model::bounds::LOOK_BACK_EVERY;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::privacy::Log;
use crate::probe_trouble::between;
use crate::support::listen;
use crate::world::{Running, World, play};

async fn counted(agent: &Running) -> f64 {
    agent.sum("ringback_calls_total", &[]).await
}

fn calls(w: &World) -> f64 {
    w.sim.truth().total.calls as f64
}

#[test]
fn an_entry_that_was_forgotten_is_not_taken_for_new() {
    // Twilio's filter has the precision of a day: hours later the same page still shows the morning.
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(5 * 3600).await;
        let rows = async || agent.sum("ringback_rows_total", &[r#"source="calls""#, r#"result="new""#]).await;
        let new = rows().await;
        assert_eq!(counted(&agent).await, calls(w));
        w.pass(4 * 3600 + 1800).await;
        assert_eq!(rows().await, new, "nobody has called since");
        assert_eq!(counted(&agent).await, calls(w));
        agent.stop().await;
    });
}

#[test]
fn a_long_silence_between_two_agents_repeats_nothing() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let first = counted(&agent).await;
        agent.stop().await;
        // Longer than the ledger remembers: what was read before must still be known.
        w.pass(7 * 3600).await;
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        assert_eq!(first + counted(&agent).await, calls(w));
        agent.stop().await;
    });
}

#[test]
fn an_entry_that_comes_an_hour_late_is_counted_after_a_restart_too() {
    let day = format!("{DAY}\n[lag]\nlate = 0.05\nlate_s = [3600, 5400]\n");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let first = counted(&agent).await;
        agent.stop().await;
        w.pass(60).await;
        let agent = w.start().await.unwrap();
        w.pass(5 * 3600).await;
        assert_eq!(first + counted(&agent).await, calls(w));
        agent.stop().await;
    });
}

/// SIDs of the callers' calls that began so many seconds ago, as the log has them.
async fn sids(w: &World, ago: Range<i64>) -> BTreeSet<String> {
    let account = w.sim.scenario().account;
    let url = format!("{}/2010-04-01/Accounts/{}/Calls.json?PageSize=1000", w.base_url, account.sid);
    let request = reqwest::Client::new().get(url).basic_auth(account.sid, Some(&account.auth_token));
    let page: Value = serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    let is_then = |row: &&Value| {
        let at = jiff::fmt::rfc2822::parse(row["start_time"].as_str().unwrap()).unwrap().timestamp();
        row["direction"] == "inbound" && ago.contains(&((w.now().as_millis() - at.as_millisecond()) / 1000))
    };
    let rows = page["calls"].as_array().unwrap().iter();
    rows.filter(is_then).map(|row| row["sid"].as_str().unwrap().to_owned()).collect()
}

/// Calls of the time before Ringback was there, which the list shows only once it is: the next look back finds them,
/// and they are told from those that were there. So it is said that the list is late.
#[test]
fn what_comes_later_than_the_overlap_is_found_and_said() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let [on_time, late] = [false, true].map(|is_late| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let guard = listen(subscriber);
        let came = Mutex::new((0.0, 0));
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            w.pass(3 * 3600).await;
            let late = sids(w, 1200..5400).await;
            let hidden = Arc::new(Mutex::new(if is_late { late.clone() } else { BTreeSet::new() }));
            let hides = hidden.clone();
            between(w, &mut servers, move |passing| {
                let Some(mut json) = passing.json().filter(|_| passing.path.contains("/Calls.json")) else { return };
                let Some(rows) = json["calls"].as_array_mut() else { return };
                rows.retain(|row| !hides.lock().unwrap().contains(row["sid"].as_str().unwrap()));
                passing.set(&json);
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            hidden.lock().unwrap().clear();
            w.pass(LOOK_BACK_EVERY.as_secs() + 60).await;
            *came.lock().unwrap() = (counted(&agent).await, late.len());
            agent.stop().await;
            servers.shutdown().await;
        });
        drop(guard);
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        let said: Vec<String> =
            log.lines().filter(|l| l.contains("later than poll.overlap")).map(str::to_owned).collect();
        let (counted, late) = came.into_inner().unwrap();
        (counted, late, said)
    });
    let hidden = late.1;
    assert!(hidden > 5, "{hidden}");
    assert_eq!(late.0, on_time.0 + hidden as f64, "each of them is counted, and nothing else");
    // The day has a late row or two by itself.
    assert!(matches!(&late.2[..], [said] if said.ends_with(&format!("entries={hidden}"))), "{:?}", late.2);
}
