//! Operator commands on the command line: `rollback`, `restore`, `hold`, `release`, `approve`, `mode`, `ported`,
//! `adopt`.
//!
//! Each goes to the running agent over its API, once whatever listens there has proven to be this agent
//! ([`admin::identity`]): the command goes to nobody else, and the token to nobody. When no agent runs, this process
//! takes the lease and acts itself, through the very same code behind the same API, on an address of its own; at the
//! agent's address others can say stop meanwhile ([`admin::router_beside`]). A swap is shown first and done once it is
//! confirmed; then its results are waited for and printed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::challenge::{one_time_token, reqwest_client};
use super::desk::{AgentClient, DEFAULT_CONFIG, Typed, load};
use super::orders::ApiClient;
use super::signals::Signals;
use super::text::fitted;
use super::{Exit, complain, log, run, say, silence};
use crate::admin;
use crate::admin::commands::{Adopt, Adopted, Approve, HoldRequest, OrderRequest, Ported, PortedAnswer, SetMode};
use crate::agent::leader::{self, LeaseHolder};
use crate::agent::{Agent, Role};
use crate::child;
use crate::clock::Clock;
use crate::core::model::decision::Mode;
use crate::core::model::id::{Channel, GroupName, WrittenNumber};
use crate::core::model::reserved::is_reserved;
use crate::store::lease::LEASE;

/// Which numbers, said in one way.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct SelectedNumbers {
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
    which: SelectedNumbers,
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
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Without an agent it begins a state file where there is none: it is about to write to it.
    #[arg(skip)]
    pub may_create: bool,
}

/// Who says so. A service's account may have the machine's own name, which is no person's.
pub fn said_by(author: &str) -> String {
    let is_accounts = std::env::var("USER").is_ok_and(|user| user == author);
    if is_accounts && is_reserved(author) { format!("operator (as user {author})") } else { author.to_owned() }
}

impl Common {
    pub fn author(&self) -> String {
        said_by(&self.author)
    }

    /// What is done by this is written down, also where nothing was before.
    pub const fn that_begins(mut self) -> Common {
        self.may_create = true;
        self
    }
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

/// A span of time as it is typed.
pub fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is not a span of time such as 30m, 4h or 72h"))?;
    Duration::try_from(span).map_err(|_| "a span of time cannot be negative".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    let found = Mode::ALL.into_iter().find(|m| m.label() == text);
    found.ok_or_else(|| format!("{text:?} is not a mode: observe, confirm or auto"))
}

pub fn rollback(arguments: Rollback) -> anyhow::Result<Exit> {
    let Rollback { selection, common, yes } = arguments;
    let common = common.that_begins();
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
        author: common.author(),
        dry_run: true,
        force,
        at_once,
        applied: false,
    }
}

pub fn hold(arguments: HoldArguments) -> anyhow::Result<Exit> {
    let HoldArguments { selection, common, lasts, shorten } = arguments;
    let common = common.that_begins();
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
    let Selection { which: SelectedNumbers { numbers, group, all }, channel } = selection;
    let (reason, author) = (common.reason.clone(), common.author());
    HoldRequest { all, group, numbers, channel, reason, author, seconds, shorten: false }
}

pub fn approve(arguments: ApproveArguments) -> anyhow::Result<Exit> {
    let ApproveArguments { decision, common } = arguments;
    let asked = Approve { decision, reason: common.reason.clone(), author: common.author() };
    operate(&common, async |client| client.approve(&asked, common.json).await)
}

pub fn set_mode(arguments: ModeArguments) -> anyhow::Result<Exit> {
    let ModeArguments { mode, common } = arguments;
    let common = common.that_begins();
    let asked = SetMode { mode, reason: common.reason.clone(), author: common.author() };
    operate(&common, async |client| client.command("mode", &asked, common.json).await)
}

pub fn ported(arguments: PortedArguments) -> anyhow::Result<Exit> {
    let PortedArguments { numbers, group, all, common } = arguments;
    let common = common.that_begins();
    let (reason, author) = (common.reason.clone(), common.author());
    let asked = Ported { all, group, numbers, reason, author };
    operate(&common, async |client| {
        let answer = match client.post::<PortedAnswer>("ported", &asked).await? {
            Ok(answer) => answer,
            Err(exit) => return Ok(exit),
        };
        let text = match answer.activated {
            0 => "ported: none of them was waiting for its port: they are watched already".to_owned(),
            1 => "ported: 1 channel was waiting and is watched now".to_owned(),
            n => format!("ported: {n} channels were waiting and are watched now"),
        };
        say(&if common.json { serde_json::to_string(&answer)? } else { text })?;
        Ok(Exit::Done)
    })
}

pub fn adopt(arguments: AdoptArguments) -> anyhow::Result<Exit> {
    let AdoptArguments { selection: Selection { which: SelectedNumbers { numbers, group, all }, channel }, common } =
        arguments;
    let common = common.that_begins();
    let is_named = !numbers.is_empty();
    let (reason, author) = (common.reason.clone(), common.author());
    let asked = Adopt { all, group, numbers, channel, reason, author, dry_run: false };
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
                say(&fitted(&format!("{} {}: {}: {}", line.number, line.channel, line.action, line.detail)))?;
            }
        }
        Ok(if all_well { Exit::Done } else { Exit::FoundTrouble })
    })
}

/// True if nobody listens where the agent was asked.
fn is_refused(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect))
}

/// Finds the agent, or becomes one for the length of `command`.
pub fn operate(common: &Common, command: impl AsyncFn(&ApiClient) -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let desk = load(&common.config)?;
    // While a question stands here, what others ask is answered on other threads.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let http = reqwest_client()?;
        let address = desk.agent.listen;
        let typed = Typed::new(&common.config);
        if AgentClient::new(&desk, typed.clone())?.answers().await {
            let Some(token) = desk.agent.token.clone() else {
                bail!(
                    "the agent at http://{address} takes no command without a token: set RINGBACK_TOKEN to its \
                     own or to yours, or name a file in agent.token_file"
                );
            };
            let client = ApiClient::new(http.clone(), address, token, false);
            match command(&client).await {
                // Whoever was there has ended, and was given nothing.
                Err(gone) if client.has_given_nothing() && is_refused(&gone) => {}
                done => return done,
            }
        }
        if !common.may_create && !desk.agent.state.exists() {
            bail!(
                "no agent runs at {address}, and there is no state file {}: nothing was ever done from here; start the \
                 agent with `{}`",
                desk.agent.state.display(),
                typed.command("ringback run")
            );
        }
        // To act by itself takes what an agent takes.
        let config = silence::load(&common.config)?;
        complain("no agent is running: taking the lease");
        log::start("warn")?;
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        let mut agent = Agent::start_as(Role::Operator, &config, &clock, &watch::Sender::new(None)).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback interface")?;
        let address = listener.local_addr()?;
        // Nobody else is to speak to this one.
        let token = SecretString::from(one_time_token()?);
        let mut server = JoinSet::new();
        let router = admin::router(&agent, &clock, Some(token.clone()));
        clock.spawn(&mut server, admin::serve::serve(router, listener, stop.clone()));
        if config.agent.token.is_some() || !config.agent.people.is_empty() {
            match run::listen(&config).await {
                Ok((listener, tls)) => {
                    let by = format!("a command of {}, {}", common.author(), leader::name());
                    let holder = LeaseHolder { by, until: clock.now() + LEASE, is_command: true };
                    let leads = watch::Sender::new(Some(holder)).subscribe();
                    let face = admin::router_beside(&agent, &clock, run::access(&config), leads);
                    clock.spawn(&mut server, admin::serve::serve_over(tls, face, listener, stop.clone()));
                }
                Err(error) => complain(&format!(
                    "ringback: nobody else can say hold while this command acts; Ctrl-C stops it ({error:#})"
                )),
            }
        }
        let mut signals = Signals::listen()?;
        let client = ApiClient::new(http, address, token, true);
        let exit = tokio::select! {
            exit = command(&client) => exit,
            // Another has taken over, or the state is not ours any more: nothing can be done here any longer.
            fault = agent.failed() => {
                complain(&format!("ringback: this command cannot go on: {fault}; see `ringback status`"));
                Ok(Exit::CouldNotRun)
            }
            signal = signals.next() => {
                complain(&format!(
                    "ringback: {signal}: finishing the step that is under way; a second signal stops even that"
                ));
                Ok(Exit::CouldNotRun)
            }
        };
        let in_time = tokio::select! {
            in_time = agent.stop() => in_time,
            _ = signals.next() => false,
        };
        // Test calls and notices may be programs, which a signal to us does not reach.
        child::end_all();
        stop.cancel();
        while server.join_next().await.is_some() {}
        exit.map(|exit| if in_time { exit } else { Exit::CouldNotRun })
    })
}
