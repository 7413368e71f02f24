//! `ringback check`: what must be true before the port day, and what each finding means.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::challenge::{ask_whoever, reqwest_client};
use super::cut_off::or_signal;
use super::{Exit, complain, say, silence};
use crate::admin::identity::Identity;
use crate::check::{Options, REGIONS, check as look};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::check::code::FindingCode;
use crate::core::check::facts::{ListenFound, Looked, Unlooked};
use crate::core::check::report::{CheckVerdict, Report};
use crate::core::check::text;

#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only trouble, a line each, and the verdict
    #[arg(long, conflicts_with = "json")]
    short: bool,
    /// A warning counts as an error for the verdict and the exit code
    #[arg(long)]
    strict: bool,
    /// Send a test notice to each notifier
    #[arg(long)]
    notify: bool,
    /// Ask no handler and no fallback for its TwiML: to a handler that is a call
    #[arg(long)]
    no_webhooks: bool,
    /// Ask for the region of every number, one request each, and not of 500
    #[arg(long)]
    all_regions: bool,
    /// Print what a code means, or all of them, and look at nothing
    #[arg(long, value_name = "CODE", conflicts_with_all = ["json", "short", "strict", "notify"])]
    explain: Option<String>,
}

pub fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    if let Some(code) = &arguments.explain {
        return explain(code);
    }
    let config = silence::load(&arguments.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A notifier's command, and what it starts, end with us.
    runtime.block_on(or_signal(async {
        let options = Options {
            webhooks: !arguments.no_webhooks,
            regions: if arguments.all_regions { usize::MAX } else { REGIONS },
            notify: arguments.notify,
            update: true,
            listen: listener(&config).await,
        };
        let report = look(&config, &Clock::system(), &options).await?;
        if arguments.json {
            say(&serde_json::to_string_pretty(&report)?)?;
        } else if arguments.short {
            say(&text::short(&report, arguments.strict))?;
        } else {
            say(&text::whole(&report, arguments.strict))?;
        }
        Ok(exit(&report, arguments.strict))
    }))
}

/// The exit code that agrees with the verdict.
fn exit(report: &Report, is_strict: bool) -> Exit {
    match report.verdict {
        CheckVerdict::NotRun => Exit::CouldNotRun,
        CheckVerdict::Ready | CheckVerdict::ReadyWithWarnings | CheckVerdict::NotReady | CheckVerdict::NotKnown => {
            if report.is_trouble(is_strict) {
                Exit::FoundTrouble
            } else {
                Exit::Done
            }
        }
    }
}

fn explain(code: &str) -> anyhow::Result<Exit> {
    if code.eq_ignore_ascii_case("all") {
        let all: Vec<String> = FindingCode::ALL.iter().map(|code| text::explain(*code)).collect();
        say(&all.join("\n\n"))?;
        return Ok(Exit::Done);
    }
    match code.parse::<FindingCode>() {
        Ok(code) => {
            say(&text::explain(code))?;
            Ok(Exit::Done)
        }
        Err(unknown) => {
            complain(&format!("ringback: {unknown}"));
            Ok(Exit::BadUsage)
        }
    }
}

/// Who is at the agent's address.
async fn listener(config: &Config) -> Looked<ListenFound> {
    let address: SocketAddr = config.agent.listen;
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Ok(ListenFound::Free),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let ours = Identity::new(config.agent.token.clone());
            let http = reqwest_client().map_err(|e| Unlooked::optional(e.to_string()))?;
            match (ask_whoever(&http, address, &ours, "/api/v1/status").await, &config.agent.token) {
                (Ok((_, None)), _) => Ok(ListenFound::OurAgent),
                // Without a token nothing tells the agent from another program.
                (Ok((_, Some(_))), None) => Err(Unlooked::optional(format!(
                    "something answers at {address}, and without a token nothing proves it"
                ))),
                (Ok((_, Some(_))) | Err(_), _) => {
                    Ok(ListenFound::Other(format!("what answers at {address} is not this configuration's agent")))
                }
            }
        }
        Err(error) => Ok(ListenFound::Other(format!("nobody can listen at {address}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_exit_code() {
        let of = |verdict, is_strict| exit(&Report { verdict, ..report() }, is_strict);
        assert_eq!(of(CheckVerdict::Ready, true), Exit::Done);
        assert_eq!(of(CheckVerdict::ReadyWithWarnings, false), Exit::Done);
        assert_eq!(of(CheckVerdict::ReadyWithWarnings, true), Exit::FoundTrouble);
        assert_eq!(of(CheckVerdict::NotReady, false), Exit::FoundTrouble);
        assert_eq!(of(CheckVerdict::NotKnown, false), Exit::FoundTrouble);
        assert_eq!(of(CheckVerdict::NotRun, false), Exit::CouldNotRun);
    }

    fn report() -> Report {
        Report {
            version: 1,
            at: crate::core::model::time::Time::EPOCH,
            account: crate::core::model::roster::UNNAMED_ACCOUNT,
            numbers: 0,
            verdict: CheckVerdict::Ready,
            findings: Vec::new(),
            not_looked_at: Vec::new(),
            passed: Vec::new(),
            swaps: Vec::new(),
        }
    }
}
