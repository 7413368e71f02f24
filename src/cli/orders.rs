//! Orders as they are given to an agent: shown, confirmed, followed to their end, and told number by number. The end
//! of a rollback is its proof, where a test call is made; until then it is waited for.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::challenge::{ProvenAnswer, ask, command};
use super::text::fitted;
use super::{Exit, complain, say};
use crate::admin::body::{DecisionLine, FieldLine};
use crate::admin::commands::{Approve, CommandDone, OrderRequest, Planned};
use crate::admin::identity::Identity;
use crate::admin::standby::STARTING;
use crate::clock::Clock;
use crate::core::model::counted::amount;
use crate::core::model::order::NOT_PROVEN_YET;

/// Between looks at how far an order has come.
const LOOK_AFTER: Duration = Duration::from_millis(300);

/// A staged restore is not waited for longer than this: callers take their time.
const WAIT_FOR: Duration = Duration::from_secs(15 * 60);

/// A test call that proves a rollback is not waited for longer than this.
const PROVE_FOR: Duration = Duration::from_secs(5 * 60);

/// How long an agent that starts, or is exchanged for another, is waited for.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// What was approved begins within this, unless something else stands against it.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// Result and its detail, by account, number and channel.
pub type Results = BTreeMap<[String; 3], (String, String)>;

/// Where commands are given.
pub struct ApiClient {
    http: reqwest::Client,
    address: SocketAddr,
    identity: Identity,
    /// No agent watches beside us.
    is_alone: bool,
    /// A command was answered, so it may have been done.
    has_given: Cell<bool>,
}

impl ApiClient {
    pub fn new(http: reqwest::Client, address: SocketAddr, token: SecretString, is_alone: bool) -> ApiClient {
        ApiClient { http, address, identity: Identity::new(Some(token)), is_alone, has_given: Cell::new(false) }
    }

    /// True as long as nobody has answered a command.
    pub fn has_given_nothing(&self) -> bool {
        !self.has_given.get()
    }

    /// The agent's answer, or the exit code after its complaint was printed.
    pub async fn post<T: DeserializeOwned>(
        &self,
        verb: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Result<T, Exit>> {
        let (path, asked) = (format!("/api/v1/{verb}"), serde_json::to_vec(body)?);
        let (clock, mut was_exchanged) = (Clock::system(), false);
        let began = clock.now();
        let (status, body) = loop {
            let answer = command(&self.http, self.address, &self.identity, &path, asked.clone()).await?;
            let ProvenAnswer { status, body } = answer;
            let body: Value = super::answer(&body).context("the agent's answer is not JSON")?;
            // What was refused so was not done. A ticket of before a reload is not known after it, and an agent that is
            // being exchanged takes commands in a moment.
            let is_exchanged =
                status == reqwest::StatusCode::UNAUTHORIZED && !std::mem::replace(&mut was_exchanged, true);
            let is_starting = status == reqwest::StatusCode::SERVICE_UNAVAILABLE && body["error"] == STARTING;
            if is_exchanged || is_starting && clock.now() < began + STARTS_WITHIN {
                clock.sleep(LOOK_AFTER).await;
                continue;
            }
            break (status, body);
        };
        self.has_given.set(true);
        if !status.is_success() {
            complain(&format!("ringback: {}", body["error"].as_str().unwrap_or("the agent refused")));
            let is_usage = matches!(status.as_u16(), 400 | 422);
            return Ok(Err(if is_usage { Exit::BadUsage } else { Exit::FoundTrouble }));
        }
        Ok(Ok(serde_json::from_value(body)?))
    }

    pub async fn command(&self, verb: &str, body: &impl Serialize, json: bool) -> anyhow::Result<Exit> {
        let done = match self.post::<CommandDone>(verb, body).await? {
            Ok(done) => done,
            Err(exit) => return Ok(exit),
        };
        let exit = if done.is_as_asked { Exit::Done } else { Exit::FoundTrouble };
        say(&if json { serde_json::to_string(&done)? } else { fitted(&done.done) })?;
        Ok(exit)
    }

    /// Says yes to a decision, and follows what comes of it.
    pub async fn approve(&self, asked: &Approve, json: bool) -> anyhow::Result<Exit> {
        let done = match self.post::<CommandDone>("approve", asked).await? {
            Ok(done) => done,
            Err(exit) => return Ok(exit),
        };
        if !json {
            say(&fitted(&done.done))?;
        }
        let id = asked.decision.trim().to_uppercase();
        let began = Clock::system().now();
        let path = format!("/api/v1/orders/{id}");
        let is_begun = loop {
            let answer = ask(&self.http, self.address, &self.identity, &path).await?;
            if answer.status != reqwest::StatusCode::NOT_FOUND {
                break true;
            }
            if Clock::system().now() >= began + BEGINS_WITHIN {
                break false;
            }
            Clock::system().sleep(LOOK_AFTER).await;
        };
        let ended = if is_begun { self.follow(std::slice::from_ref(&id), !json).await? } else { Results::new() };
        if !is_begun {
            complain(&format!(
                "ringback: {id} has not begun: something else stands against it; see `ringback explain {id}`"
            ));
        }
        let mut results = Vec::new();
        let mut all_well = done.is_as_asked && is_begun;
        for ([account, number, channel], (result, detail)) in &ended {
            all_well &= is_well(result, detail);
            results.push(serde_json::json!({
                "account": account, "number": number, "channel": channel, "result": result, "detail": detail,
            }));
            if !json {
                say(&fitted(&format!("{number} {channel}: {result}: {detail}")))?;
            }
        }
        if json {
            let done = serde_json::json!({ "done": done.done, "is_as_asked": done.is_as_asked, "results": results });
            say(&done.to_string())?;
        }
        Ok(if all_well { Exit::Done } else { Exit::FoundTrouble })
    }

    pub async fn swap(&self, verb: &str, asked: &OrderRequest, yes: bool, json: bool) -> anyhow::Result<Exit> {
        let plan = match self.post::<Planned>(verb, asked).await? {
            Ok(plan) => plan,
            Err(exit) => return Ok(exit),
        };
        let touched: Vec<&DecisionLine> = plan
            .lines
            .iter()
            .filter(|l| matches!(l.action.as_str(), "rollback" | "restore" | "undo" | "keep"))
            .collect();
        if self.is_alone && plan.is_staged {
            complain(
                "ringback: no agent is running, so nobody can tell whether a canary's callers are served: start the \
                 agent, or restore all with --at-once",
            );
            return Ok(Exit::FoundTrouble);
        }
        if !json {
            for line in &plan.lines {
                say(&fitted(&format!("{} {}: {}: {}", line.number, line.channel, line.action, line.detail)))?;
                for FieldLine { field, from, to } in &line.fields {
                    let shown = |value: &str| if value.is_empty() { "(nothing)".to_owned() } else { value.to_owned() };
                    say(&fitted(&format!("    {field}: {} -> {}", shown(from), shown(to))))?;
                }
            }
            if plan.is_staged {
                say(&fitted(
                    "A canary goes first: the others follow by stages, once its callers or test calls were served.",
                ))?;
            }
        }
        if !touched.is_empty() && !yes && !confirmed(verb, touched.len())? {
            complain("ringback: nothing was done");
            return Ok(Exit::FoundTrouble);
        }
        let shown = plan.lines;
        let meant = serde_json::to_value(asked).map(|mut body| {
            body["dry_run"] = Value::Bool(false);
            body
        })?;
        let plan = match self.post::<Planned>(verb, &meant).await? {
            Ok(plan) => plan,
            Err(exit) => return Ok(exit),
        };
        let ended = self.follow(&plan.orders, !json).await?;
        // A group or all numbers are those that are watched on the channel, if there are any.
        let is_named = !asked.numbers.is_empty() || plan.lines.iter().all(|l| l.action == "not_watched");
        self.tell(&plan, &shown, &ended, is_named, json)
    }

    /// Waits for orders to end. With `is_told`, says how far they are on the error stream.
    pub async fn follow(&self, orders: &[String], is_told: bool) -> anyhow::Result<Results> {
        let clock = Clock::system();
        let give_up = clock.now() + WAIT_FOR;
        let mut ended = BTreeMap::new();
        for id in orders {
            let (mut said, mut over) = (String::new(), None);
            loop {
                let path = format!("/api/v1/orders/{id}");
                let ProvenAnswer { status, body } = ask(&self.http, self.address, &self.identity, &path).await?;
                if status == reqwest::StatusCode::NOT_FOUND {
                    // Waiting does not make it known.
                    complain(&format!("ringback: the agent does not know {id}"));
                    break;
                }
                let order: Value = super::answer(&body).unwrap_or_default();
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                for e in order["ended"].as_array().into_iter().flatten() {
                    let key = [&e["account"], &e["number"], &order["channel"]].map(text);
                    ended.insert(key, (text(&e["result"]), text(&e["detail"])));
                }
                let is_over = order["is_over"] == true;
                let is_awaited = order["proofs_awaited"].as_u64().is_some_and(|n| n > 0);
                if is_over && !is_awaited {
                    break;
                }
                if is_over && clock.now() >= *over.get_or_insert(clock.now()) + PROVE_FOR {
                    let late =
                        format!("{NOT_PROVEN_YET}: no test call has ended in {} minutes", PROVE_FOR.as_secs() / 60);
                    ended.values_mut().filter(|(result, _)| result == "written").for_each(|e| e.1.clone_from(&late));
                    break;
                }
                if clock.now() >= give_up {
                    complain(&format!("{id} goes on without being waited for: see `ringback status`"));
                    break;
                }
                let progress = progress(id, &order);
                if is_told && progress != said {
                    complain(&progress);
                    said = progress;
                }
                clock.sleep(LOOK_AFTER).await;
            }
        }
        Ok(ended)
    }

    /// Says what became of each number, unless that was `shown` before and nothing was done since.
    fn tell(
        &self,
        plan: &Planned,
        shown: &[DecisionLine],
        ended: &Results,
        is_named: bool,
        json: bool,
    ) -> anyhow::Result<Exit> {
        let mut all_well = true;
        let mut results = Vec::new();
        for line in &plan.lines {
            let (result, detail) = match line.action.as_str() {
                "nothing" | "keep" => ("as_asked", line.detail.as_str()),
                "not_watched" => ("not_watched", line.detail.as_str()),
                "refuse" => ("refused", line.detail.as_str()),
                _ => match ended.get(&[line.account.clone(), line.number.clone(), line.channel.clone()]) {
                    Some((result, detail)) => (result.as_str(), detail.as_str()),
                    None => ("not_ended", "it has not ended; see `ringback status`"),
                },
            };
            let alone = "; not proven: without an agent no test call is made";
            let is_unproven = self.is_alone && line.action == "rollback" && result == "written";
            let detail = &*format!("{detail}{}", if is_unproven { alone } else { "" });
            let is_left = result == "not_watched" && !is_named;
            all_well &= is_left || is_well(result, detail);
            results.push(serde_json::json!({
                "account": line.account, "number": line.number, "channel": line.channel, "result": result,
                "detail": detail,
            }));
            let is_idle = matches!(line.action.as_str(), "nothing" | "not_watched" | "refuse");
            if !(json || is_idle && shown.contains(line)) {
                say(&fitted(&format!("{} {}: {result}: {detail}", line.number, line.channel)))?;
            }
        }
        if json {
            say(&serde_json::json!({ "orders": plan.orders, "results": results }).to_string())?;
        }
        Ok(if all_well { Exit::Done } else { Exit::FoundTrouble })
    }
}

/// True if a number's part of an order ended as it should: a rollback that could have been proven was.
fn is_well(result: &str, detail: &str) -> bool {
    match result {
        "as_asked" | "proven" | "restored" => true,
        "written" => !detail.starts_with(NOT_PROVEN_YET),
        _ => false,
    }
}

/// How far an order is.
fn progress(id: &str, order: &Value) -> String {
    let count = |key: &str| order[key].as_array().map_or(0, Vec::len);
    let (ended, all) = (count("ended"), count("numbers"));
    let what = order["operation"].as_str().unwrap_or("order");
    let awaited = order["proofs_awaited"].as_u64().unwrap_or(0);
    let waits = if awaited > 0 && ended == all {
        format!("; the test call that proves it is still to come for {awaited} (Ctrl-C leaves that to the agent)")
    } else if order["staged"] == true && ended > 0 && ended < all {
        "; the others wait until those before them were served (Ctrl-C leaves that to the agent)".to_owned()
    } else {
        String::new()
    };
    let have = if all == 1 { "has" } else { "have" };
    format!("{id}: {what}: {ended} of {} {have} ended{waits}", amount(all, "number"))
}

/// A yes or a no.
const ANSWER_BYTES: u64 = 1024;

pub fn confirmed(verb: &str, numbers: usize) -> anyhow::Result<bool> {
    complain(&format!("{verb} {numbers} of these? [y/N]"));
    let mut line = String::new();
    io::stdin().lock().take(ANSWER_BYTES).read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
