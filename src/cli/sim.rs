//! `ringback sim`: the pretend Twilio alone, for agents and other clients of Twilio's API.

mod listing;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::run::Signals;
use super::{Exit, complain, say};
use crate::clock::{Clock, Pace};
use crate::config::text;
use crate::core::model::bounds;
use crate::core::model::time::Time;
use crate::sim::{Bin, Scenario, Sim};
use listing::listing;

#[derive(Debug, clap::Args)]
pub struct SimArguments {
    /// The day to play; without it, the demo's
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// A day that is ready to be played, instead
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    story: Option<ReadyStory>,
    /// Only say what is in the account: numbers, bins, traps, and what is going to happen
    #[arg(long)]
    list: bool,
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// Another day of the same scenario
    #[arg(long)]
    seed: Option<u64>,
    /// Time stands still until `POST /_sim/clock` moves it
    #[arg(long)]
    manual: bool,
}

/// Days to practise on.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ReadyStory {
    /// One group's webhook breaks two minutes after the start, and is mended ten minutes later
    Breaks,
    /// The demo's port day
    PortDay,
}

impl ReadyStory {
    const fn text(self) -> &'static str {
        match self {
            ReadyStory::Breaks => include_str!("../../tests/scenarios/breaks.toml"),
            ReadyStory::PortDay => super::demo::SCENARIO,
        }
    }
}

pub fn sim(arguments: &SimArguments) -> anyhow::Result<Exit> {
    let mut scenario = match &arguments.scenario {
        None => Scenario::parse(arguments.story.unwrap_or(ReadyStory::PortDay).text())?,
        Some(path) => {
            let text = text::read(path, bounds::CONFIG_BYTES, text::IN_AN_EDITOR)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let text = match text {
                Ok(text) => text,
                Err(e) => {
                    complain(&format!("{}: {e}", path.display()));
                    return Ok(Exit::BadUsage);
                }
            };
            match Scenario::parse(&text) {
                Ok(scenario) => scenario,
                Err(e) => {
                    complain(&format!("{}:{e}", path.display()));
                    return Ok(Exit::BadUsage);
                }
            }
        }
    };
    if let Some(seed) = arguments.seed {
        scenario.seed = seed;
    }
    if arguments.list {
        say(listing(&scenario).trim_end())?;
        return Ok(Exit::Done);
    }
    let clock = if arguments.manual {
        // Answers take no time either, or it would not stand still.
        scenario.api.latency = [std::time::Duration::ZERO; 2];
        let start = scenario.start.unwrap_or_else(|| Clock::system().now());
        Clock::virtual_at(start)
    } else {
        // The day begins now: an agent beside it reads the machine's clock.
        scenario.start = None;
        Clock::system()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(clock.drive(Pace::Free, serve(scenario, &clock, arguments)))
}

async fn serve(scenario: Scenario, clock: &Clock, arguments: &SimArguments) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}: name another address with --listen", arguments.listen))?;
    let address = listener.local_addr()?;
    let (account, list) = (scenario.account.clone(), listing(&scenario));
    let fallback = scenario.bins.first().map(Bin::url);
    let sim =
        if arguments.manual { Sim::moved_by_hand(scenario, clock.clone()) } else { Sim::new(scenario, clock.clone()) }?;
    let plain = if address.ip().is_loopback() { "" } else { "\n  plain_http  = true" };
    say(&format!(
        "{list}\nA pretend Twilio at http://{address}, until Ctrl-C. In ringback.toml:\n\n  [twilio]\n  account_sid = \
         \"{}\"\n  base_url    = \"http://{address}\"{plain}\n\nand in the environment: TWILIO_AUTH_TOKEN={}\nWhat \
         really happens: http://{address}/_sim/truth\n\nTo begin from nothing, in another terminal:\n\n  export \
         TWILIO_ACCOUNT_SID={} TWILIO_AUTH_TOKEN={}\n  ringback init --base-url http://{address}{}",
        account.sid,
        account.auth_token,
        account.sid,
        account.auth_token,
        fallback.map_or_else(String::new, |url| format!(" --fallback {url} --sms-fallback {url} --probe"))
    ))?;
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let server = sim.serve(listener, stop.clone());
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => {}
        _ = clock.wait(None::<Time>, signals.next()) => {
            stop.cancel();
            server.await;
        }
    }
    Ok(Exit::Done)
}
