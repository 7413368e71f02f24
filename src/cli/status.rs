//! `ringback status`: what is wrong, worst first, and what to type next; nothing is changed by looking.
//!
//! It asks the running agent and nobody else, and needs no secret: with `RINGBACK_TOKEN`, or the token's file, it also
//! knows that it was the agent who answered.

mod seen;
pub mod view;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::desk::{AgentClient, DEFAULT_CONFIG, Typed, load, tell_doubt};
use super::text::Shape;
use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::core::model::id::{GroupName, WrittenNumber};
use seen::{SeenStatus, StatusSelection};
use view::StatusView;

#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// Only what concerns these numbers
    #[arg(value_name = "NUMBER", conflicts_with = "group")]
    numbers: Vec<WrittenNumber>,
    /// Only what concerns this group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Every number too, and not only trouble
    #[arg(long)]
    all: bool,
    /// Print what the agent answers, as JSON
    #[arg(long)]
    json: bool,
    /// Go on showing it: a screen on a terminal, and otherwise the same text whenever something has changed
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// With --watch: end once nothing is under way and nobody is asked anything
    #[arg(long, value_name = "STATE", requires = "watch")]
    until: Option<Until>,
    /// With --until: give up after this long, such as 30m
    #[arg(long, value_name = "SPAN", requires = "until", value_parser = super::operate::span)]
    timeout: Option<Duration>,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Until {
    /// No rollback and no restore is under way, no question is open, and everything is seen
    Settled,
}

/// What an agent answers to `/api/v1/status`.
pub enum StatusAnswer {
    Seen(Box<SeenStatus>, Value),
    /// It stands by, and this is what it says.
    StandsBy(String, Value),
}

pub fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    let desk = load(&arguments.config)?;
    let typed = Typed::new(&arguments.config);
    let asked = StatusSelection { group: arguments.group.clone(), numbers: arguments.numbers.clone() };
    let client = AgentClient::new(&desk, typed.clone())?;
    if arguments.watch {
        let until = arguments.until.map(|_| arguments.timeout);
        return watch::Watch { asked, typed, config: arguments.config.clone(), is_all: arguments.all, until }
            .run(client);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (answer, doubt) = runtime.block_on(look(&client))?;
    if let Some(doubt) = &doubt {
        tell_doubt(doubt);
    }
    let (seen, json) = match answer {
        StatusAnswer::Seen(seen, json) => (seen, json),
        StatusAnswer::StandsBy(text, json) => {
            say(&if arguments.json { json.to_string() } else { text })?;
            // What is wrong is not known here, and not known is not well.
            return Ok(Exit::CouldNotRun);
        }
    };
    if let Some(unknown) = asked.unknown(&seen) {
        complain(&format!("ringback: {unknown}"));
        return Ok(Exit::BadUsage);
    }
    let shape = Shape::of_output();
    let view = StatusView {
        seen: &seen,
        asked: &asked,
        is_all: arguments.all,
        now: seen.at,
        age: Clock::system().now().since(seen.at),
        width: shape.width,
        typed: &typed,
        is_numbered: false,
    };
    let is_trouble = doubt.is_some() || view.troubles().any(|t| t.is_trouble()) || view.is_any_on_fallback();
    if arguments.json {
        say(&json.to_string())?;
    } else {
        let lines = view.lines();
        say(&lines.iter().map(|l| l.printed(shape.is_coloured)).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if is_trouble { Exit::FoundTrouble } else { Exit::Done })
}

/// Asks the agent. Also says why the answer may be another program's.
async fn look(client: &AgentClient) -> anyhow::Result<(StatusAnswer, Option<String>)> {
    let answer = client.get("/api/v1/status").await?;
    if let Some(problem) = answer.body["error"].as_str() {
        anyhow::bail!("the agent answers HTTP {}: {problem}", answer.status);
    }
    if answer.body["standby"] == true {
        let text = |key: &str| answer.body[key].as_str().unwrap_or("another agent").to_owned();
        let said = match answer.body["until"].as_str() {
            None if answer.body["is_command"] == true => {
                format!("NOT KNOWN here: no agent watches; {}, acts by itself", text("leader"))
            }
            Some(_) => format!(
                "NOT KNOWN here: this agent stands by; {} leads until {} at least, and knows what is wrong",
                text("leader"),
                text("until")
            ),
            None => "NOT KNOWN yet: the agent is starting".to_owned(),
        };
        return Ok((StatusAnswer::StandsBy(said, answer.body), answer.doubt));
    }
    let seen = serde_json::from_value::<SeenStatus>(answer.body.clone());
    let seen = seen.context("the agent's answer is not understood: is it an agent of another version?")?;
    Ok((StatusAnswer::Seen(Box::new(seen), answer.body), answer.doubt))
}
