//! `ringback ports`: how far each number's port is, whether the old provider may be cancelled, and what must be true
//! before the request is made.
//!
//! The running agent is asked where one runs, for it has seen the callers. Otherwise the command looks by itself, and
//! reads what the agent before wrote down.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;

use super::challenge::{ask_whoever, reqwest_client};
use super::text::fitted;
use super::{Exit, complain, say, silence};
use crate::admin::identity::Identity;
use crate::agent::ports::alone::LoneLooker;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::model::id::E164;
use crate::core::port::report::PortReport;
use crate::core::port::sight::ApiSight;

#[derive(Debug, clap::Args)]
pub struct PortsArguments {
    /// Keep looking: print what becomes otherwise, until no port is open
    #[arg(long, group = "what")]
    watch: bool,
    /// Say whether the old provider may be cancelled: exits 0 for yes, 1 for not yet, with what is missing
    #[arg(long, group = "what")]
    checklist: bool,
    /// Print what must be true before the port request is made, with what Twilio can tell ticked
    #[arg(long, group = "what")]
    prepare: bool,
    /// With --prepare: these numbers, instead of the configured ones
    #[arg(value_name = "NUMBER", requires = "prepare")]
    numbers: Vec<E164>,
    /// With --watch: how long between two looks, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn ports(arguments: &PortsArguments) -> anyhow::Result<Exit> {
    let config = silence::load(&arguments.config)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut looker = Looker::new(&config).await?;
        if arguments.prepare {
            return prepare(&looker, arguments).await;
        }
        let report = looker.report().await?;
        if arguments.watch {
            return watch(&mut looker, report, arguments).await;
        }
        if arguments.json {
            say(&serde_json::to_string(&report)?)?;
        } else if arguments.checklist {
            say(&fitted(&report.checklist()))?;
        } else {
            say(&fitted(&report.text()))?;
        }
        Ok(exit(&report, arguments.checklist))
    })
}

/// What was found goes before what could not be looked at: it is so in any case.
fn exit(report: &PortReport, is_checklist: bool) -> Exit {
    let is_read = matches!(report.api, ApiSight::Read { .. }) && report.account.is_read();
    match is_checklist {
        true if report.may_cancel => Exit::Done,
        // It is kept either way, and nobody knows how far its ports are.
        true if !report.is_conclusive() => Exit::CouldNotRun,
        true => Exit::FoundTrouble,
        false if report.is_trouble() => Exit::FoundTrouble,
        false if !is_read => Exit::CouldNotRun,
        false => Exit::Done,
    }
}

async fn prepare(looker: &Looker, arguments: &PortsArguments) -> anyhow::Result<Exit> {
    let preparation = looker.alone.prepare(&arguments.numbers).await;
    say(&if arguments.json { serde_json::to_string(&preparation)? } else { fitted(&preparation.text()) })?;
    Ok(if preparation.is_trouble() {
        Exit::FoundTrouble
    } else if preparation.is_incomplete() {
        Exit::CouldNotRun
    } else {
        Exit::Done
    })
}

/// Prints a report, and again each that says something else, until no port is open. What could not be looked at may be.
async fn watch(looker: &mut Looker, mut report: PortReport, arguments: &PortsArguments) -> anyhow::Result<Exit> {
    let print = |report: &PortReport| -> anyhow::Result<()> {
        let json = serde_json::to_string(report)?;
        Ok(say(&if arguments.json { json } else { fitted(&format!("{}\n{}", report.at, report.text())) })?)
    };
    print(&report)?;
    while report.is_open() || !report.is_conclusive() {
        looker.clock.sleep(Duration::from_secs(arguments.every)).await;
        let next = looker.report().await?;
        // What counts down is no news.
        let is_news = next.api.label() != report.api.label()
            || PortReport { at: report.at, api: report.api.clone(), ..next.clone() } != report;
        if is_news {
            print(&next)?;
        }
        report = next;
    }
    Ok(exit(&report, false))
}

/// Who is asked.
struct Looker {
    clock: Clock,
    alone: LoneLooker,
    http: reqwest::Client,
    address: SocketAddr,
    token: Option<SecretString>,
}

impl Looker {
    async fn new(config: &Config) -> anyhow::Result<Looker> {
        let clock = Clock::system();
        let alone = LoneLooker::new(config, &clock).await?;
        let (address, token) = (config.agent.listen, config.agent.token.clone());
        Ok(Looker { clock, alone, http: reqwest_client()?, address, token })
    }

    /// The running agent's, or what can be seen without one.
    async fn report(&mut self) -> anyhow::Result<PortReport> {
        if let Some(report) = self.agents().await? {
            return Ok(report);
        }
        Ok(self.alone.report().await)
    }

    /// `None`: no agent watches here.
    async fn agents(&self) -> anyhow::Result<Option<PortReport>> {
        if self.http.get(format!("http://{}/-/healthy", self.address)).send().await.is_err() {
            return Ok(None);
        }
        let ours = Identity::new(self.token.clone());
        let (answer, doubt) = ask_whoever(&self.http, self.address, &ours, "/api/v1/ports").await?;
        // Without a token nothing tells the agent from another program.
        if let Some(doubt) = doubt.filter(|_| self.token.is_some()) {
            complain(&format!("ringback: {doubt}: looking without it"));
            return Ok(None);
        }
        if !answer.status.is_success() {
            complain(&format!("ringback: the agent answers HTTP {}: looking without it", answer.status.as_u16()));
            return Ok(None);
        }
        let said = super::answer(&answer.body).context("the agent's answer is not JSON")?;
        Ok(Some(serde_json::from_value(said).context("the agent's answer is not one about ports")?))
    }
}
