//! Operator commands on the command line: `rollback`, `restore`, `hold`, `release`, `approve`, `mode`, `ported`,
//! `adopt`.
//!
//! Each goes to the running agent over its API, once whatever listens there has proven to be this agent
//! ([`admin::identity`]): the command goes to nobody else, and the token to nobody. When no agent runs, this process
//! takes the lease and acts itself, through the very same code behind the same API, on an address of its own. A swap
//! is shown first and done once it is confirmed; then its results are waited for and printed.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::challenge::{ProvenAnswer, ask, command, one_time_token, reqwest_client};
use super::{Exit, complain, log, say};
use crate::admin;
use crate::admin::body::DecisionLine;
use crate::admin::commands::{
    Adopt, Adopted, Approve, CommandDone, HoldRequest, OrderRequest, Planned, Ported, PortedAnswer, SetMode,
};
use crate::admin::identity::Identity;
use crate::agent::{Agent, Role};
use crate::clock::Clock;
use crate::config::{Config, ProcessEnv};
use crate::core::model::decision::Mode;
use crate::core::model::id::{Channel, GroupName, WrittenNumber};

/// Which numbers, said in one way.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Numbers {
    /// Numbers in E.164, or with their account before them: AC…/+15005550100
    #[arg(value_name = "NUMBER")]
    numbers: Vec<WrittenNumber>,
    /// Every number of this group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Every number
    #[arg(long)]
    all: bool,
}

/// Which numbers and channels.
#[derive(Debug, clap::Args)]
pub struct Selection {
    #[command(flatten)]
    which: Numbers,
    /// Only this channel: voice or messaging
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<Channel>,
}

/// What every command has.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Why; it is kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    pub author: String,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    pub config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Rollback {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub struct Restore {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Over what somebody else has changed since, and before the hold-off after a relapse is over
    #[arg(long)]
    force: bool,
    /// All numbers at once, without a canary
    #[arg(long)]
    at_once: bool,
    /// Undo the latest apply of numbers that are on their own handler, all at once
    #[arg(long)]
    applied: bool,
}

#[derive(Debug, clap::Args)]
pub struct HoldArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
    /// How long, such as 30m or 4h
    #[arg(long = "for", value_name = "SPAN", default_value = "4h", value_parser = span)]
    lasts: Duration,
    /// Also if that ends a hold of the same scope sooner
    #[arg(long)]
    shorten: bool,
}

#[derive(Debug, clap::Args)]
pub struct Release {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct ApproveArguments {
    /// The decision, such as D12
    decision: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct ModeArguments {
    /// observe, confirm or auto
    #[arg(value_parser = mode)]
    mode: Mode,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct PortedArguments {
    /// Numbers in E.164, or with their account before them: AC…/+15005550100
    #[arg(value_name = "NUMBER")]
    numbers: Vec<WrittenNumber>,
    /// Every number of this group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Every number
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct AdoptArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    common: Common,
}

fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| format!("{text:?} is not a span such as 30m or 4h"))?;
    Duration::try_from(span).map_err(|_| "a span of time cannot be negative".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    let found = Mode::ALL.into_iter().find(|m| m.label() == text);
    found.ok_or_else(|| format!("{text:?} is not a mode: observe, confirm or auto"))
}

pub fn rollback(arguments: Rollback) -> anyhow::Result<Exit> {
    let Rollback { selection, common, yes } = arguments;
    let asked = swap(&selection, &common, false, false);
    operate(&common, async |client| client.swap("rollback", &asked, yes, common.json).await)
}

pub fn restore(arguments: Restore) -> anyhow::Result<Exit> {
    let Restore { selection, common, yes, force, at_once, applied } = arguments;
    let asked = OrderRequest { applied, ..swap(&selection, &common, force, at_once) };
    operate(&common, async |client| client.swap("restore", &asked, yes, common.json).await)
}

fn swap(selection: &Selection, common: &Common, force: bool, at_once: bool) -> OrderRequest {
    OrderRequest {
        all: selection.which.all,
        group: selection.which.group.clone(),
        numbers: selection.which.numbers.clone(),
        channel: selection.channel,
        reason: common.reason.clone(),
        author: common.author.clone(),
        dry_run: true,
        force,
        at_once,
        applied: false,
    }
}

pub fn hold(arguments: HoldArguments) -> anyhow::Result<Exit> {
    let HoldArguments { selection, common, lasts, shorten } = arguments;
    let seconds = Some(u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX));
    let asked = HoldRequest { shorten, ..scope(selection, &common, seconds) };
    operate(&common, async |client| client.command("hold", &asked, common.json).await)
}

pub fn release(arguments: Release) -> anyhow::Result<Exit> {
    let Release { selection, common } = arguments;
    let asked = scope(selection, &common, None);
    operate(&common, async |client| client.command("release", &asked, common.json).await)
}

fn scope(selection: Selection, common: &Common, seconds: Option<u32>) -> HoldRequest {
    let Selection { which: Numbers { numbers, group, all }, channel } = selection;
    let (reason, author) = (common.reason.clone(), common.author.clone());
    HoldRequest { all, group, numbers, channel, reason, author, seconds, shorten: false }
}

pub fn approve(arguments: ApproveArguments) -> anyhow::Result<Exit> {
    let ApproveArguments { decision, common } = arguments;
    let asked = Approve { decision, reason: common.reason.clone(), author: common.author.clone() };
    operate(&common, async |client| client.command("approve", &asked, common.json).await)
}

pub fn set_mode(arguments: ModeArguments) -> anyhow::Result<Exit> {
    let ModeArguments { mode, common } = arguments;
    let asked = SetMode { mode, reason: common.reason.clone(), author: common.author.clone() };
    operate(&common, async |client| client.command("mode", &asked, common.json).await)
}

pub fn ported(arguments: PortedArguments) -> anyhow::Result<Exit> {
    let PortedArguments { numbers, group, all, common } = arguments;
    let (reason, author) = (common.reason.clone(), common.author.clone());
    let asked = Ported { all, group, numbers, reason, author };
    operate(&common, async |client| {
        let answer = match client.post::<PortedAnswer>("ported", &asked).await? {
            Ok(answer) => answer,
            Err(exit) => return Ok(exit),
        };
        let text = format!("ported: {} channels were waiting and are watched now", answer.activated);
        say(&if common.json { serde_json::to_string(&answer)? } else { text })?;
        Ok(Exit::Done)
    })
}

pub fn adopt(arguments: AdoptArguments) -> anyhow::Result<Exit> {
    let AdoptArguments { selection: Selection { which: Numbers { numbers, group, all }, channel }, common } = arguments;
    let is_named = !numbers.is_empty();
    let (reason, author) = (common.reason.clone(), common.author.clone());
    let asked = Adopt { all, group, numbers, channel, reason, author };
    operate(&common, async |client| {
        let answer = match client.post::<Adopted>("adopt", &asked).await? {
            Ok(answer) => answer,
            Err(exit) => return Ok(exit),
        };
        if common.json {
            say(&serde_json::to_string(&answer)?)?;
        }
        // A group or all numbers are those that are watched on the channel, if there are any.
        let is_passed = |action: &str| action == "not_watched" && !is_named;
        let is_as_asked = |action: &str| matches!(action, "adopt" | "nothing");
        let all_well = answer.lines.iter().any(|l| is_as_asked(&l.action))
            && answer.lines.iter().all(|l| is_as_asked(&l.action) || is_passed(&l.action));
        for line in &answer.lines {
            if !common.json {
                say(&format!("{} {}: {}: {}", line.number, line.channel, line.action, line.detail))?;
            }
        }
        Ok(if all_well { Exit::Done } else { Exit::FoundTrouble })
    })
}

/// Finds the agent, or becomes one for the length of `command`.
pub fn operate(common: &Common, command: impl AsyncFn(&ApiClient) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let config = Config::load(&common.config, &ProcessEnv)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let http = reqwest_client()?;
        let address = config.agent.listen;
        let url = format!("http://{address}");
        if http.get(format!("{url}/-/healthy")).send().await.is_ok() {
            let Some(token) = config.agent.token.clone() else {
                bail!("the agent at {url} takes no word without its token: set RINGBACK_TOKEN, or agent.token_file");
            };
            return command(&ApiClient::new(http, address, token, false)).await;
        }
        complain("no agent is running: taking the lease");
        log::start("warn")?;
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        let agent = Agent::start_as(Role::Operator, &config, &clock, &watch::Sender::new(None)).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback interface")?;
        let address = listener.local_addr()?;
        // Nobody else is to speak to this one.
        let token = SecretString::from(one_time_token()?);
        let mut server = JoinSet::new();
        let router = admin::router(&agent, &clock, Some(token.clone()));
        clock.spawn(&mut server, admin::serve::serve(router, listener, stop.clone()));
        let exit = command(&ApiClient::new(http, address, token, true)).await;
        let in_time = agent.stop().await;
        stop.cancel();
        while server.join_next().await.is_some() {}
        exit.map(|exit| if in_time { exit } else { Exit::CouldNotRun })
    })
}

/// Between looks at how far an order has come.
const LOOK_AFTER: Duration = Duration::from_millis(300);

/// A staged restore is not waited for longer than this: callers take their time.
const WAIT_FOR: Duration = Duration::from_secs(15 * 60);

/// Result and its detail, by account, number and channel.
pub type Results = BTreeMap<[String; 3], (String, String)>;

/// Where commands are given.
pub struct ApiClient {
    http: reqwest::Client,
    address: SocketAddr,
    identity: Identity,
    /// No agent watches beside us.
    is_alone: bool,
}

impl ApiClient {
    fn new(http: reqwest::Client, address: SocketAddr, token: SecretString, is_alone: bool) -> ApiClient {
        ApiClient { http, address, identity: Identity::new(Some(token)), is_alone }
    }

    /// The agent's answer, or the exit code after its complaint was printed.
    pub async fn post<T: DeserializeOwned>(
        &self,
        verb: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Result<T, Exit>> {
        let (path, body) = (format!("/api/v1/{verb}"), serde_json::to_vec(body)?);
        let ProvenAnswer { status, body } = command(&self.http, self.address, &self.identity, &path, body).await?;
        let body: Value = super::answer(&body).context("the agent's answer is not JSON")?;
        if !status.is_success() {
            complain(&format!("ringback: {}", body["error"].as_str().unwrap_or("the agent refused")));
            let is_usage = matches!(status.as_u16(), 400 | 422);
            return Ok(Err(if is_usage { Exit::BadUsage } else { Exit::FoundTrouble }));
        }
        Ok(Ok(serde_json::from_value(body)?))
    }

    async fn command(&self, verb: &str, body: &impl Serialize, json: bool) -> anyhow::Result<Exit> {
        let done = match self.post::<CommandDone>(verb, body).await? {
            Ok(done) => done,
            Err(exit) => return Ok(exit),
        };
        let exit = if done.is_as_asked { Exit::Done } else { Exit::FoundTrouble };
        say(&if json { serde_json::to_string(&done)? } else { done.done })?;
        Ok(exit)
    }

    async fn swap(&self, verb: &str, asked: &OrderRequest, yes: bool, json: bool) -> anyhow::Result<Exit> {
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
                say(&format!("{} {}: {}: {}", line.number, line.channel, line.action, line.detail))?;
            }
        }
        if !touched.is_empty() && !yes && !confirmed(verb, touched.len())? {
            complain("ringback: nothing was done");
            return Ok(Exit::FoundTrouble);
        }
        let meant = serde_json::to_value(asked).map(|mut body| {
            body["dry_run"] = Value::Bool(false);
            body
        })?;
        let plan = match self.post::<Planned>(verb, &meant).await? {
            Ok(plan) => plan,
            Err(exit) => return Ok(exit),
        };
        let ended = self.follow(&plan.orders).await?;
        // A group or all numbers are those that are watched on the channel, if there are any.
        let is_named = !asked.numbers.is_empty() || plan.lines.iter().all(|l| l.action == "not_watched");
        self.tell(&plan, &ended, is_named, json)
    }

    /// Waits for orders to end.
    pub async fn follow(&self, orders: &[String]) -> anyhow::Result<Results> {
        let clock = Clock::system();
        let give_up = clock.now() + WAIT_FOR;
        let mut ended = BTreeMap::new();
        for id in orders {
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
                if order["is_over"] == true || clock.now() >= give_up {
                    break;
                }
                clock.sleep(LOOK_AFTER).await;
            }
        }
        Ok(ended)
    }

    fn tell(&self, plan: &Planned, ended: &Results, is_named: bool, json: bool) -> anyhow::Result<Exit> {
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
            let is_left = result == "not_watched" && !is_named;
            all_well &= is_left || matches!(result, "as_asked" | "written" | "proven" | "restored");
            results.push(serde_json::json!({
                "account": line.account, "number": line.number, "channel": line.channel, "result": result,
                "detail": detail,
            }));
            if !json {
                say(&format!("{} {}: {result}: {detail}", line.number, line.channel))?;
            }
        }
        if json {
            say(&serde_json::json!({ "orders": plan.orders, "results": results }).to_string())?;
        }
        Ok(if all_well { Exit::Done } else { Exit::FoundTrouble })
    }
}

/// A yes or a no.
const ANSWER_BYTES: u64 = 1024;

pub fn confirmed(verb: &str, numbers: usize) -> anyhow::Result<bool> {
    complain(&format!("{verb} {numbers} of these? [y/N]"));
    let mut line = String::new();
    io::stdin().lock().take(ANSWER_BYTES).read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
