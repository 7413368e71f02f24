//! What is so, and why: `status`, `explain`, `journal`. Nothing is changed by looking.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::challenge::{ask_whoever, reqwest_client};
use super::{Exit, complain, say};
use crate::admin::identity::Identity;
use crate::agent::publish::explain::DecisionHistory;
use crate::config::{Config, ProcessEnv};
use crate::core::explain::Recomputed;
use crate::core::model::order::Scope;
use crate::store::Store;

/// `ringback status`: how everything stands, as the running agent says.
pub fn status(config: &Path, json: bool) -> anyhow::Result<Exit> {
    let config = Config::load(config, &ProcessEnv)?;
    let address = config.agent.listen;
    let (status, doubt) = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let ours = Identity::new(config.agent.token.clone());
        let (answer, doubt) = ask_whoever(&reqwest_client()?, address, &ours, "/api/v1/status").await?;
        let status: Value = super::answer(&answer.body).context("the agent's answer is not JSON")?;
        // Without a token nothing tells the agent from another program.
        anyhow::Ok((status, doubt.filter(|_| config.agent.token.is_some())))
    })?;
    if let Some(doubt) = &doubt {
        complain(&format!("ringback: {doubt}: do not rely on what it says"));
    }
    let exit = if doubt.is_some() || is_trouble(&status) { Exit::FoundTrouble } else { Exit::Done };
    if json {
        say(&status.to_string())?;
        return Ok(exit);
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    if status["standby"] == true {
        say(&format!("standby: {} leads until {} at least", text(&status["leader"]), text(&status["until"])))?;
        return Ok(if doubt.is_some() { exit } else { Exit::Done });
    }
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    say(&format!("{} mode {}", text(&status["at"]), text(&status["mode"])))?;
    for group in list(&status["groups"]) {
        if let Some(countdown) = group["port"]["countdown"].as_str() {
            say(&format!("{}: ports {countdown}, {} to come", text(&group["group"]), group["port"]["due"]))?;
        }
        for c in list(&group["channels"]) {
            let (name, channel, found) = (text(&group["group"]), text(&c["channel"]), &c["fallback"]);
            let is_broken = found["state"] == "broken" || !list(&found["broken_for"]).is_empty();
            if is_broken || found["state"] == "unchecked" {
                let state = if is_broken { "broken" } else { "unchecked" };
                say(&format!("{name} {channel}: fallback {state}: {}", text(&found["detail"])))?;
            }
        }
        for number in list(&group["numbers"]) {
            for c in list(&number["channels"]) {
                let keys = ["channel", "phase", "verdict", "rollback_state"];
                let [channel, phase, verdict, state] = keys.map(|k| text(&c[k]));
                let (group, number) = (text(&group["group"]), text(&number["number"]));
                let routing = match text(&c["routing"]).as_str() {
                    "handled" | "" => String::new(),
                    other => format!(", routing {}", other.replace('_', " ")),
                };
                say(&format!("{group} {number} {channel}: {phase}, {verdict}, {state}{routing}"))?;
            }
        }
    }
    for waiting in list(&status["waiting"]) {
        // As it is approved: an id is a number in JSON.
        let guards = list(&waiting["guards"]).iter().map(&text).collect::<Vec<_>>().join(", ");
        say(&format!("waiting: {} D{}: {guards}", text(&waiting["channel"]), waiting["decision"]))?;
    }
    for hold in list(&status["holds"]) {
        let scope: Scope =
            serde_json::from_value(hold["scope"].clone()).context("the agent's answer names no scope")?;
        let scope = scope.text(&config.roster);
        say(&format!("held until {}: {scope}: {}", text(&hold["until"]), text(&hold["by"]["reason"])))?;
    }
    for source in list(&status["sources"]).iter().filter(|s| s["is_stale"] == true && s["is_needed"] == true) {
        say(&format!("cannot be read: {}", text(&source["source"])))?;
    }
    for channel in list(&status["blindness"]).iter().filter(|b| !list(&b["cannot_read"]).is_empty()) {
        let sources = list(&channel["cannot_read"]).iter().map(&text).collect::<Vec<_>>().join(", ");
        say(&format!(
            "blind: {}: for want of {sources}; numbers unread: {}",
            text(&channel["channel"]),
            channel["unread"]
        ))?;
    }
    Ok(exit)
}

/// True if something cannot be seen, or a number's callers have nobody to serve them.
fn is_trouble(status: &Value) -> bool {
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let is_stale = list(&status["sources"]).iter().any(|s| s["is_stale"] == true && s["is_needed"] == true);
    let is_blind = list(&status["blindness"]).iter().any(|b| !list(&b["cannot_read"]).is_empty());
    let numbers = list(&status["groups"]).into_iter().flat_map(|g| list(&g["numbers"]));
    let mut channels = numbers.flat_map(|n| list(&n["channels"]));
    let is_handled = |c: &Value| ["handled", "not_in_account"].contains(&c["routing"].as_str().unwrap_or_default());
    is_stale || is_blind || channels.any(|c| !is_handled(&c))
}

/// `ringback explain`: what the journal says of a decision, and whether it still follows.
pub fn explain(config: &Path, id: &str, json: bool) -> anyhow::Result<Exit> {
    let config = Config::load(config, &ProcessEnv)?;
    let id = match id.parse() {
        Ok(id) => id,
        Err(bad) => {
            complain(&format!("ringback: {bad}"));
            return Ok(Exit::BadUsage);
        }
    };
    let found = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let store = Store::open_read_only(&config.agent.state).await?;
        DecisionHistory::new(store, &config).explain(id).await
    })?;
    let Some(explanation) = found else {
        complain(&format!("ringback: {id} is not in the journal"));
        return Ok(Exit::FoundTrouble);
    };
    if json {
        say(&serde_json::to_string(&explanation)?)?;
    } else {
        for line in &explanation.entries {
            say(&format!("{} {}: {}", line.at, line.entry.kind(), brief(&serde_json::to_value(&line.entry)?)))?;
        }
    }
    let holds =
        matches!(explanation.recomputed, None | Some(Recomputed::Follows | Recomputed::NotKept { is_enough: true }));
    if !json {
        match (&explanation.recomputed, &explanation.rules) {
            (Some(recomputed), Some(rules)) => {
                say(&format!("rules in force then: {}", rules.then))?;
                say(&format!("recomputed: {}", recomputed.text()))?;
                if let Some(now) = &rules.by_those_of_now {
                    say(&format!("rules of the configuration now: {}", rules.now))?;
                    say(&format!("recomputed by these: {}", now.text()))?;
                }
            }
            _ => say("an operator's order: there is no evidence to weigh")?,
        }
    }
    Ok(if holds { Exit::Done } else { Exit::FoundTrouble })
}

/// An entry in one line, the snapshot's record left out.
fn brief(entry: &Value) -> String {
    let mut entry = entry.clone();
    if let Some(map) = entry.as_object_mut() {
        map.remove("kind");
        map.remove("record");
    }
    entry.to_string()
}

/// `ringback journal --verify`: follows the chain of hashes.
pub fn verify(config: &Path) -> anyhow::Result<Exit> {
    let config = Config::load(config, &ProcessEnv)?;
    let whole = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let store = Store::open_read_only(&config.agent.state).await?;
        store.verify().await
    });
    match whole {
        Ok(whole) => {
            say(&format!("{} records, whole; the last one's hash is {}", whole.records, whole.head))?;
            Ok(Exit::Done)
        }
        Err(error) => {
            complain(&format!("ringback: {error}; {}", error.cure));
            Ok(Exit::FoundTrouble)
        }
    }
}
