//! The command line: the tree of commands, their exit codes, and how errors are printed.

mod apply;
mod challenge;
mod check;
mod cut_off;
mod demo;
mod desk;
mod docs;
mod explain;
mod init;
mod journal;
mod learn;
mod log;
mod manual;
mod names;
mod notify;
mod operate;
mod orders;
mod plan;
mod ports;
mod record;
mod rehearse;
mod reload;
mod replay;
mod report;
mod run;
mod saved;
mod service;
mod signals;
mod silence;
mod sim;
mod simulate;
mod status;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::Value;

use crate::config::{BadConfig, shown};
use crate::core::model::foreign::{LONGEST, line};
pub use run::access;

/// How a command ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Done = 0,
    /// It ran, and what it found is not good.
    FoundTrouble = 1,
    /// Bad usage or configuration.
    BadUsage = 2,
    /// It could not run.
    CouldNotRun = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Stands watch on the day a company's phone numbers port to Twilio.
#[derive(Debug, Parser)]
#[command(name = "ringback", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays a whole port day against an embedded pretend Twilio; no account, no network
    #[command(after_help = "Example:\n  ringback demo\n  ringback demo --json | jq .summary")]
    Demo(demo::DemoArguments),
    /// Writes the first configuration, from the account's own numbers if there are credentials
    #[command(after_help = "Example:\n  TWILIO_ACCOUNT_SID=… TWILIO_AUTH_TOKEN=… ringback init\n  \
        ringback init --from-csv old-provider.csv")]
    Init(init::InitArguments),
    /// Runs the agent
    #[command(after_help = "Example:\n  TWILIO_AUTH_TOKEN=… ringback run --config ringback.toml")]
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
        config: PathBuf,
        /// How much to log: error, warn, info, debug or trace, also by module
        #[arg(long, value_name = "LEVEL", env = "RINGBACK_LOG", default_value = "info", value_parser = log::filter)]
        log: String,
    },
    /// Looks whether everything is prepared for the port day; exits 1 unless it is
    #[command(
        after_help = "Example:\n  ringback check\n  ringback check --short --strict\n  ringback check --explain RB301"
    )]
    Check(check::CheckArguments),
    /// Runs the detector over a recorded log, offline, in the log's own time
    #[command(
        after_help = "Example:\n  ringback replay --config ringback.toml --events log.jsonl --decisions out.jsonl\n  \
        ringback replay --config ringback.toml --events log.jsonl --compare stricter.toml"
    )]
    Replay(replay::ReplayArguments),
    /// Fire drill on a spare number: break, detect, swap, prove, restore, with timings
    #[command(
        after_help = "Example:\n  ringback rehearse --config ringback.toml --record drill.md\n  ringback rehearse --put-back"
    )]
    Rehearse(rehearse::RehearseArguments),
    /// Shows what `apply` would change: the file's handlers against the numbers' own; reads only
    #[command(
        after_help = "Example:\n  ringback plan\n  ringback plan --group support --json | jq .changes\n  ringback plan --out monday.plan; ringback apply monday.plan --reason 'as agreed'"
    )]
    Plan(plan::PlanArguments),
    /// Gives numbers the handlers that the file asks for; undone by `restore --applied`
    #[command(after_help = "Example:\n  ringback apply --group support --reason 'new app'\n  \
        ringback apply --canary 2 --reason 'new app'")]
    Apply(apply::ApplyArguments),
    /// Swaps numbers to their fallback
    #[command(after_help = "Example:\n  ringback rollback --group support --reason 'app is down'")]
    Rollback(operate::Rollback),
    /// Puts numbers back to what they were before their rollback
    #[command(after_help = "Example:\n  ringback restore --group support --reason 'app is back'")]
    Restore(operate::Restore),
    /// Stops automation on numbers for a while
    #[command(after_help = "Example:\n  ringback hold --all --for 30m --reason 'we are looking'")]
    Hold(operate::HoldArguments),
    /// Ends a hold
    #[command(after_help = "Example:\n  ringback release --all --reason 'done looking'")]
    Release(operate::Release),
    /// Says yes to a decision that waits
    #[command(after_help = "Example:\n  ringback approve D12 --reason 'seen it'")]
    Approve(operate::ApproveArguments),
    /// Changes what the agent may do: observe, confirm or auto
    #[command(after_help = "Example:\n  ringback mode confirm --reason 'port day'")]
    Mode(operate::ModeArguments),
    /// Says that numbers are ported, so that their callers are watched from now on
    #[command(after_help = "Example:\n  ringback ported --group support --reason 'the carrier called'")]
    Ported(operate::PortedArguments),
    /// Has the running agent read its configuration again: whole, or not at all
    #[command(after_help = "Example:\n  ringback reload --reason 'two more numbers'")]
    Reload(reload::ReloadArguments),
    /// Says how far each number's port is, and whether the old provider may be cancelled
    #[command(
        after_help = "Example:\n  ringback ports\n  ringback ports --watch\n  ringback ports --checklist\n  ringback ports \
        --prepare +12125550100"
    )]
    Ports(ports::PortsArguments),
    /// Declares that the handler which numbers have now is the right one: what they are compared with and restored to
    #[command(after_help = "Example:\n  ringback adopt --group support --reason 'handed over to CallRail'")]
    Adopt(operate::AdoptArguments),
    /// Says what is wrong, worst first, and what to type next; exits 1 if there is trouble
    #[command(
        after_help = "Exit codes:\n  0  no trouble is seen\n  1  there is trouble: a line that begins with CRITICAL or WARNING\n  2  bad usage, or a \
        group or number that is not watched\n  3  no agent answers\n\nExample:\n  ringback status\n  ringback status --group support \
        --all\n  ringback status --json | jq .troubles"
    )]
    Status(status::StatusArguments),
    /// Tells the story of a decision or order: what callers met, why it was decided, what was done
    #[command(after_help = "Example:\n  ringback explain D12\n  ringback explain D12 --records")]
    Explain(explain::ExplainArguments),
    /// Tries a notifier, shows notices before the day, or lists who was told what
    #[command(
        after_help = "Example:\n  ringback notify --test ops\n  ringback notify --render unproven --notifier ops\n  \
        ringback notify --log"
    )]
    Notify(notify::NotifyArguments),
    /// Lists who did what, or verifies that the journal is whole
    #[command(
        after_help = "Example:\n  ringback journal --since 2h\n  ringback journal --number +15005550100 --author ann\n  ringback journal --verify"
    )]
    Journal(journal::JournalArguments),
    /// Writes a period of the account's logs as a recording that `replay` plays; callers are stand-ins
    #[command(
        after_help = "Example:\n  ringback record --from 2026-11-21T00:00:00Z --to 2026-11-22T00:00:00Z --out log.jsonl\n  \
        ringback record --from … --to … --out log.jsonl --from-bulk 2026-11-21.json.gz --from-csv alerts.csv"
    )]
    Record(record::RecordArguments),
    /// Learns what should ring from call records of the weeks before, or plots a number's week
    #[command(
        after_help = "Example:\n  ringback learn calls.csv --carriers carriers.csv --out profile.json\n  ringback learn \
        --show +12125550100 --out profile.json"
    )]
    Learn(learn::LearnArguments),
    /// Tells what happened, from the state alone: HTML with plots, or Markdown, with the evidence in it
    #[command(
        after_help = "Example:\n  ringback report --out day.html\n  ringback report --from 2026-11-21T14:00:00Z --out day.md --gaps\n  \
        ringback report --verify day.html\n  ringback report --handover"
    )]
    Report(report::ReportArguments),
    /// Says what the rules in force would do: false rollbacks on quiet days, and how soon faults are seen
    #[command(
        after_help = "Example:\n  ringback simulate --config ringback.toml\n  ringback simulate --days 50000 --seed 7 --json"
    )]
    Simulate(simulate::SimulateArguments),
    /// Runs the pretend Twilio alone
    #[command(
        after_help = "Example:\n  ringback sim --story breaks\n  ringback sim --story\n  ringback sim --scenario day.toml --listen 127.0.0.1:4010"
    )]
    Sim(sim::SimArguments),
    /// Prints the documentation, page by page
    #[command(after_help = "Example:\n  ringback docs\n  ringback docs configuration\n  ringback docs RingbackSilent")]
    Docs(docs::DocsArguments),
    /// Prints what a shell reads to complete these commands
    #[command(
        after_help = "Example:\n  source <(ringback completions bash)\n  ringback completions fish > ~/.config/fish/completions/ringback.fish"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the page that `man` shows
    #[command(after_help = "Example:\n  ringback man | man -l -\n  ringback man --out /usr/local/share/man/man1")]
    Man(manual::ManArguments),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version come this way too. Nothing can be done about a closed terminal.
            let _ = if e.use_stderr() { tell_usage(&e) } else { e.print() };
            return if e.use_stderr() { Exit::BadUsage } else { Exit::Done }.into();
        }
    };
    let result = match arguments.command {
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Run { config, log } => run::run(&config, &log),
        Command::Check(arguments) => check::check(&arguments),
        Command::Rehearse(arguments) => rehearse::rehearse(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Apply(arguments) => apply::apply(arguments),
        Command::Rollback(arguments) => operate::rollback(arguments),
        Command::Restore(arguments) => operate::restore(arguments),
        Command::Hold(arguments) => operate::hold(arguments),
        Command::Release(arguments) => operate::release(arguments),
        Command::Approve(arguments) => operate::approve(arguments),
        Command::Mode(arguments) => operate::set_mode(arguments),
        Command::Ported(arguments) => operate::ported(arguments),
        Command::Reload(arguments) => reload::reload(arguments),
        Command::Ports(arguments) => ports::ports(&arguments),
        Command::Adopt(arguments) => operate::adopt(arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Notify(arguments) => notify::notify(&arguments),
        Command::Journal(arguments) => journal::journal(&arguments),
        Command::Record(arguments) => record::record(&arguments),
        Command::Learn(arguments) => learn::learn(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Sim(arguments) => sim::sim(&arguments),
        Command::Docs(arguments) => docs::docs(&arguments),
        Command::Completions { shell } => manual::completions(shell, Arguments::command()),
        Command::Man(arguments) => manual::man(&arguments, Arguments::command()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            if let Some(bad) = error.downcast_ref::<BadConfig>() {
                complain(&bad.to_string());
                return Exit::BadUsage.into();
            }
            complain(&format!("ringback: {error:#}"));
            Exit::CouldNotRun.into()
        }
    }
}

/// Says what is wrong with a command line, which is quoted: an address may have a password in it, and what should stand
/// in a file or variable may stand here.
fn tell_usage(error: &clap::Error) -> std::io::Result<()> {
    let plain = error.render().to_string();
    let told = |line: &str| {
        let (indent, text) = line.split_at(line.len() - line.trim_start().len());
        format!("{indent}{}", shown::told(text))
    };
    let told: Vec<String> = plain.lines().map(told).collect();
    if told.iter().map(String::as_str).eq(plain.lines()) {
        return error.print();
    }
    complain(&told.join("\n"));
    Ok(())
}

/// An agent's answer, in which nothing is an order to a terminal, whoever answered in an agent's place.
fn answer(bytes: &[u8]) -> serde_json::Result<Value> {
    fn harmless(value: &mut Value) {
        match value {
            Value::String(text) => *text = line(text, LONGEST),
            Value::Array(items) => items.iter_mut().for_each(harmless),
            Value::Object(fields) => fields.values_mut().for_each(harmless),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut answer = serde_json::from_slice(bytes)?;
    harmless(&mut answer);
    Ok(answer)
}

/// To a person, on the error stream.
#[expect(clippy::print_stderr, reason = "this is the edge")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// To a person or a pipe, on the output stream. A closed pipe is no error: `ringback … | head`.
fn say(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {
            crate::child::end_all();
            std::process::exit(0)
        }
        other => other,
    }
}
