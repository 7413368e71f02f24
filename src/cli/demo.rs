//! `ringback demo`: a whole port day against the embedded pretend Twilio, for somebody who has never
//! heard of porting.
//!
//! The agent in it is the one that `run` runs, with the real HTTP client, a real SQLite file and the
//! real admin server. Only Twilio and time are pretended, so the day takes a minute, needs no
//! account, leaves the machine alone, and is the same every time.

mod story;
mod view;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{Exit, complain, say};
use crate::admin;
use crate::agent::Agent;
use crate::clock::{Clock, Pace};
use crate::config::Config;
use crate::sim::{Scenario, Sim, Truth};
use story::{DemoStory, DemoSummary};
use view::DemoView;

/// The day that is played.
pub const SCENARIO: &str = include_str!("../../tests/scenarios/port-day.toml");

#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Another day of the same kind
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Seconds of the day in one second; 0 is as fast as the machine can
    #[arg(long, value_name = "N", default_value_t = 144.0)]
    speed: f64,
    /// Print the story and the summary as JSON instead, as fast as the machine can
    #[arg(long)]
    json: bool,
    /// Plain lines even on a terminal
    #[arg(long)]
    plain: bool,
    /// Stay up after the day, with metrics and status, until Ctrl-C
    #[arg(long)]
    keep_open: bool,
}

/// What is looked at this often, in the day's own time.
const FRAME: Duration = Duration::from_secs(15);

pub fn demo(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    let mut scenario = Scenario::parse(SCENARIO)?;
    scenario.seed = arguments.seed;
    let start = scenario.start.context("the demo's scenario has no start")?;
    let clock = Clock::virtual_at(start);
    let pace = match arguments.speed {
        _ if arguments.json => Pace::Free,
        speed if speed > 0.0 => Pace::Times(speed),
        _ => Pace::Free,
    };
    let folder = TemporaryFolder::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut day = clock.drive(pace, play(scenario, &clock, arguments, &folder.0)).await?;
        let stayed = match day.stays {
            // The day is over, and time passes as everywhere: nobody waits for what comes.
            true => clock.drive(Pace::Times(1.0), day.stay(&clock)).await,
            false => Ok(()),
        };
        let exit = clock.drive(Pace::Free, day.close()).await;
        stayed.map(|()| exit)
    })
}

/// A day that was played, and everything that is still up.
struct Day {
    agent: Agent,
    servers: JoinSet<()>,
    stop: CancellationToken,
    signals: Signals,
    /// It is looked at further.
    stays: bool,
    exit: Exit,
}

impl Day {
    /// Until somebody stops it.
    async fn stay(&mut self, clock: &Clock) -> anyhow::Result<()> {
        let (signals, agent) = (&mut self.signals, &mut self.agent);
        let fault = async {
            tokio::select! { _ = signals.next() => None, fault = agent.failed() => Some(fault) }
        };
        match clock.wait(None, fault).await {
            Some(Some(fault)) => anyhow::bail!(fault),
            Some(None) | None => Ok(()),
        }
    }

    async fn close(mut self) -> Exit {
        self.agent.stop().await;
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
        self.exit
    }
}

async fn play(scenario: Scenario, clock: &Clock, arguments: &DemoArguments, folder: &Path) -> anyhow::Result<Day> {
    let mut signals = Signals::listen()?;
    let without = Truth::without_help(&scenario)?;
    let until = clock.now() + scenario.lasts;
    let twilio = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback interface")?;
    let text = configuration(&scenario, &format!("http://{}", twilio.local_addr()?));
    let token = scenario.account.auth_token.clone();
    let env = HashMap::from([("TWILIO_AUTH_TOKEN", token.as_str())]);
    let mut config = Config::parse(&folder.join("ringback.toml"), &text, &env)?;
    config.twilio.seed = arguments.seed;

    let sim = Sim::new(scenario, clock.clone())?;
    let stop = CancellationToken::new();
    // Servers work in the place of whoever asks them: they are no participants of virtual time.
    let mut servers = JoinSet::new();
    servers.spawn(sim.clone().serve(twilio, stop.clone()));
    let agent = Agent::start(&config, clock).await?;
    let listener = TcpListener::bind(config.agent.listen).await?;
    let address = listener.local_addr()?;
    servers.spawn(admin::serve::serve(admin::router(&agent, clock, None), listener, stop.clone()));

    let mut story = DemoStory::new(&sim, &config.roster);
    let mut view = DemoView::start(arguments.json, arguments.plain, address)?;
    let mut stopped = false;
    while !stopped && clock.now() < until {
        stopped = clock.wait(Some(clock.now() + FRAME), signals.next()).await.is_some();
        story.look(clock.now(), &sim, &agent.status.borrow().clone());
        view.frame(&story)?;
    }
    view.end(&story)?;
    let (mut exit, mut stays) = (Exit::FoundTrouble, false);
    if stopped {
        say("stopped")?;
    } else {
        let summary = DemoSummary::new(&story, &sim, &without);
        stays = arguments.keep_open;
        if arguments.json {
            say(&summary.json(&story)?)?;
            if stays {
                complain(&format!("staying up until Ctrl-C: http://{address}/"));
            }
        } else {
            view.report(&summary, stays)?;
        }
        if summary.is_as_expected {
            exit = Exit::Done;
        }
    }
    Ok(Day { agent, servers, stop, signals, stays, exit })
}

/// What an agent's configuration for this scenario looks like.
fn configuration(scenario: &Scenario, base_url: &str) -> String {
    let bins: Vec<String> = scenario.bins.iter().map(crate::sim::Bin::url).collect();
    let mut text = format!(
        "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{base_url}\"\n\n[agent]\nmode = \"auto\"\nlisten = \
         \"127.0.0.1:0\"\n",
        scenario.account.sid
    );
    let prober = scenario.groups.iter().find(|g| g.foreign).and_then(|g| g.all_numbers().next());
    for group in scenario.groups.iter().filter(|g| !g.foreign) {
        let numbers: Vec<String> = group.all_numbers().map(|n| format!("\"{n}\"")).collect();
        let messages = group.traffic.messages_per_hour > 0.0;
        let channels = if messages { "\"voice\", \"messaging\"" } else { "\"voice\"" };
        text += &format!("\n[[group]]\nname = \"{}\"\nchannels = [{channels}]\n", group.name);
        text += &format!("numbers = [{}]\nport_at = \"unknown\"\n", numbers.join(", "));
        // Whoever forwards everything falls back to a bin that forwards.
        let forwards = group.traffic.forward >= 1.0;
        if let Some(bin) = bins.get(usize::from(forwards)).or(bins.first()) {
            text += &format!("[group.fallback]\nvoice_url = \"{bin}\"\nsms_url = \"{bin}\"\n");
        }
        if let Some(from) = prober {
            // Enough callers: test calls look into suspicions, and prove what was swapped.
            text += &format!("[group.probe]\nfrom = \"{from}\"\nevery = \"10m\"\npassive_every = \"1h\"\n");
        }
    }
    text
}

/// A folder that goes away with the demo.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> anyhow::Result<TemporaryFolder> {
        let path = std::env::temp_dir().join(format!("ringback-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(TemporaryFolder(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
