//! `ringback run`: the agent, until a signal or a fault.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use super::log::AgentLog;
use super::{Exit, complain, log};
use crate::admin;
use crate::admin::auth::{AccessRules, Holder, Right};
use crate::admin::names::OwnNames;
use crate::admin::standby::SwappableRouter;
use crate::admin::tls::Tls;
use crate::agent::{Agent, Role, StartError};
use crate::check;
use crate::child;
use crate::clock::Clock;
use crate::config::people::{self, Transport};
use crate::config::{Config, ProcessEnv};
use crate::core::model::bounds;
use crate::rehearse;
use crate::rehearse::note::Note;

/// How often lost lines of the log are told of.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How long the end of the process waits for its last line to be read.
const LAST_WORDS: Duration = Duration::from_millis(200);

pub fn run(config: &Path, filter: &str) -> anyhow::Result<Exit> {
    reserve_less();
    let config = Config::load(config, &ProcessEnv)?;
    let log = log::start_for_agent(filter)?;
    forbid_core_dump();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(bounds::BLOCKING_THREADS);
    runtime.build()?.block_on(agent(&config, &log))
}

/// Starts this program once more in its own place, with an allocator that reserves less.
///
/// glibc's reserves 64 MB of addresses for every thread that asks for memory, up to eight times the processors, and
/// uses little of them. Where the address space is limited (`ulimit -v`), these are what a limit of 512 MB goes into:
/// 500 MB for two numbers, and 160 MB with two such reserves. How many there are is read from the environment when a
/// program starts, and there is no other way to say it without unsafe code. If it fails nothing is lost.
fn reserve_less() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt as _;
        const RESERVES: &str = "MALLOC_ARENA_MAX";
        if std::env::var_os(RESERVES).is_none() {
            let mut arguments = std::env::args_os();
            let mut again = std::process::Command::new("/proc/self/exe");
            again.arg0(arguments.next().unwrap_or_default()).args(arguments).env(RESERVES, "2");
            let _error = again.exec();
        }
    }
}

/// A core dump would hold what is never written elsewhere: secrets, and callers' numbers of the last
/// answers. A limit of one byte leaves no file, and keeps the kernel from piping it to a collector too,
/// which a limit of nothing does not (core(5)).
fn forbid_core_dump() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(1), maximum: Some(1) };
        if let Err(error) = setrlimit(Resource::Core, limit) {
            tracing::warn!(%error, "core dumps cannot be forbidden: one would hold secrets");
        }
    }
}

/// Whom the HTTP face lets in.
pub fn access(config: &Config) -> AccessRules {
    let Config { agent: config, ports, .. } = config;
    let right = |right| match right {
        people::Right::Read => Right::Read,
        people::Right::Act => Right::Act,
    };
    let person = |p: &people::PersonalToken| {
        Some((Holder { name: Some(p.name.as_str().into()), right: right(p.right) }, p.token.clone()?))
    };
    AccessRules {
        token: config.token.clone(),
        people: config.people.iter().filter_map(person).collect(),
        port_webhook: ports.webhook_token.clone(),
        is_open: config.transport != Transport::Loopback,
    }
}

async fn agent(config: &Config, log: &AgentLog) -> anyhow::Result<Exit> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(path) = rehearse::back::cut_off(config) {
        let number =
            Note::read(&path).ok().flatten().map_or_else(|| "its number".to_owned(), |n| n.number.e164.to_string());
        let note = path.display();
        tracing::error!(%note, "a fire drill was cut off: put {number} back with `ringback rehearse --put-back`");
    }
    let mut signals = Signals::listen()?;
    let listener = TcpListener::bind(config.agent.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another agent running? name another address in agent.listen",
            config.agent.listen
        )
    })?;
    let address = listener.local_addr()?;
    let tls = match &config.agent.transport {
        Transport::Tls(files) => Some(Tls::load(&files.certificate, &files.key).context("agent.tls")?),
        Transport::Loopback | Transport::BehindProxy => None,
    };
    let clock = Clock::system();
    // The address answers from the first moment on: who stands by is not dead.
    let (standby, leader) = watch::channel(None);
    let front =
        SwappableRouter::new(admin::standby::router_for(leader, access(config), OwnNames(config.agent.names.clone())));
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    clock.spawn(&mut server, admin::serve::serve_over(tls, front.router(), listener, stop.clone()));
    let mut agent = tokio::select! {
        agent = Agent::start_as(Role::Watch, config, &clock, &standby) => agent.map_err(coded)?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before it had started");
            return Ok(Exit::Done);
        }
    };
    // Beside the agent, which watches from now on whatever is found.
    let mut checks = JoinSet::new();
    let (checked, its_clock) = (config.clone(), clock.clone());
    clock.spawn(&mut checks, async move { check::at_start(&checked, &its_clock).await });
    let (lost, metrics, its_clock) = (log.lost.clone(), agent.metrics.clone(), clock.clone());
    clock.spawn(&mut checks, async move {
        tell_what_is_lost(&lost, |lines| metrics.log_lines_lost(lines), &its_clock).await
    });
    front.set(admin::router(&agent, &clock, access(config)));
    let scheme = if matches!(config.agent.transport, Transport::Tls(_)) { "https" } else { "http" };
    tracing::info!(
        mode = config.engine.mode.label(), numbers = config.roster.len(), address = %address,
        "watching; metrics at {scheme}://{address}/metrics, page at {scheme}://{address}/"
    );
    let exit = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::info!(signal, "stopping; a second signal forces");
            Exit::Done
        }
        fault = agent.failed() => {
            tracing::error!(fault, "the agent cannot go on");
            Exit::CouldNotRun
        }
        Some(_) = server.join_next() => {
            tracing::error!("the HTTP server ended early: the agent cannot go on");
            Exit::CouldNotRun
        }
    };
    let in_order = async {
        let in_time = agent.stop().await;
        stop.cancel();
        while server.join_next().await.is_some() {}
        in_time
    };
    tokio::select! {
        in_time = in_order => {
            tracing::info!("stopped");
            Ok(if in_time { exit } else { Exit::CouldNotRun })
        }
        signal = signals.next() => {
            // What was being written is settled by looking, at the next start.
            child::end_all();
            // In the background: perhaps nobody reads it.
            let said = std::thread::spawn(move || complain(&format!("ringback: {signal} again: stopping at once")));
            let waiting = std::time::Instant::now();
            while !said.is_finished() && waiting.elapsed() < LAST_WORDS {
                std::thread::yield_now();
            }
            std::process::exit(Exit::CouldNotRun as i32)
        }
    }
}

/// Says how many lines of the log were lost, once they are.
async fn tell_what_is_lost(lost: &ErrorCounter, count: impl Fn(u64), clock: &Clock) {
    let mut told = 0;
    loop {
        clock.sleep(TOLD_EVERY).await;
        let lines = lost.dropped_lines();
        if lines > told {
            count((lines - told) as u64);
            tracing::error!(
                lines = lines - told,
                "lines of the log are lost: whoever reads the error stream does not keep up, or has stopped"
            );
            told = lines;
        }
    }
}

/// What stopped the start, with the code under which `ringback check` tells more of it.
fn coded(error: StartError) -> anyhow::Error {
    match error.code() {
        Some(code) => anyhow::Error::new(error).context(format!("{code} (ringback check --explain {code})")),
        None => error.into(),
    }
}

/// The signals that ask a program to stop.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Signals> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
        }
        #[cfg(not(unix))]
        Ok(Signals {})
    }

    /// Waits for the next signal and says which it was.
    pub async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            }
        }
        #[cfg(not(unix))]
        {
            // Nothing can be done where the signal cannot be heard.
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    }
}
