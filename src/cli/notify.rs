//! `ringback notify`: try a notifier, see any notice before the day, read who was told what.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::cut_off::or_signal;
use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::config::{Config, ProcessEnv};
use crate::core::model::time::Time;
use crate::core::notice::make::NoticeBuilder;
use crate::core::notice::sample::every_kind;
use crate::core::notice::{Notice, NoticeKind};
use crate::notify::{Notifier, NotifierReply, Sender};
use crate::store::Store;
use crate::store::outbox::Delivery;

#[derive(Debug, clap::Args)]
pub struct NotifyArguments {
    /// Send a test notice to this notifier and print what it answers
    #[arg(long, value_name = "NAME", conflicts_with_all = ["render", "log"], required_unless_present_any = ["render", "log"])]
    test: Option<String>,
    /// Show notices and send nothing: of one kind, of one decision or key as --log lists them, or of every kind
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "", conflicts_with = "log")]
    render: Option<String>,
    /// With --render, show it as this notifier would send it
    #[arg(long, value_name = "NAME", requires = "render")]
    notifier: Option<String>,
    /// List who was told what, when, and what they answered
    #[arg(long)]
    log: bool,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn notify(arguments: &NotifyArguments) -> anyhow::Result<Exit> {
    let config = Config::load(&arguments.config, &ProcessEnv)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(name) = &arguments.test {
        return runtime.block_on(or_signal(test(&config, name, arguments.json)));
    }
    if arguments.log {
        return list(&runtime.block_on(deliveries(&config))?, arguments.json);
    }
    let what = arguments.render.as_deref().unwrap_or_default();
    render(&config, &runtime, what, arguments)
}

fn find<'c>(config: &'c Config, name: &str) -> Option<&'c Notifier> {
    let found = config.notify.iter().find(|n| n.name == name);
    if found.is_none() {
        let known: Vec<&str> = config.notify.iter().map(|n| n.name.as_str()).collect();
        let known =
            if known.is_empty() { "none is configured".to_owned() } else { format!("there are {}", known.join(", ")) };
        complain(&format!("ringback: there is no notifier {name:?}: {known}"));
    }
    found
}

fn builder(config: &Config) -> NoticeBuilder {
    NoticeBuilder { roster: Arc::new(config.roster.clone()), addresses: config.agent.addresses.clone() }
}

async fn test(config: &Config, name: &str, json: bool) -> anyhow::Result<Exit> {
    let Some(notifier) = find(config, name) else { return Ok(Exit::BadUsage) };
    let clock = Clock::system();
    let notice = builder(config).test(clock.now(), name);
    let answer = Sender::new(clock)?.send(notifier, &notice).await;
    let (result, exit) = match &answer {
        NotifierReply::Delivered(_) => ("delivered", Exit::Done),
        NotifierReply::Again { .. } => ("not delivered, another try may help", Exit::FoundTrouble),
        NotifierReply::Refused(_) => ("refused", Exit::FoundTrouble),
    };
    if json {
        say(&json!({ "notifier": name, "delivered": exit == Exit::Done, "answer": answer.text() }).to_string())?;
    } else {
        say(&format!("{name} ({}): {result}: {}", notifier.channel.label(), answer.text()))?;
    }
    Ok(exit)
}

async fn deliveries(config: &Config) -> anyhow::Result<Vec<Delivery>> {
    Ok(Store::open_read_only(&config.agent.state).await?.deliveries(Time::EPOCH).await?)
}

fn list(deliveries: &[Delivery], json: bool) -> anyhow::Result<Exit> {
    if json {
        say(&serde_json::to_string(deliveries)?)?;
        return Ok(Exit::Done);
    }
    if deliveries.is_empty() {
        say("nobody was told of anything yet")?;
    }
    for d in deliveries {
        let ended = d.ended.map_or_else(String::new, |t| format!(" at {t}"));
        let answer = if d.answer.is_empty() { String::new() } else { format!(": {}", d.answer) };
        say(&format!(
            "{} {} {} [{}] {}: {}{ended}, tries {}{answer}",
            d.notice.at.at,
            d.notifier,
            d.notice.key,
            d.notice.kind.label(),
            d.notice.subject(),
            d.status.label(),
            d.tries
        ))?;
    }
    Ok(Exit::Done)
}

fn render(
    config: &Config,
    runtime: &tokio::runtime::Runtime,
    what: &str,
    arguments: &NotifyArguments,
) -> anyhow::Result<Exit> {
    let notifier = match &arguments.notifier {
        None => None,
        Some(name) => match find(config, name) {
            None => return Ok(Exit::BadUsage),
            found => found,
        },
    };
    let mut notices: Vec<Notice> = Vec::new();
    if what.is_empty() || NoticeKind::ALL.iter().any(|k| k.label() == what) {
        let every = every_kind(&builder(config), Clock::system().now());
        notices.extend(every.into_iter().filter(|n| what.is_empty() || n.kind.label() == what));
    } else {
        for delivery in runtime.block_on(deliveries(config))? {
            let notice = delivery.notice;
            let is_meant = notice.key == what || notice.decision.is_some_and(|id| id.to_string() == what);
            let is_known = |n: &Notice| n.key == notice.key && n.kind == notice.kind && n.at == notice.at;
            if is_meant && !notices.iter().any(is_known) {
                notices.push(notice);
            }
        }
        if notices.is_empty() {
            let kinds: Vec<&str> = NoticeKind::ALL.iter().map(|k| k.label()).collect();
            complain(&format!(
                "ringback: {what:?} is no kind of notice, and nothing of that name was told; kinds are {}",
                kinds.join(", ")
            ));
            return Ok(Exit::BadUsage);
        }
    }
    for notice in &notices {
        let text = match (notifier, arguments.json) {
            (Some(notifier), true) => notifier.render(notice).to_string(),
            (Some(notifier), false) => serde_json::to_string_pretty(&notifier.render(notice))?,
            (None, true) => serde_json::to_string(notice)?,
            (None, false) => notice.text(),
        };
        say(&text)?;
    }
    Ok(Exit::Done)
}
