//! `ringback sim`: the pretend Twilio alone, for agents and other clients of Twilio's API.

mod listing;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::names::OneOf;
use super::signals::Signals;
use super::text::{Shape, wrapped, wrapped_command};
use super::{Exit, complain, say};
use crate::clock::{Clock, Pace};
use crate::config::text;
use crate::core::model::bounds;
use crate::core::model::time::Time;
use crate::sim::{Bin, STORIES, Scenario, Sim, Story};
use listing::listing;

#[derive(Debug, clap::Args)]
pub struct SimArguments {
    /// The day to play; without it, the demo's
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// A story that is ready to be played, instead; without a name, all of them are listed
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with = "scenario", value_parser = OneOf(names),
          hide_possible_values = true)]
    story: Option<Option<String>>,
    /// Print the scenario as a file, to make one of your own of it
    #[arg(long, conflicts_with = "list")]
    print: bool,
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
    /// Post there what becomes of ports, as Twilio's porting webhook does
    #[arg(long, value_name = "URL")]
    port_webhook: Option<String>,
}

fn names() -> Vec<(&'static str, &'static str)> {
    STORIES.iter().map(|s| (s.name, s.about)).collect()
}

/// The stories, one a line.
fn stories() -> String {
    let widest = STORIES.iter().map(|s| s.name.len()).max().unwrap_or(0);
    let width = Shape::of_output().width.saturating_sub(widest + 4);
    let mut out = "Stories that are ready to be played. What breaks, breaks after two minutes:\n\n".to_owned();
    for story in STORIES {
        for (nth, line) in wrapped(story.about, width).into_iter().enumerate() {
            let name = if nth == 0 { story.name } else { "" };
            out += &format!("  {name:widest$}  {line}\n");
        }
    }
    out + "\n`ringback sim --story NAME` plays one, `--list` only says what is in it,\n`--print` gives it as a file."
}

/// The scenario's text, or how the command ends without one.
fn chosen(arguments: &SimArguments) -> anyhow::Result<Result<(String, Option<&'static Story>), Exit>> {
    if let Some(path) = &arguments.scenario {
        let text = text::read(path, bounds::CONFIG_BYTES, text::IN_AN_EDITOR)
            .with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(match text {
            Ok(text) => Ok((text, None)),
            Err(e) => {
                complain(&format!("{}: {e}", path.display()));
                Err(Exit::BadUsage)
            }
        });
    }
    let name = match &arguments.story {
        None => "port-day",
        Some(None) => {
            say(&stories())?;
            return Ok(Err(Exit::Done));
        }
        Some(Some(name)) => name,
    };
    let Some(story) = Story::named(name) else {
        let near = Story::near(name).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        complain(&format!("ringback: there is no story {name:?}{near}\n\n{}", stories()));
        return Ok(Err(Exit::BadUsage));
    };
    Ok(Ok((story.text(), Some(story))))
}

pub fn sim(arguments: &SimArguments) -> anyhow::Result<Exit> {
    let (text, story) = match chosen(arguments)? {
        Ok(chosen) => chosen,
        Err(exit) => return Ok(exit),
    };
    if arguments.print {
        say(text.trim())?;
        return Ok(Exit::Done);
    }
    let mut scenario = match (Scenario::parse(&text), &arguments.scenario) {
        (Ok(scenario), _) => scenario,
        (Err(e), Some(path)) => {
            complain(&format!("{}:{e}", path.display()));
            return Ok(Exit::BadUsage);
        }
        (Err(e), None) => return Err(e.into()),
    };
    if let Some(seed) = arguments.seed {
        scenario.seed = seed;
    }
    if arguments.list {
        say(listing(&scenario, story, None).trim_end())?;
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
    runtime.block_on(clock.drive(Pace::Free, serve(scenario, story, &clock, arguments)))
}

async fn serve(
    scenario: Scenario,
    story: Option<&Story>,
    clock: &Clock,
    arguments: &SimArguments,
) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}: name another address with --listen", arguments.listen))?;
    let address = listener.local_addr()?;
    let (account, list) = (scenario.account.clone(), listing(&scenario, story, Some(clock.now())));
    let fallback = scenario.bins.first().map(Bin::url);
    let fallback = fallback.map_or_else(String::new, |url| format!(" --fallback {url} --sms-fallback {url} --probe"));
    let sim =
        if arguments.manual { Sim::moved_by_hand(scenario, clock.clone()) } else { Sim::new(scenario, clock.clone()) }?;
    let plain = if address.ip().is_loopback() { "" } else { "\n  plain_http  = true" };
    say(&format!(
        "{list}\nA pretend Twilio at http://{address}, until Ctrl-C. In ringback.toml:\n\n  [twilio]\n  account_sid = \
         \"{}\"\n  base_url    = \"http://{address}\"{plain}\n\nand in the environment: TWILIO_AUTH_TOKEN={}\nWhat \
         really happens: http://{address}/_sim/truth\n\nTo begin from nothing, in another terminal:\n\n  export \
         TWILIO_ACCOUNT_SID={}\n  export TWILIO_AUTH_TOKEN={}\n  {}\n\nWhat to do then: ringback docs practise",
        account.sid,
        account.auth_token,
        account.sid,
        account.auth_token,
        wrapped_command(&format!("ringback init --base-url http://{address}{fallback}"), 76).join("\n  ")
    ))?;
    let stop = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut ringing = JoinSet::new();
    if let Some(url) = &arguments.port_webhook {
        clock.spawn(&mut ringing, sim.clone().ring(url.clone(), stop.clone()));
    }
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
