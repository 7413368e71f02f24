//! Bad input and faults: each with the message that an on-call engineer needs. The agent refuses to
//! start, or carries on and says that it is blind.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringback::agent::StartError;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::sim::{HandlerCondition, HandlerState, Scenario};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probe_trouble::between;
use crate::world::{Running, World, own_address, play, play_scenario};

/// An error and its causes in one line, as the command line prints it.
fn chain(error: &StartError) -> String {
    let mut text = error.to_string();
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        text += &format!(": {inner}");
        cause = inner;
    }
    text
}

async fn refused(w: &World) -> String {
    match w.start().await {
        Err(error) => chain(&error),
        Ok(_) => panic!("it starts"),
    }
}

fn verdict(agent: &Running) -> Verdict {
    agent.channel("+15005550100".parse().unwrap(), Channel::Voice).verdict
}

#[test]
fn a_wrong_token_refuses_the_start() {
    play(DAY, async |w| {
        w.env.insert("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000");
        let said = refused(w).await;
        assert!(said.contains("Twilio does not accept the credentials (HTTP 401, code 20003)"), "{said}");
        assert!(said.contains("check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN"), "{said}");
        assert!(said.contains("[request RQ"), "{said}");
        let asked = format!("; asked {} (twilio.base_url); ", w.base_url.trim_start_matches("http://"));
        assert!(said.contains(&asked), "the host is named: {said}");
    });
}

#[test]
fn a_key_without_a_permission_refuses_the_start() {
    let day = format!(
        "{DAY}\n[account]\nkey = [{{ sid = \"SK0123456789abcdef0123456789abcdef\", secret = \"s3cret\", kind = \
         \"restricted\", permissions = [\"numbers\", \"calls\"] }}]\n"
    );
    play(&day, async |w| {
        w.env.insert("TWILIO_AUTH_TOKEN", "");
        w.env.insert("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef");
        w.env.insert("TWILIO_API_SECRET", "s3cret");
        let said = refused(w).await;
        assert!(said.contains("list_alerts: the API key lacks a permission (HTTP 401, code 70051)"), "{said}");
        assert!(said.contains("give the API key this permission"), "{said}");
    });
}

#[test]
fn an_application_that_cannot_be_read_hides_no_number() {
    let day = DAY.replace(
        "routing = { voice_url = \"https://sales.example.com/voice\" }",
        "routing = { application = \"AP00000000000000000000000000000001\" }",
    ) + "\n[[application]]\nsid = \"AP00000000000000000000000000000001\"\nfriendly_name = \"IVR\"\nvoice_url = \"https://sales.example.com/voice\"\n\
         \n[account]\nkey = [{ sid = \"SK0123456789abcdef0123456789abcdef\", secret = \"s3cret\", kind = \
         \"restricted\", permissions = [\"numbers\", \"number\", \"number-update\", \"calls\", \"call\", \"alerts\"] }]\n";
    play(&day, async |w| {
        w.env.insert("TWILIO_AUTH_TOKEN", "");
        w.env.insert("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef");
        w.env.insert("TWILIO_API_SECRET", "s3cret");
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let handler =
            |number: &str| agent.channel(number.parse().unwrap(), Channel::Voice).handler.map(|h| h.to_string());
        assert_eq!(handler("+15005550100").as_deref(), Some("https://app.example.com/voice"));
        assert_eq!(handler("+15005550200").as_deref(), Some("application AP00000000000000000000000000000001"));
        agent.stop().await;
    });
}

#[test]
fn an_account_that_is_not_ours_refuses_the_start() {
    play(DAY, async |w| {
        let text =
            w.config_text().replace(&w.sim.scenario().account.sid.to_string(), "AC00000000000000000000000000000099");
        let config = w.parse(&text).unwrap();
        let Err(error) = w.start_with(&config).await else { panic!("it starts") };
        let said = chain(&error);
        assert!(said.contains("HTTP 401") || said.contains("HTTP 404"), "{said}");
    });
}

#[test]
fn a_number_that_is_not_in_the_account_is_said_to_be_missing() {
    play(DAY, async |w| {
        let text = w.config_text().replace("\"+15005550100\"", "\"+15005550100\", \"+15005559999\"");
        let config = w.parse(&text).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        let stranger: E164 = "+15005559999".parse().unwrap();
        let status = agent.status();
        let missing: Vec<_> = status.numbers().filter(|(_, n)| !n.is_in_account).map(|(_, n)| n.number).collect();
        assert_eq!(missing, [stranger]);
        assert_eq!(agent.metric("ringback_numbers_missing").await, Some(1.0));
        agent.stop().await;
    });
}

#[test]
fn an_address_that_cannot_be_reached_is_blindness() {
    play(DAY, async |w| {
        let text = w.config_text().replace(&w.base_url, &format!("http://{}", own_address()));
        let config = w.parse(&text).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(30).await;
        assert_eq!(verdict(&agent), Verdict::Blind);
        let (code, said) = agent.get("/-/ready").await;
        assert_eq!(code, 503);
        assert!(said.contains("blind: cannot read calls, alerts"), "{said}");
        assert_eq!(agent.get("/-/healthy").await.0, 200);
        let labels = [r#"endpoint="list_calls""#, r#"code="unreachable""#];
        assert!(agent.sum("ringback_twilio_requests_total", &labels).await > 0.0);
        agent.stop().await;
    });
}

/// Ten good minutes, a fault of `kind` for `seconds`, and ten good minutes more.
fn during(kind: &str, seconds: u64, check: impl AsyncFn(&World, &Running)) {
    let day = format!("{DAY}\n[[event]]\nat = \"10m\"\nfault = {{ kind = \"{kind}\", for = \"{seconds}s\" }}\n");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(590).await;
        assert_eq!(verdict(&agent), Verdict::Healthy, "before {kind}");
        w.pass(10 + seconds - 1).await;
        check(w, &agent).await;
        w.pass(600).await;
        assert_eq!(verdict(&agent), Verdict::Healthy, "after {kind}");
        w.pass(5 * 3600).await;
        let truth = w.sim.truth().total;
        assert_eq!(agent.sum("ringback_calls_total", &[]).await, truth.calls as f64, "nothing is lost to {kind}");
        assert!(agent.status().decisions.is_empty(), "nothing is decided on {kind}");
        agent.stop().await;
    });
}

#[test]
fn a_minute_of_429_is_survived() {
    during("too-many", 60, async |_, agent| {
        let busy = agent.sum("ringback_twilio_requests_total", &[r#"code="429""#]).await;
        assert!(busy > 0.0);
        // A storm would be hundreds: three logs and the numbers, each asked again with growing waits.
        assert!(busy < 150.0, "{busy} requests met a 429 within a minute");
        assert_eq!(verdict(agent), Verdict::Healthy, "a minute is not yet blindness");
    });
}

#[test]
fn what_lasts_is_blindness_and_ends_with_it() {
    for kind in ["bad-gateway", "cut", "truncated", "hang", "server-error", "unavailable", "drop", "unauthorized"] {
        during(kind, 300, async |_, agent| {
            assert_eq!(verdict(agent), Verdict::Blind, "{kind}");
            assert_eq!(agent.get("/-/ready").await.0, 503);
        });
    }
}

#[test]
fn rows_that_cannot_be_understood_are_set_aside() {
    during("bad-row", 300, async |_, agent| {
        assert_eq!(verdict(agent), Verdict::Healthy);
        assert!(agent.sum("ringback_rows_total", &[r#"result="bad""#]).await > 0.0);
    });
}

#[test]
fn words_and_fields_of_tomorrow_are_survived() {
    during("unknown", 300, async |_, agent| assert_eq!(verdict(agent), Verdict::Healthy));
}

#[test]
fn a_clock_that_is_off_is_blindness_and_refuses_the_start() {
    during("skew", 300, async |_, agent| {
        assert_eq!(verdict(agent), Verdict::Blind);
        assert!(agent.metric("ringback_clock_skew_seconds").await.unwrap().abs() > 3000.0);
    });
    let mut day = Scenario::parse(DAY).unwrap();
    let skew =
        Scenario::parse(&format!("{DAY}\n[[event]]\nat = \"0s\"\nfault = {{ kind = \"skew\", for = \"1h\" }}\n"));
    day.events = skew.unwrap().events;
    play_scenario(day, async |w| {
        let said = refused(w).await;
        assert!(said.contains("set this machine's clock (NTP)"), "{said}");
    });
}

/// What somebody in between has kept shows a past in which all is well, and says nothing of this machine's clock.
#[test]
fn answers_that_somebody_keeps_are_no_sight_and_no_clock() {
    for has_age in [true, false] {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let (keeps, date) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
            let is_kept = keeps.clone();
            between(w, &mut servers, move |passing| {
                // A bin is no part of the API, and has a date of its own.
                if !is_kept.load(Ordering::SeqCst) || passing.path.starts_with("/twiml/") {
                    return;
                }
                if has_age {
                    passing.headers.insert("age", "75".parse().unwrap());
                } else {
                    let first = date.lock().unwrap().get_or_insert(passing.headers["date"].clone()).clone();
                    passing.headers.insert("date", first);
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(300).await;
            assert_eq!(verdict(&agent), Verdict::Healthy);
            keeps.store(true, Ordering::SeqCst);
            w.pass(300).await;
            assert_eq!(verdict(&agent), Verdict::Blind);
            let (_, said) = agent.get("/api/v1/status").await;
            assert!(said.contains("the answer is an old copy (HTTP 200): it was given "), "{said}");
            assert!(said.contains("have it pass every request on") && !said.contains("Twilio's clock is"), "{said}");
            let skew = agent.metric("ringback_clock_skew_seconds").await.unwrap();
            assert!(skew.abs() < 45.0, "{skew}");
            keeps.store(false, Ordering::SeqCst);
            w.pass(300).await;
            assert_eq!(verdict(&agent), Verdict::Healthy);
            agent.stop().await;
        });
    }
}

#[test]
fn a_damaged_state_file_refuses_the_start() {
    play(DAY, async |w| {
        let path = w.folder.path().join("ringback.db");
        std::fs::write(&path, "this is no database, and long enough to be taken for a header of one").unwrap();
        let said = refused(w).await;
        assert!(said.contains("the state file is not Ringback's"), "{said}");
        assert!(said.contains("ringback.db"), "{said}");

        std::fs::remove_file(&path).unwrap();
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.stop().await;
        let mut bytes = std::fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        for b in &mut bytes[half..] {
            *b ^= 0xff;
        }
        std::fs::write(&path, bytes).unwrap();
        let said = refused(w).await;
        assert!(said.contains("the state file is damaged"), "{said}");
        assert!(said.contains("restore it from a backup"), "{said}");
    });
}

#[test]
fn a_locked_state_file_refuses_the_start() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        agent.stop().await;
        let path = w.folder.path().join("ringback.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        sqlx::query("PRAGMA locking_mode = EXCLUSIVE").execute(&mut other).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        let said = refused(w).await;
        assert!(said.contains("the state file is locked by another process"), "{said}");
    });
}

#[test]
fn a_state_folder_that_does_not_exist_refuses_the_start() {
    play(DAY, async |w| {
        w.agent_section = "state = \"sqlite:nowhere/ringback.db\"\n".into();
        let said = refused(w).await;
        assert!(said.contains("the state file cannot be opened"), "{said}");
        assert!(said.contains("check that the folder exists"), "{said}");
    });
}

#[test]
fn without_a_journal_nothing_is_written() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        // From here on the state file takes nothing: another process holds it.
        let path = w.folder.path().join("ringback.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut other = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        w.sim.set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(300).await;
        assert_eq!(verdict(&agent), Verdict::Blind);
        let number = "+15005550100".parse().unwrap();
        assert_eq!(w.sim.number(number).unwrap()["voice_url"], "https://app.example.com/voice");
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        w.clock.sleep(Duration::from_secs(900)).await;
        assert_eq!(w.sim.number(number).unwrap()["voice_url"], crate::world::BIN, "it goes on where it was");
        agent.stop().await;
    });
}
