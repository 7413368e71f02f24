//! The group `support`, which most tests are about: its numbers and its app, an operator's commands about them, and
//! what Twilio was asked.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use ringback::core::model::id::{Channel, E164, NumberId};
use ringback::sim::{HandlerCondition, HandlerState, TimelineMark};
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

use crate::world::{Running, World};

const APP: &str = "https://app.example.com/voice";

fn e164(s: &str) -> E164 {
    s.parse().unwrap()
}

pub fn support() -> [E164; 3] {
    ["+15005550100", "+15005550101", "+15005550102"].map(e164)
}

/// A number of the simulator's account.
pub fn id(w: &World, number: E164) -> NumberId {
    NumberId::new(w.sim.scenario().account.sid, number)
}

pub fn url(w: &World, number: E164) -> String {
    w.sim.number(number).unwrap()["voice_url"].as_str().unwrap_or_default().to_owned()
}

/// How often each number was really written.
pub fn writes(w: &World) -> BTreeMap<E164, usize> {
    let mut writes = BTreeMap::new();
    for entry in &w.sim.truth().timeline {
        if let TimelineMark::Updated(update) = &entry.what
            && update.by == ringback::sim::AuditActor::Api
        {
            *writes.entry(update.number).or_default() += 1;
        }
    }
    writes
}

/// A number's record without what every update changes.
pub fn record(w: &World, number: E164) -> Value {
    let mut record = w.sim.number(number).unwrap();
    record.as_object_mut().unwrap().remove("date_updated");
    record
}

impl Running {
    pub async fn post(&self, verb: &str, body: Value) -> (u16, Value) {
        let (status, said) = self.post_as("open sesame", verb, body).await;
        (status, serde_json::from_str(&said).unwrap())
    }

    pub async fn post_as(&self, token: &str, verb: &str, body: Value) -> (u16, String) {
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1/{verb}", self.url))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answered = async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        // Resting: the agent may look at numbers before it answers, which takes time.
        self.clock.wait(None, answered).await.unwrap()
    }

    pub fn rollback_state(&self, number: E164) -> &'static str {
        self.channel(number, Channel::Voice).rollback_state
    }
}

pub fn with_token(w: &mut World) {
    w.env.insert("RINGBACK_TOKEN", "open sesame");
}

pub fn break_app(w: &World) {
    w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
}

/// What an operator asks of support's numbers.
pub fn drill() -> Value {
    json!({"group": "support", "channel": "voice", "reason": "drill"})
}

/// An agent that has watched support's app break, and has swapped its numbers.
pub async fn after_a_failure(w: &mut World) -> Running {
    with_token(w);
    let agent = w.start().await.unwrap();
    w.pass(600).await;
    break_app(w);
    w.pass(900).await;
    agent
}

/// Statements on the agent's state file, behind its back.
pub async fn sql(w: &World, statements: &str) {
    let options = SqliteConnectOptions::new().filename(w.folder.path().join("ringback.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// Runs the program with this configuration while the world goes on. Gives its exit code, what it said, and what it
/// complained of.
pub async fn program(w: &World, config: &str, words: &[&str]) -> (i32, String, String) {
    program_with(w, config, words, &[("RINGBACK_TOKEN", "open sesame")]).await
}

/// The same with this in its environment, and no token but that.
#[expect(clippy::disallowed_methods, reason = "the program's time is real")]
pub async fn program_with(w: &World, config: &str, words: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let path = w.folder.path().join("ringback.toml");
    std::fs::write(&path, config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(words)
        .arg("--config")
        .arg(path)
        .env("TWILIO_AUTH_TOKEN", w.sim.scenario().account.auth_token)
        .env_remove("RINGBACK_TOKEN")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        // Its time is real, ours is not: in one of its seconds no more than 25 of ours pass, or what the agent gives it
        // for a minute is over before a busy machine lets it answer.
        w.clock.sleep(std::time::Duration::from_millis(50)).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// What is logged on this thread goes to `subscriber` for as long as the guard lives.
///
/// With one dispatcher alone tracing asks whichever thread comes to a line first whether it is of interest, and
/// remembers a no: another test's thread would say it for this one, and the line would be missing.
pub fn listen(subscriber: impl tracing::Subscriber + Send + Sync + 'static) -> (DefaultGuard, Dispatch) {
    let other = Dispatch::new(tracing_subscriber::registry());
    (tracing::subscriber::set_default(subscriber), other)
}
